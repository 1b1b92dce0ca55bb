/**
 * Date and time of a Date field (RFC 5322 §3.3, the obsolete forms of §4.3, and what mailers write instead). Lenient in
 * order and punctuation, strict about ranges. Only the first 200 characters are looked at.
 */

export interface DateTime {
  /** Seconds since 1970. */
  readonly seconds: number;
  /** Of the zone it was written in, east positive. RFC 9051 §6.4.4 SENTON and its like look at the local day. */
  readonly offsetSeconds: number;
}

const TEXT_LENGTH_MAX = 200;
const MONTHS = ['jan', 'feb', 'mar', 'apr', 'may', 'jun', 'jul', 'aug', 'sep', 'oct', 'nov', 'dec'];
/** RFC 5322 §4.3; military zones and unknown names are −0000. */
const ZONES: Readonly<Record<string, number>> = {
  ut: 0,
  utc: 0,
  gmt: 0,
  z: 0,
  est: -5,
  edt: -4,
  cst: -6,
  cdt: -5,
  mst: -7,
  mdt: -6,
  pst: -8,
  pdt: -7,
  cet: 1,
  cest: 2,
  bst: 1,
  jst: 9,
};
const PLUS = 43;
const MINUS = 45;
const TOKEN = /[+-]\d{2}:\d{2}|\d{1,2}:\d{1,2}(?::\d{1,2})?|[+-]\d{3,4}|\d{4}-\d{2}-\d{2}|\d{1,4}|[a-z]{1,9}/g;

/** RFC 5322 §4.3: 00–49 are of this century, other two and three digits count from 1900 (and so do 0102 and its like). */
const fullYear = (digits: string): number => {
  const year = Number(digits);
  if (year >= 1000) return year;
  return digits.length === 2 && year < 50 ? year + 2000 : year + 1900;
};

function withoutComments(text: string): string {
  if (!text.includes('(')) return text;
  let depth = 0;
  let result = '';
  for (const character of text) {
    if (character === '(') depth++;
    else if (character === ')') depth = Math.max(0, depth - 1);
    else if (depth === 0) result += character;
  }
  return result;
}

interface Found {
  day?: number;
  month?: number;
  year?: number;
  time?: readonly number[];
  offsetSeconds?: number;
}

function takeToken(found: Found, token: string): void {
  const first = token.charCodeAt(0);
  if (first === PLUS || first === MINUS) {
    // RFC 5322 §3.3: hours and minutes; before the time it is a stray hyphen of `24-Mar-2007`
    if (found.time === undefined) {
      takeToken(found, token.slice(1));
      return;
    }
    const digits = token.slice(1).replace(':', '').padStart(4, '0');
    const minutes = Number(digits.slice(0, 2)) * 60 + Number(digits.slice(2));
    found.offsetSeconds ??= (first === MINUS ? -60 : 60) * minutes;
  } else if (token.includes(':')) {
    found.time ??= token.split(':').map(Number);
  } else if (token.includes('-')) {
    const [year, month, day] = token.split('-').map(Number);
    Object.assign(found, { year, month: month! - 1, day });
  } else if (first >= 48 && first <= 57) {
    if (found.day === undefined && token.length <= 2) found.day = Number(token);
    else found.year ??= fullYear(token);
  } else {
    const month = MONTHS.indexOf(token.slice(0, 3));
    if (month >= 0 && found.month === undefined) found.month = month;
    else if (found.time !== undefined) {
      // `10:05:15 PM`
      const [hour = 0, ...rest] = found.time;
      if (token === 'pm' && hour < 12) found.time = [hour + 12, ...rest];
      else if (token === 'am' && hour === 12) found.time = [0, ...rest];
      const hours = ZONES[token];
      if (hours !== undefined) found.offsetSeconds ??= hours * 3600;
    }
  }
}

export function parseDateTime(text: string): DateTime | null {
  const found: Found = {};
  for (const [token] of withoutComments(text.slice(0, TEXT_LENGTH_MAX).toLowerCase()).matchAll(TOKEN))
    takeToken(found, token);
  const { day, month, year, time = [0, 0], offsetSeconds = 0 } = found;
  if (day === undefined || month === undefined || year === undefined) return null;
  const [hour = 0, minute = 0, second = 0] = time;
  if (day < 1 || day > 31 || month < 0 || month > 11 || year < 1900 || year > 9999) return null;
  // RFC 5322 §3.3 allows second 60
  if (hour > 23 || minute > 59 || second > 60 || Math.abs(offsetSeconds) >= 100 * 3600) return null;
  return { seconds: Date.UTC(year, month, day, hour, minute, second) / 1000 - offsetSeconds, offsetSeconds };
}

/** Seconds since 1970, or null. */
export const parseDate = (text: string): number | null => parseDateTime(text)?.seconds ?? null;
