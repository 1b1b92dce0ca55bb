/**
 * Loaded before a server under test (`--import`): SIGUSR2 sets its clock back by an hour, as a wrong time server would.
 * Timers go on, since they follow the monotonic clock. It says so on standard error.
 */

import { isMainThread } from 'node:worker_threads';

const HOUR_MS = 3_600_000;
const RealDate = Date;
let behindMs = 0;

globalThis.Date = class extends RealDate {
  constructor(...parts) {
    if (parts.length === 0) super(RealDate.now() - behindMs);
    else super(...parts);
  }

  static now() {
    return RealDate.now() - behindMs;
  }
};

if (isMainThread) {
  process.on('SIGUSR2', () => {
    behindMs += HOUR_MS;
    console.error('clock set back');
  });
}
