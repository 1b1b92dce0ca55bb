/**
 * Text as a reader sees it: lower case, NFKC, without characters that are not seen, accents taken off Latin letters and
 * look-alikes of other scripts folded where a word mixes scripts. Counts what it took away, since that is evidence of its
 * own. Plain ASCII passes through at the cost of one scan.
 */

import { isDirectionMark, isInvisible, latinLookalike } from './confusables.ts';

export interface NormalisedText {
  readonly text: string;
  readonly zeroWidth: number;
  readonly directionMarks: number;
  /** Letters folded to a Latin one. */
  readonly confusables: number;
  /** UTF-16 units that NFKC changed: full-width, mathematical and circled letters, ligatures. */
  readonly compatibility: number;
}

const ASCII_ONLY = /^[\0-\x7f]*$/;

export function normaliseText(input: string): NormalisedText {
  if (ASCII_ONLY.test(input))
    return { text: input.toLowerCase(), zeroWidth: 0, directionMarks: 0, confusables: 0, compatibility: 0 };
  const { text: seen, zeroWidth, directionMarks } = stripUnseen(input);
  const composed = seen.normalize('NFKC');
  const compatibility = composed === seen ? 0 : countCompatibility(seen);
  const { text, confusables } = foldLetters(composed.toLowerCase());
  return { text, zeroWidth, directionMarks, confusables, compatibility };
}

function stripUnseen(input: string): { text: string; zeroWidth: number; directionMarks: number } {
  let zeroWidth = 0;
  let directionMarks = 0;
  let text = '';
  let kept = 0;
  for (let i = 0; i < input.length; i++) {
    const code = input.charCodeAt(i);
    if (code < 0xad) continue;
    let width = 0;
    if (isInvisible(code)) {
      zeroWidth++;
      width = 1;
    } else if (isDirectionMark(code)) {
      directionMarks++;
      width = 1;
    } else if (code === 0xdb40) {
      // Tags (U+E0000 …) and further variation selectors.
      zeroWidth++;
      width = 2;
    }
    if (width === 0) continue;
    text += input.slice(kept, i);
    kept = i + width;
    i += width - 1;
  }
  return { text: kept === 0 ? input : text + input.slice(kept), zeroWidth, directionMarks };
}

/** Only the blocks that imitate letters: precomposed accents and the like are a matter of typing. */
function countCompatibility(text: string): number {
  let count = 0;
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i);
    if (
      (code >= 0xff01 && code <= 0xff5e) ||
      code === 0xd835 ||
      (code >= 0x2460 && code <= 0x24ff) ||
      (code >= 0x2100 && code <= 0x214f) ||
      (code >= 0x2160 && code <= 0x217f)
    )
      count++;
  }
  return count;
}

/** Units that belong to a word: letters of any script and combining marks, roughly; digits inside do not end it. */
const isWordUnit = (code: number): boolean =>
  (code >= 0x61 && code <= 0x7a) ||
  (code >= 0x30 && code <= 0x39) ||
  (code >= 0xc0 && code !== 0xd7 && code !== 0xf7 && !(code >= 0x2000 && code <= 0x2bff));

function foldLetters(text: string): { text: string; confusables: number } {
  let confusables = 0;
  let latin = 0;
  let other = 0;
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i);
    if (code >= 0x61 && code <= 0x7a) latin++;
    else if (code >= 0x370 && code < 0x2000) other++;
  }
  const mostlyLatin = latin > other;
  const pieces: string[] = [];
  let kept = 0;
  for (let i = 0; i < text.length; ) {
    if (!isWordUnit(text.charCodeAt(i))) {
      i++;
      continue;
    }
    const start = i;
    let hasLatin = false;
    let plain = true;
    let lookalikes = 0;
    let foreign = 0;
    for (; i < text.length && isWordUnit(text.charCodeAt(i)); i++) {
      const code = text.charCodeAt(i);
      if (code < 0x80) hasLatin ||= code >= 0x61;
      else {
        plain = false;
        if (latinLookalike(code) !== 0) lookalikes++;
        else if (code >= 0x370) foreign++;
      }
    }
    if (plain) continue;
    const fold = lookalikes > 0 && (hasLatin || (mostlyLatin && foreign === 0));
    if (fold) confusables += lookalikes;
    pieces.push(text.slice(kept, start), foldWord(text, start, i, fold));
    kept = i;
  }
  return { text: kept === 0 ? text : pieces.join('') + text.slice(kept), confusables };
}

function foldWord(text: string, start: number, end: number, fold: boolean): string {
  let word = '';
  for (let i = start; i < end; i++) {
    const code = text.charCodeAt(i);
    if (code < 0x80) word += text[i];
    else if (fold && latinLookalike(code) !== 0) word += String.fromCharCode(latinLookalike(code));
    else if (code < 0x250 || (code >= 0x1e00 && code < 0x1f00)) word += baseLetter(code);
    // Marks that stack on letters are no letters of their own.
    else if (code < 0x300 || code > 0x36f) word += text[i];
  }
  return word;
}

const BASE = new Map<number, string>();

/** A Latin letter without its accents. */
function baseLetter(code: number): string {
  let base = BASE.get(code);
  if (base === undefined) {
    base = String.fromCharCode(code).normalize('NFD')[0]!;
    BASE.set(code, base);
  }
  return base;
}
