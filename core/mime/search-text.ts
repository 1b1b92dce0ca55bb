/**
 * A message's text as searches see it: case-folded, header fields and text parts decoded. The search index is filled with
 * the same text, so that what it leaves out can't match. Large parts are decoded piece by piece, cut at line ends.
 */

import { type Layout, type RangeReader, readLayout, readRange } from '../mail/layout.ts';
import { decodeCharset } from './charset.ts';
import { decodeHeaderText } from './encoded-word.ts';
import { fieldValue, parseHeader } from './header.ts';
import { parameter } from './parameters.ts';
import type { Part } from './part.ts';
import { partText } from './text.ts';
import { TransferDecoder } from './transfer-decoder.ts';

/** Encoded parts up to this size are decoded at once. */
const WHOLE_BYTES_MAX = 512 * 1024;
const PIECE_BYTES = 256 * 1024;
const LF = 10;
const ASCII = /^[\x00-\x7f]*$/;

/** Case and composition of characters do not count: substrings are compared in this form. */
export const foldText = (text: string): string =>
  ASCII.test(text) ? text.toLowerCase() : text.normalize('NFC').toLowerCase().normalize('NFC');

export interface FoldedField {
  /** In lower case; '' for a line that is no field. */
  readonly name: string;
  readonly value: string;
}

/** The fields of a header, their values decoded and folded. */
export function foldedFields(headerBytes: Uint8Array): FoldedField[] {
  return parseHeader(headerBytes).fields.map((field) => ({
    name: field.lower,
    value: foldText(decodeHeaderText(fieldValue(headerBytes, field))),
  }));
}

/** What TEXT looks for in a header: the fields as lines. */
export const foldedHeader = (fields: readonly FoldedField[]): string =>
  fields.map(({ name, value }) => (name === '' ? value : `${name}: ${value}`)).join('\n');

export interface TextPiece {
  readonly text: string;
  /** It begins another part: no word goes across. */
  readonly first: boolean;
}

/** Text parts in order, attachments too, and the headers of messages inside of the message; folded. */
export async function* bodyText(blobs: RangeReader, layout: Layout, root: Part): AsyncGenerator<TextPiece> {
  const open: { readonly part: Part; readonly isHeader: boolean }[] = [{ part: root, isHeader: false }];
  for (let next = open.pop(); next !== undefined; next = open.pop()) {
    const { part, isHeader } = next;
    if (isHeader) {
      const header = await readRange(blobs, layout, part.headerStart, part.headerEnd);
      yield { text: foldedHeader(foldedFields(header)), first: true };
      continue;
    }
    for (let i = part.children.length - 1; i >= 0; i--) open.push({ part: part.children[i]!, isHeader: false });
    if (part.message !== null) {
      const inner = part.message.part;
      open.push({ part: inner, isHeader: false }, { part: inner, isHeader: true });
    }
    if (part.type === 'text') yield* partPieces(blobs, layout, part);
  }
}

async function* partPieces(blobs: RangeReader, layout: Layout, part: Part): AsyncGenerator<TextPiece> {
  const { bodyStart, bodyEnd, encoding } = part;
  if (bodyEnd - bodyStart <= WHOLE_BYTES_MAX) {
    const encoded = await readRange(blobs, layout, bodyStart, bodyEnd);
    yield { text: foldText(partText(part, encoded)), first: true };
    return;
  }
  const decode = pieceDecoder(parameter(part.params, 'charset') ?? '');
  const transfer = new TransferDecoder(encoding);
  let held: Buffer = Buffer.alloc(0);
  let first = true;
  for await (const encoded of readLayout(blobs, layout, bodyStart, bodyEnd)) {
    held = Buffer.concat([held, transfer.push(encoded)]);
    if (held.length < PIECE_BYTES) continue;
    const lineEnd = held.lastIndexOf(LF) + 1;
    const cut = lineEnd > 0 ? lineEnd : held.length;
    yield { text: foldText(decode(held.subarray(0, cut), false)), first };
    first = false;
    held = held.subarray(cut);
  }
  yield { text: foldText(decode(Buffer.concat([held, transfer.end()]), true)), first };
}

/** Charsets in which a line end is not always the byte LF, or in which lines hang together, are decoded as a stream. */
function pieceDecoder(label: string): (bytes: Uint8Array, last: boolean) => string {
  if (/^(?:utf-?16|iso-2022)/i.test(label)) {
    try {
      const decoder = new TextDecoder(label);
      return (bytes, last) => decoder.decode(bytes, { stream: !last });
    } catch {
      // not a charset of the WHATWG list
    }
  }
  return (bytes) => decodeCharset(bytes, label);
}
