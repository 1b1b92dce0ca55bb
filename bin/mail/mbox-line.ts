/**
 * The two rules of mbox files that reader and writer share: what a separator line is, and quoting as in mboxrd (one more
 * `>` in every line that begins with any number of them and `From `), which can be undone exactly.
 */

export const FROM = Buffer.from('From ');
export const GREATER = 0x3e;

/** How many `>` stand before `From ` at the beginning of the bytes, or −1 when it is no such line. */
export function fromQuotes(head: Uint8Array): number {
  let quotes = 0;
  while (quotes < head.length && head[quotes] === GREATER) quotes++;
  for (let i = 0; i < FROM.length; i++) if (head[quotes + i] !== FROM[i]) return -1;
  return quotes;
}

/** `Tue Jan  2 03:04:05 2029`, with a zone before or behind the year as some write it. */
const DATE =
  /(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun),? +(?:(\w{3}) +(\d{1,2})|(\d{1,2}) (\w{3}) (\d{4})) (\d\d:\d\d(?::\d\d)?)(?: ([+-]\d{4}|[A-Z]{3,4}))?(?: (\d{4}))?/;

/** Seconds since 1970 in a separator line, or null. RFC 4155: asctime in UTC where no zone is named. */
export function separatorDate(line: string): number | null {
  const match = DATE.exec(line.slice(0, 500));
  if (match === null) return null;
  const [, month1, day1, day2, month2, year2, time, zone, year1] = match;
  const offset = zone !== undefined && /^[+-]/.test(zone) ? zone : 'GMT';
  const ms = Date.parse(`${day1 ?? day2} ${month1 ?? month2} ${year1 ?? year2} ${time} ${offset}`);
  return Number.isNaN(ms) ? null : ms / 1000;
}

/**
 * Whether a line that begins with `From ` parts two messages. With a date it always does; without one only behind a blank
 * line and when it is not prose: many writers forget to quote, few forget the date.
 */
export function isSeparator(line: string, afterBlank: boolean): boolean {
  if (separatorDate(line) !== null) return true;
  return afterBlank && /^From (?:-|\S+@\S*|MAILER-DAEMON)? *(?:\r?\n?)$/.test(line.slice(0, 500));
}
