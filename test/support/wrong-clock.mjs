/**
 * Loaded before a server under test (`--import`): its clock is wrong by CLOCK_OFF_MS from the start. Timers go on, since
 * they follow the monotonic clock.
 */

const RealDate = Date;
const offMs = Number(process.env.CLOCK_OFF_MS ?? 0);

globalThis.Date = class extends RealDate {
  constructor(...parts) {
    if (parts.length === 0) super(RealDate.now() + offMs);
    else super(...parts);
  }

  static now() {
    return RealDate.now() + offMs;
  }
};
