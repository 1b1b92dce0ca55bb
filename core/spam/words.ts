/**
 * Words of normalised (lower-case) text, in one pass without slices. A word is a run of letters and digits with
 * apostrophes and currency signs inside; runs of `!`, `?`, `$`, `%`, `*` count as words of their own; scripts that write
 * without spaces give pairs of characters.
 */

const OTHER = 0;
const LETTER = 1;
const DIGIT = 2;
const MARK = 3;
const IDEOGRAPH = 4;

/** The class of each UTF-16 unit; surrogates count as letters. */
const CLASSES = new Uint8Array(65_536);
for (let code = 0; code < 65_536; code++) {
  const unit = String.fromCharCode(code);
  if ((code >= 0x3040 && code <= 0x30ff) || (code >= 0x3400 && code <= 0x9fff) || (code >= 0xf900 && code <= 0xfaff))
    CLASSES[code] = IDEOGRAPH;
  else if (/[\p{L}\p{M}]/u.test(unit) || (code >= 0xd800 && code <= 0xdfff)) CLASSES[code] = LETTER;
  else if (/\p{N}/u.test(unit)) CLASSES[code] = DIGIT;
  else if ('!?$%*€£¥'.includes(unit)) CLASSES[code] = MARK;
}

export interface WordVisitor {
  /** Units [start, end) of the text; `digits` of them are digits. */
  word(text: string, start: number, end: number, digits: number): void;
}

/** Visits the words of text [start, end), `wordsMax` at most. How many there were. */
export function eachWord(text: string, start: number, end: number, wordsMax: number, visitor: WordVisitor): number {
  let count = 0;
  let i = start;
  while (i < end && count < wordsMax) {
    const kind = CLASSES[text.charCodeAt(i)]!;
    if (kind === OTHER) {
      i++;
      continue;
    }
    const from = i;
    let digits = 0;
    if (kind === MARK) {
      const code = text.charCodeAt(i);
      while (i < end && text.charCodeAt(i) === code) i++;
      // `!!!!!` and `!!!` are the same word.
      visitor.word(text, from, Math.min(i, from + 3), 0);
      count++;
      continue;
    }
    if (kind === IDEOGRAPH) {
      i++;
      const pair = i < end && CLASSES[text.charCodeAt(i)] === IDEOGRAPH;
      visitor.word(text, from, pair ? i + 1 : i, 0);
      count++;
      continue;
    }
    for (; i < end; i++) {
      const code = text.charCodeAt(i);
      const next = CLASSES[code]!;
      if (next === DIGIT) digits++;
      else if (next !== LETTER) {
        const inside = code === 0x27 || code === 0x2019 || code === 0x24;
        if (!inside || i + 1 >= end || CLASSES[text.charCodeAt(i + 1)] !== LETTER) break;
      }
    }
    visitor.word(text, from, i, digits);
    count++;
  }
  return count;
}
