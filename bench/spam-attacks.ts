/**
 * What senders of spam do to be let through: the same message with its text encoded, obfuscated or padded with good
 * words. Each attack rewrites every text part and leaves the rest alone.
 */

import { parameter } from '../core/mime/parameters.ts';
import type { Part } from '../core/mime/part.ts';
import { parseStructure } from '../core/mime/structure.ts';
import { partText, textParts } from '../core/mime/text.ts';

export const ATTACKS = ['stuffed', 'base64', 'zeroWidth', 'homoglyph', 'fullWidth', 'comments'] as const;
export type Attack = (typeof ATTACKS)[number];

const HOMOGLYPHS: Readonly<Record<string, string>> = {
  a: 'а',
  c: 'с',
  e: 'е',
  i: 'і',
  o: 'о',
  p: 'р',
  s: 'ѕ',
  x: 'х',
  y: 'у',
};

const WORDS: Readonly<Record<Exclude<Attack, 'stuffed' | 'base64'>, (word: string) => string>> = {
  zeroWidth: (word) => word.replace(/(..)(?=.)/g, '$1\u200b'),
  homoglyph: (word) => word.replace(/[aceiopsxy]/g, (letter) => HOMOGLYPHS[letter]!),
  fullWidth: (word) => word.replace(/[!-~]/g, (letter) => String.fromCharCode(letter.charCodeAt(0) + 0xfee0)),
  comments: (word) => word.replace(/(..)(?=.)/g, '$1<!-- x -->'),
};

/** @param goodWords for `stuffed` */
export function attack(message: Uint8Array, how: Attack, goodWords: readonly string[]): Uint8Array {
  const parts = textParts(parseStructure(message)).filter((part) => part.bodyStart >= part.headerStart);
  let result = Buffer.from(message);
  // From the last to the first, so that offsets stay right.
  for (const part of parts.reverse()) {
    const html = part.subtype === 'html';
    const text = partText(part, message.subarray(part.bodyStart, part.bodyEnd));
    result = Buffer.from(replacePart(result, part, rewrite(text, html, how, goodWords), how === 'base64'));
  }
  return result;
}

function rewrite(text: string, html: boolean, how: Attack, goodWords: readonly string[]): string {
  if (how === 'base64') return text;
  if (how === 'stuffed') return `${text}\n\n${html ? `<p>${goodWords.join(' ')}</p>` : goodWords.join(' ')}\n`;
  if (how === 'comments' && !html) return text;
  const word = WORDS[how];
  if (!html) return text.replace(/[A-Za-z]{3,}/g, word);
  // Between tags only; entities are left alone.
  return text.replace(/<[^>]{0,5000}>|&#?\w{1,10};|[A-Za-z]{3,}/g, (piece) =>
    /^[<&]/.test(piece) ? piece : word(piece),
  );
}

/** The message with one text part's content replaced, in UTF-8. */
function replacePart(message: Buffer, part: Part, text: string, base64: boolean): Buffer {
  const header = message.toString('latin1', part.headerStart, part.headerEnd);
  const name = parameter(part.params, 'name');
  const kept = header
    .replace(/^content-(?:type|transfer-encoding):.*(?:\r?\n[ \t].*)*\r?\n/gim, '')
    .replace(/^(?=\r?\n?$)/m, '')
    .replace(/\r?\n$/, '');
  const fields = `Content-Type: ${part.type}/${part.subtype}; charset=utf-8${name === null ? '' : `; name="${name}"`}\nContent-Transfer-Encoding: ${base64 ? 'base64' : '8bit'}\n`;
  const encoded = Buffer.from(text, 'utf8');
  const body = base64 ? Buffer.from(encoded.toString('base64').replace(/.{76}/g, '$&\n'), 'latin1') : encoded;
  const end = kept === '' || kept.endsWith('\n') ? '' : '\n';
  return Buffer.concat([
    message.subarray(0, part.headerStart),
    Buffer.from(`${kept}${end}${fields}\n`, 'latin1'),
    body,
    Buffer.from('\n'),
    message.subarray(part.bodyEnd),
  ]);
}
