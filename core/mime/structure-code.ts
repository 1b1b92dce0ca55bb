/**
 * A structure as bytes, kept with each stored message: a format byte, then every part with its offsets as differences
 * (variable length, 7 bits a byte) and its strings; common strings are one byte. `decodeStructure` is the inverse; it
 * reads only what `encodeStructure` wrote, and a damaged record is a Fault, never a wrong part.
 */

import { Fault } from '../mail/errors.ts';
import { asBuffer, latin1 } from './bytes.ts';
import type { Disposition, EmbeddedMessage, Params, Part } from './part.ts';

const FORMAT = 1;
/** The same, of a message that does not end in CRLF. */
const FORMAT_OPEN = 2;

/** Strings that are written as one number. Append only: the place is the code. */
const COMMON = [
  'text',
  'plain',
  'html',
  'multipart',
  'mixed',
  'alternative',
  'related',
  'application',
  'octet-stream',
  'image',
  'message',
  'rfc822',
  'charset',
  'us-ascii',
  'utf-8',
  'UTF-8',
  'iso-8859-1',
  'boundary',
  'name',
  'filename',
  'format',
  'flowed',
  '7bit',
  '8bit',
  'base64',
  'quoted-printable',
  'binary',
  'attachment',
  'inline',
  'jpeg',
  'png',
  'gif',
  'pdf',
  'signed',
  'report',
  'delivery-status',
  'delsp',
  'yes',
  'type',
  'text/html',
  'size',
  'creation-date',
  'US-ASCII',
  'ISO-8859-1',
  'windows-1252',
  'calendar',
  'zip',
  'global',
  'digest',
  'x-unknown',
] as const;
const CODES = new Map<string, number>(COMMON.map((text, index) => [text, index]));

/** Bits of a part's first byte: what follows. */
const HAS_ID = 1;
const HAS_DESCRIPTION = 2;
const HAS_MD5 = 4;
const HAS_DISPOSITION = 8;
const HAS_LANGUAGE = 16;
const HAS_LOCATION = 32;
const HAS_CHILDREN = 64;
const HAS_MESSAGE = 128;

class Writer {
  #buffer = Buffer.allocUnsafe(512);
  #length = 0;

  #room(bytes: number): void {
    if (this.#length + bytes <= this.#buffer.length) return;
    const grown = Buffer.allocUnsafe(Math.max(this.#buffer.length * 2, this.#length + bytes));
    this.#buffer.copy(grown, 0, 0, this.#length);
    this.#buffer = grown;
  }

  byte(value: number): void {
    this.#room(1);
    this.#buffer[this.#length++] = value;
  }

  number(value: number): void {
    this.#room(8);
    let rest = value;
    while (rest >= 128) {
      this.#buffer[this.#length++] = (rest % 128) | 128;
      rest = Math.floor(rest / 128);
    }
    this.#buffer[this.#length++] = rest;
  }

  /** Even numbers: a common string; odd ones: a length, and the bytes. */
  string(text: string): void {
    const code = CODES.get(text);
    if (code !== undefined) {
      this.number(code * 2);
      return;
    }
    this.number(text.length * 2 + 1);
    this.#room(text.length);
    this.#length += this.#buffer.write(text, this.#length, 'latin1');
  }

  bytes(bytes: Uint8Array): void {
    this.number(bytes.length);
    this.#room(bytes.length);
    this.#buffer.set(bytes, this.#length);
    this.#length += bytes.length;
  }

  finish(): Uint8Array {
    return Buffer.from(this.#buffer.subarray(0, this.#length));
  }
}

class Reader {
  readonly #buffer: Buffer;
  #at = 0;

  constructor(bytes: Uint8Array) {
    this.#buffer = asBuffer(bytes);
  }

  get done(): boolean {
    return this.#at === this.#buffer.length;
  }

  byte(): number {
    const value = this.#buffer[this.#at++];
    if (value === undefined) throw new Fault('a stored structure is cut short');
    return value;
  }

  number(): number {
    let value = 0;
    let factor = 1;
    for (;;) {
      const byte = this.byte();
      value += (byte & 127) * factor;
      if (byte < 128) return value;
      factor *= 128;
      if (factor > Number.MAX_SAFE_INTEGER) throw new Fault('a stored structure has an impossible number');
    }
  }

  #take(length: number): number {
    const start = this.#at;
    if (start + length > this.#buffer.length) throw new Fault('a stored structure is cut short');
    this.#at += length;
    return start;
  }

  string(): string {
    const code = this.number();
    if (code % 2 === 0) {
      const common = COMMON[code / 2];
      if (common === undefined) throw new Fault('a stored structure has an unknown string');
      return common;
    }
    const start = this.#take((code - 1) / 2);
    return latin1(this.#buffer, start, this.#at);
  }

  bytes(): Uint8Array {
    const start = this.#take(this.number());
    return Buffer.from(this.#buffer.subarray(start, this.#at));
  }

  list<T>(read: () => T): T[] {
    const count = this.number();
    if (count > this.#buffer.length) throw new Fault('a stored structure has an impossible count');
    return Array.from({ length: count }, read);
  }
}

function writeParams(writer: Writer, params: Params): void {
  writer.number(params.length);
  for (const [name, value] of params) {
    writer.string(name);
    writer.string(value);
  }
}

const readParams = (reader: Reader): Params => reader.list(() => [reader.string(), reader.string()] as const);

/** @param base where the part before ended or its parent's body starts: offsets are written as distances from it */
function writePart(writer: Writer, part: Part, base: number): void {
  const { disposition, message } = part;
  writer.byte(
    (part.id === null ? 0 : HAS_ID) |
      (part.description === null ? 0 : HAS_DESCRIPTION) |
      (part.md5 === null ? 0 : HAS_MD5) |
      (disposition === null ? 0 : HAS_DISPOSITION) |
      (part.language.length === 0 ? 0 : HAS_LANGUAGE) |
      (part.location === null ? 0 : HAS_LOCATION) |
      (part.children.length === 0 ? 0 : HAS_CHILDREN) |
      (message === null ? 0 : HAS_MESSAGE),
  );
  writer.number(part.headerStart - base);
  writer.number(part.bodyStart - part.headerStart);
  writer.number(part.bodyEnd - part.bodyStart);
  writer.number(part.lines);
  writer.string(part.type);
  writer.string(part.subtype);
  writer.string(part.encoding);
  writeParams(writer, part.params);
  if (part.id !== null) writer.string(part.id);
  if (part.description !== null) writer.string(part.description);
  if (part.md5 !== null) writer.string(part.md5);
  if (disposition !== null) {
    writer.string(disposition.type);
    writeParams(writer, disposition.params);
  }
  if (part.language.length > 0) {
    writer.number(part.language.length);
    for (const tag of part.language) writer.string(tag);
  }
  if (part.location !== null) writer.string(part.location);
  if (part.children.length > 0) {
    writer.number(part.children.length);
    let last = part.bodyStart;
    for (const child of part.children) {
      writePart(writer, child, last);
      last = child.bodyEnd;
    }
  }
  if (message !== null) {
    writer.bytes(message.envelope);
    writePart(writer, message.part, part.bodyStart);
  }
}

function readPart(reader: Reader, base: number): Part {
  const has = reader.byte();
  const headerStart = base + reader.number();
  const bodyStart = headerStart + reader.number();
  const bodyEnd = bodyStart + reader.number();
  const lines = reader.number();
  const type = reader.string();
  const subtype = reader.string();
  const encoding = reader.string();
  const params = readParams(reader);
  const optional = (bit: number): string | null => ((has & bit) === 0 ? null : reader.string());
  const id = optional(HAS_ID);
  const description = optional(HAS_DESCRIPTION);
  const md5 = optional(HAS_MD5);
  const disposition: Disposition | null =
    (has & HAS_DISPOSITION) === 0 ? null : { type: reader.string(), params: readParams(reader) };
  const language = (has & HAS_LANGUAGE) === 0 ? [] : reader.list(() => reader.string());
  const location = optional(HAS_LOCATION);
  let last = bodyStart;
  const readChild = (): Part => {
    const child = readPart(reader, last);
    last = child.bodyEnd;
    return child;
  };
  const children = (has & HAS_CHILDREN) === 0 ? [] : reader.list(readChild);
  const message: EmbeddedMessage | null =
    (has & HAS_MESSAGE) === 0 ? null : { envelope: reader.bytes(), part: readPart(reader, bodyStart) };
  return {
    headerStart,
    headerEnd: bodyStart,
    bodyStart,
    bodyEnd,
    lines,
    type,
    subtype,
    params,
    id,
    description,
    encoding,
    md5,
    disposition,
    language,
    location,
    children,
    message,
  };
}

/** @param closed the message ends in CRLF */
export function encodeStructure(part: Part, closed = true): Uint8Array {
  const writer = new Writer();
  writer.byte(closed ? FORMAT : FORMAT_OPEN);
  writePart(writer, part, 0);
  return writer.finish();
}

export function decodeStructure(bytes: Uint8Array): Part {
  const reader = new Reader(bytes);
  const format = reader.byte();
  if (format !== FORMAT && format !== FORMAT_OPEN) throw new Fault('a stored structure has an unknown format');
  const part = readPart(reader, 0);
  if (!reader.done) throw new Fault('a stored structure has bytes left over');
  return part;
}

/** Whether the message that an encoded structure is of ends in CRLF: told by its first byte. */
export const endsInCrlf = (structure: Uint8Array): boolean => structure[0] !== FORMAT_OPEN;

function moved(part: Part, delta: number): Part {
  return {
    ...part,
    headerStart: part.headerStart + delta,
    headerEnd: part.headerEnd + delta,
    bodyStart: part.bodyStart + delta,
    bodyEnd: part.bodyEnd + delta,
    children: part.children.map((child) => moved(child, delta)),
    message: part.message === null ? null : { envelope: part.message.envelope, part: moved(part.message.part, delta) },
  };
}

/** The structure after `delta` bytes were put before (or, negative, taken out of) the root's header. */
export const shiftStructure = (root: Part, delta: number): Part =>
  delta === 0 ? root : { ...moved(root, delta), headerStart: root.headerStart };
