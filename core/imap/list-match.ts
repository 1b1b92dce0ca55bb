/**
 * LIST's wildcards (RFC 9051 §6.3.9): `*` is any characters, `%` any but the delimiter. The matcher keeps the set of
 * pattern positions that the name read so far can have reached, so its time is at most pattern × name, whatever they
 * are; `checkWork` bounds that over all patterns and names of one command.
 */

import { ClientError } from '../mail/errors.ts';

const STAR = 0x2a;
const PERCENT = 0x25;
const SLASH = 0x2f;

/** Some 0.2 s at the worst: ten thousand mailboxes with names of 40 characters, and 125 characters of patterns. */
const STEPS_MAX = 50_000_000;

/** NO [LIMIT] where these patterns against these names could take the server away from others. */
export function checkWork(patterns: readonly string[], names: Iterable<string>): void {
  let characters = 0;
  for (const name of names) characters += name.length;
  const positions = patterns.reduce((sum, pattern) => sum + pattern.length, 0);
  if (positions * characters > STEPS_MAX) throw new ClientError('limitReached', { positions, characters });
}

/** A matcher for one pattern; the delimiter is `/`. RFC 9051 §5.1: the inbox's name compares without case. */
export function listMatcher(pattern: string): (name: string) => boolean {
  const matches = exactMatcher(pattern);
  const isInbox = exactMatcher(pattern.toUpperCase())('INBOX');
  return (name) => (name === 'INBOX' ? isInbox : matches(name));
}

function exactMatcher(pattern: string): (name: string) => boolean {
  const units = compress(pattern);
  const length = units.length;
  if (!units.includes(STAR) && !units.includes(PERCENT)) return (name) => name === pattern;
  let current = new Uint8Array(length + 1);
  let next = new Uint8Array(length + 1);
  return (name) => {
    current.fill(0);
    // Positions reached lie between these two.
    let low = 0;
    let high = reach(units, current, 0);
    for (let i = 0; i < name.length && low <= high; i++) {
      const unit = name.charCodeAt(i);
      let nextLow = length + 1;
      let nextHigh = -1;
      next.fill(0, low, length + 1);
      for (let at = low; at <= high && at < length; at++) {
        if (current[at] === 0) continue;
        const wanted = units[at]!;
        const from = wanted === STAR || (wanted === PERCENT && unit !== SLASH) ? at : wanted === unit ? at + 1 : -1;
        if (from < 0) continue;
        nextLow = Math.min(nextLow, from);
        nextHigh = Math.max(nextHigh, reach(units, next, from));
      }
      [current, next] = [next, current];
      low = nextLow;
      high = nextHigh;
    }
    return low <= length && high === length && current[length] === 1;
  };
}

/** Marks a position, and those behind wildcards that may stand for nothing; gives the last one. */
function reach(units: Uint16Array, positions: Uint8Array, from: number): number {
  let at = from;
  while (positions[at] === 0) {
    positions[at] = 1;
    if (units[at] !== STAR && units[at] !== PERCENT) return at;
    at++;
  }
  return at;
}

/** The pattern's characters with each run of wildcards as one: a `*` among them covers the others. */
function compress(pattern: string): Uint16Array {
  const units: number[] = [];
  for (let i = 0; i < pattern.length; i++) {
    const unit = pattern.charCodeAt(i);
    const last = units.at(-1);
    if (unit === STAR || unit === PERCENT) {
      if (last === STAR || last === unit) continue;
      if (last === PERCENT) {
        units[units.length - 1] = STAR;
        continue;
      }
    }
    units.push(unit);
  }
  return Uint16Array.from(units);
}
