/**
 * What the features are taken from: a message's header fields, its visible text in reading order and what its markup
 * gives away. Reads at most the first BYTES_MAX bytes; whatever a message holds, the work is bounded by these limits.
 */

import { decodeCharset } from '../mime/charset.ts';
import { decodeHeaderText } from '../mime/encoded-word.ts';
import { fieldValue, type Header, parseHeader } from '../mime/header.ts';
import { parameter, partFilename } from '../mime/parameters.ts';
import type { Part } from '../mime/part.ts';
import { parseStructure } from '../mime/structure.ts';
import { type HtmlText, htmlToText } from '../mime/text.ts';
import { decodeTransfer } from '../mime/transfer.ts';

export const BYTES_MAX = 256 * 1024;
/** Text parts and attachments that are looked at. */
const PARTS_MAX = 40;
/** Of one part's encoded bytes, and of its text. */
const PART_BYTES_MAX = 96 * 1024;
const TEXT_MAX = 48 * 1024;
/** Depth of embedded messages and multiparts that is followed. */
const DEPTH_MAX = 12;

export interface Field {
  /** Lower case. */
  readonly name: string;
  /** One byte per character, folding taken out. */
  readonly value: string;
}

export interface Attachment {
  readonly type: string;
  /** As the sender named it; '' for none. */
  readonly filename: string;
}

interface TextPart {
  readonly html: HtmlText | null;
  /** Decoded text; of HTML what is shown. */
  readonly text: string;
  readonly charset: string;
  readonly encoding: string;
}

export interface MessageView {
  readonly bytes: Uint8Array;
  readonly header: Header;
  readonly fields: readonly Field[];
  readonly root: Part;
  readonly texts: readonly TextPart[];
  readonly attachments: readonly Attachment[];
}

const LATIN1 = 'latin1';

/** A field's value with one byte per character. */
function rawValue(buffer: Buffer, bytes: Uint8Array, header: Header, index: number): string {
  const value = fieldValue(bytes, header.fields[index]!);
  const text = buffer.toString(
    LATIN1,
    value.byteOffset - bytes.byteOffset,
    value.byteOffset - bytes.byteOffset + Math.min(value.length, 4096),
  );
  return text.includes('\n') ? text.replace(/\r?\n/g, '') : text;
}

/** Text of the first field of that name, encoded words and raw 8-bit bytes decoded. */
export function decodedField(view: MessageView, name: string): string {
  const field = view.header.fields.find((one) => one.lower === name);
  if (field === undefined) return '';
  return decodeHeaderText(fieldValue(view.bytes, field).subarray(0, 4096)).trim();
}

export function viewMessage(message: Uint8Array): MessageView {
  const bytes = message.length > BYTES_MAX ? message.subarray(0, BYTES_MAX) : message;
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
  const header = parseHeader(bytes);
  const fields: Field[] = [];
  for (let i = 0; i < header.fields.length && i < 200; i++) {
    const name = header.fields[i]!.lower;
    if (name !== '') fields.push({ name, value: rawValue(buffer, bytes, header, i) });
  }
  const root = parseStructure(bytes);
  const texts: TextPart[] = [];
  const attachments: Attachment[] = [];
  collect(root, bytes, texts, attachments, 0);
  return { bytes, header, fields, root, texts, attachments };
}

function collect(part: Part, bytes: Uint8Array, texts: TextPart[], attachments: Attachment[], depth: number): void {
  if (texts.length + attachments.length >= PARTS_MAX || depth > DEPTH_MAX) return;
  if (part.message !== null) {
    collect(part.message.part, bytes, texts, attachments, depth + 1);
    return;
  }
  if (part.children.length > 0) {
    // Readers show the last alternative they can (RFC 2046 §5.1.4): it goes first, so that limits cut what is not seen.
    const children = part.subtype === 'alternative' ? [...part.children].reverse() : part.children;
    for (const child of children) collect(child, bytes, texts, attachments, depth + 1);
    return;
  }
  const filename = partFilename(part) ?? '';
  const attached = part.disposition?.type === 'attachment' || filename !== '';
  if (part.type !== 'text' || attached) attachments.push({ type: `${part.type}/${part.subtype}`, filename });
  if (part.type === 'text') texts.push(readText(part, bytes));
}

function readText(part: Part, bytes: Uint8Array): TextPart {
  const end = Math.min(part.bodyEnd, part.bodyStart + PART_BYTES_MAX);
  const charset = (parameter(part.params, 'charset') ?? '').toLowerCase();
  const decoded = decodeCharset(decodeTransfer(bytes.subarray(part.bodyStart, end), part.encoding), charset);
  const html = part.subtype === 'html' || looksLikeHtml(decoded) ? htmlToText(decoded, TEXT_MAX) : null;
  const text = html === null ? decoded.slice(0, TEXT_MAX) : html.text;
  return { html, text, charset, encoding: part.encoding };
}

/** Markup sent as plain text still shows in many readers, and is meant to. */
const looksLikeHtml = (text: string): boolean => /^\s{0,200}<(?:!doctype html|html|head|body)\b/i.test(text);
