import { Fault } from '../mail/errors.ts';
/** Seconds since 1970, or null. */
export function parseDate(_text: string): number | null {
  throw new Fault('later');
}
