/**
 * Flags and keywords (RFC 9051 §2.3.2). A flag set is an array of names, system flags first in this file's order and
 * spelling, then keywords sorted; two sets are equal when their arrays are. \Recent is not stored: it is a session's view.
 */

export const SYSTEM_FLAGS = ['\\Answered', '\\Flagged', '\\Deleted', '\\Seen', '\\Draft'] as const;

/** Keywords with a meaning of their own here: RFC 9051 §2.3.2 and the IANA registry. */
export const JUNK = '$Junk';
export const NOT_JUNK = '$NotJunk';

/** Canonical, frozen set of flag names. */
export type FlagSet = readonly string[];

export const NO_FLAGS: FlagSet = Object.freeze([]);

const SYSTEM_BY_LOWER = new Map(SYSTEM_FLAGS.map((flag, index) => [flag.toLowerCase(), { flag, index }]));
const KNOWN_KEYWORDS = new Map(
  ['$Forwarded', '$MDNSent', '$Junk', '$NotJunk', '$Phishing', '$Important', '$SubmitPending', '$Submitted'].map(
    (keyword) => [keyword.toLowerCase(), keyword],
  ),
);

/** The stored spelling of one flag; keywords compare without case (RFC 9051 §2.3.2), registered ones keep theirs. */
function canonicalFlag(name: string): string {
  const lower = name.toLowerCase();
  return SYSTEM_BY_LOWER.get(lower)?.flag ?? KNOWN_KEYWORDS.get(lower) ?? name;
}

const rank = (flag: string): number => SYSTEM_BY_LOWER.get(flag.toLowerCase())?.index ?? SYSTEM_FLAGS.length;

/** A canonical set: without repeats, \Recent and unknown system flags dropped, in the fixed order. */
export function flagSet(names: Iterable<string>): FlagSet {
  const byLower = new Map<string, string>();
  for (const name of names) {
    const lower = name.toLowerCase();
    if (lower.startsWith('\\') && !SYSTEM_BY_LOWER.has(lower)) continue;
    if (!byLower.has(lower)) byLower.set(lower, canonicalFlag(name));
  }
  if (byLower.size === 0) return NO_FLAGS;
  const sorted = [...byLower.values()].sort(
    (a, b) => rank(a) - rank(b) || (a.toLowerCase() < b.toLowerCase() ? -1 : a.toLowerCase() > b.toLowerCase() ? 1 : 0),
  );
  return Object.freeze(sorted);
}

export type StoreMode = 'add' | 'remove' | 'replace';

/** The set after STORE `mode` (RFC 9051 §6.4.6); the same object when nothing changes. */
export function applyFlags(before: FlagSet, mode: StoreMode, names: FlagSet): FlagSet {
  const lower = new Set(names.map((name) => name.toLowerCase()));
  let after: FlagSet;
  if (mode === 'replace') after = flagSet(names);
  else if (mode === 'add') after = flagSet([...before, ...names]);
  else after = flagSet(before.filter((name) => !lower.has(name.toLowerCase())));
  return sameFlags(before, after) ? before : after;
}

export const sameFlags = (a: FlagSet, b: FlagSet): boolean =>
  a === b || (a.length === b.length && a.every((name, index) => name.toLowerCase() === b[index]!.toLowerCase()));

export const hasFlag = (flags: FlagSet, name: string): boolean => {
  const lower = name.toLowerCase();
  return flags.some((flag) => flag.toLowerCase() === lower);
};
