/** Dates as IMAP writes them (RFC 9051 §9: date, date-time), with the ranges checked; always seconds since 1970. */

const MONTHS = ['JAN', 'FEB', 'MAR', 'APR', 'MAY', 'JUN', 'JUL', 'AUG', 'SEP', 'OCT', 'NOV', 'DEC'];
const MONTH_NAMES = ['Jan', 'Feb', 'Mar', 'Apr', 'May', 'Jun', 'Jul', 'Aug', 'Sep', 'Oct', 'Nov', 'Dec'];

/** Seconds of the day's start in UTC, or null where there is no such day. */
function day(dayOfMonth: number, month: string, year: number): number | null {
  const index = MONTHS.indexOf(month.toUpperCase());
  if (index < 0) return null;
  const date = new Date(Date.UTC(2000, index, dayOfMonth));
  // Years below 100 would be taken for 19xx by Date.UTC.
  date.setUTCFullYear(year, index, dayOfMonth);
  if (date.getUTCMonth() !== index || date.getUTCDate() !== dayOfMonth) return null;
  return date.getTime() / 1000;
}

/** `1-Feb-1994`, one or two digits of day. */
export function readDate(text: string): number | null {
  const match = /^([0-9]{1,2})-([A-Za-z]{3})-([0-9]{4})$/.exec(text);
  return match === null ? null : day(Number(match[1]), match[2]!, Number(match[3]));
}

/** ` 1-Feb-1994 21:52:25 -0800`; a one-digit day may stand without its leading space. */
export function readDateTime(text: string): number | null {
  const match =
    /^([ 0-9]?[0-9])-([A-Za-z]{3})-([0-9]{4}) ([0-9]{2}):([0-9]{2}):([0-9]{2}) ([+-])([0-9]{2})([0-9]{2})$/.exec(text);
  if (match === null) return null;
  const start = day(Number(match[1]), match[2]!, Number(match[3]));
  const [hours, minutes, seconds] = [Number(match[4]), Number(match[5]), Number(match[6])];
  const [zoneHours, zoneMinutes] = [Number(match[8]), Number(match[9])];
  // 60 is a leap second (RFC 5322 §3.3).
  if (start === null || hours > 23 || minutes > 59 || seconds > 60 || zoneHours > 23 || zoneMinutes > 59) return null;
  const zone = (zoneHours * 60 + zoneMinutes) * 60 * (match[7] === '-' ? -1 : 1);
  return start + hours * 3600 + minutes * 60 + seconds - zone;
}

const two = (value: number): string => String(value).padStart(2, '0');

/** date-time without its quotes, in UTC: ` 1-Feb-1994 05:52:25 +0000`. */
export function formatDateTime(seconds: number): string {
  const date = new Date(seconds * 1000);
  const dayOfMonth = String(date.getUTCDate()).padStart(2, ' ');
  const year = String(date.getUTCFullYear()).padStart(4, '0');
  const time = `${two(date.getUTCHours())}:${two(date.getUTCMinutes())}:${two(date.getUTCSeconds())}`;
  return `${dayOfMonth}-${MONTH_NAMES[date.getUTCMonth()]}-${year} ${time} +0000`;
}
