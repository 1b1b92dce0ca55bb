/**
 * LIST's wildcards (RFC 9051 §6.3.9): `*` is any characters, `%` any but the delimiter. The matcher keeps the set of
 * pattern positions that the name read so far can have reached, so its time is at most pattern × name, whatever they are.
 */

const STAR = 0x2a;
const PERCENT = 0x25;
const SLASH = 0x2f;

/** Patterns over this match nothing: no name is as long, and a run of wildcards says no more than one. */
const PATTERN_MAX = 4096;

/** A matcher for one pattern; the delimiter is `/`. RFC 9051 §5.1: the inbox's name compares without case. */
export function listMatcher(pattern: string): (name: string) => boolean {
  const matches = exactMatcher(pattern);
  const isInbox = exactMatcher(pattern.toUpperCase())('INBOX');
  return (name) => (name === 'INBOX' ? isInbox : matches(name));
}

function exactMatcher(pattern: string): (name: string) => boolean {
  if (pattern.length > PATTERN_MAX) return () => false;
  const units = compress(pattern);
  const length = units.length;
  if (!units.includes(STAR) && !units.includes(PERCENT)) return (name) => name === pattern;
  let current = new Uint8Array(length + 1);
  let next = new Uint8Array(length + 1);
  return (name) => {
    current.fill(0);
    reach(units, current, 0);
    for (let i = 0; i < name.length; i++) {
      const unit = name.charCodeAt(i);
      next.fill(0);
      for (let at = 0; at < length; at++) {
        if (current[at] === 0) continue;
        const wanted = units[at]!;
        if (wanted === STAR || (wanted === PERCENT && unit !== SLASH)) reach(units, next, at);
        if (wanted === unit) reach(units, next, at + 1);
      }
      [current, next] = [next, current];
    }
    return current[length] === 1;
  };
}

/** Marks a position, and those behind wildcards that may stand for nothing. */
function reach(units: Uint16Array, positions: Uint8Array, from: number): void {
  for (let at = from; positions[at] === 0; at++) {
    positions[at] = 1;
    if (units[at] !== STAR && units[at] !== PERCENT) return;
  }
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
