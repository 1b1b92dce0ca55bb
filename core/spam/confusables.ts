/**
 * Letters of other scripts that look like Latin ones (a choice of Unicode TR 39's confusables: those seen in mail), and
 * the characters that are not seen at all. What looks the same must give the same features.
 */

const LOOKALIKES: Readonly<Record<string, string>> = {
  a: 'аαɑạ',
  b: 'Ьвʙ',
  c: 'сϲᴄ',
  d: 'ԁɗ',
  e: 'еєҽе',
  f: 'ƒ',
  g: 'ɡցɢ',
  h: 'һнհ',
  i: 'іιıɩӏɪ',
  j: 'јʝ',
  k: 'кκᴋ',
  l: 'ӏⅼʟ',
  m: 'мᴍ',
  n: 'ηпոɴ',
  o: 'оοօσᴏ',
  p: 'рρ',
  q: 'ԛգ',
  r: 'гᴦʀ',
  s: 'ѕꜱ',
  t: 'тτᴛ',
  u: 'υսцᴜ',
  v: 'νѵᴠ',
  w: 'ԝωшᴡ',
  x: 'хχ',
  y: 'уүγʏ',
  z: 'ᴢʐ',
};

/** Code of a lower-case look-alike → code of the Latin letter. */
const FOLD = new Map<number, number>();
for (const [letter, others] of Object.entries(LOOKALIKES)) {
  for (const other of others) if (!FOLD.has(other.charCodeAt(0))) FOLD.set(other.charCodeAt(0), letter.charCodeAt(0));
}

/** The Latin letter that a lower-case UTF-16 unit looks like, or 0. */
export const latinLookalike = (code: number): number => FOLD.get(code) ?? 0;

/** Not seen: soft hyphen, joiners, zero-width spaces, variation selectors, invisible operators, byte order mark. */
export const isInvisible = (code: number): boolean =>
  code === 0xad ||
  code === 0x34f ||
  code === 0x61c ||
  code === 0x115f ||
  code === 0x1160 ||
  code === 0x17b4 ||
  code === 0x17b5 ||
  (code >= 0x180b && code <= 0x180f) ||
  (code >= 0x200b && code <= 0x200d) ||
  (code >= 0x2060 && code <= 0x2064) ||
  code === 0x3164 ||
  (code >= 0xfe00 && code <= 0xfe0f) ||
  code === 0xfeff ||
  code === 0xffa0;

/** Turns the direction of writing: UAX 9's marks, embeddings, overrides and isolates. */
export const isDirectionMark = (code: number): boolean =>
  code === 0x200e || code === 0x200f || (code >= 0x202a && code <= 0x202e) || (code >= 0x2066 && code <= 0x206f);
