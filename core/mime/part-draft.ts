/**
 * A part while the structure parser has it open: what its header says is interpreted here, positions are filled in as
 * they become known. `finish` gives the immutable Part; a child never reaches beyond its parent.
 */

import { trimWhite } from './bytes.ts';
import { envelopeBytes } from './envelope.ts';
import { fieldText, fieldValue, type Header, type HeaderField, parseHeader } from './header.ts';
import { parseStructuredField } from './parameters.ts';
import type { Disposition, Params, Part } from './part.ts';

const LANGUAGES_MAX = 20;
const LANGUAGE_LENGTH_MAX = 100;
/** RFC 2046 §5.1.1 allows 70 characters; mailers are seen to take more. */
const BOUNDARY_BYTES_MAX = 998;

const NO_PARAMS: Params = [];
/** RFC 2045 §5.2: what a part without a (valid) Content-Type is. */
const DEFAULT_PARAMS: Params = [['charset', 'us-ascii']];
const EMPTY_HEADER: Header = { fields: [], end: 0, truncated: false };

type ContentFields = Partial<Record<string, HeaderField>>;

function contentFields(header: Header): ContentFields {
  const found: ContentFields = {};
  for (const field of header.fields) if (field.lower.startsWith('content-')) found[field.lower] ??= field;
  return found;
}

/** A token without comment, in lower case: Content-Transfer-Encoding (RFC 2045 §6.1). */
const firstToken = (value: Uint8Array): string => parseStructuredField(value, 0).value.replaceAll('"', '');

function languages(bytes: Uint8Array, field: HeaderField | undefined): readonly string[] {
  if (field === undefined) return [];
  return fieldText(bytes, field)
    .split(',', LANGUAGES_MAX)
    .map((tag) => trimWhite(tag).slice(0, LANGUAGE_LENGTH_MAX))
    .filter((tag) => tag !== '');
}

export class PartDraft {
  readonly headerStart: number;
  bodyStart = -1;
  bodyEnd = -1;
  lines = 0;
  type = 'text';
  subtype = 'plain';
  params: Params = DEFAULT_PARAMS;
  readonly children: PartDraft[] = [];
  embedded: PartDraft | null = null;
  /** RFC 2046 §5.1.5: the default type within multipart/digest is message/rfc822. */
  inDigest = false;
  /** Of a message inside another one: its ENVELOPE is wanted. */
  envelope: Uint8Array | null = null;
  header: Header = EMPTY_HEADER;

  #id: string | null = null;
  #description: string | null = null;
  #encoding = '7bit';
  #md5: string | null = null;
  #disposition: Disposition | null = null;
  #language: readonly string[] = [];
  #location: string | null = null;
  #bodyLinesBefore: number;

  /** @param linesBefore line ends of the message before the part */
  constructor(headerStart: number, linesBefore: number) {
    this.headerStart = headerStart;
    this.#bodyLinesBefore = linesBefore;
  }

  get isMessage(): boolean {
    return this.type === 'message' && (this.subtype === 'rfc822' || this.subtype === 'global');
  }

  startBody(start: number, linesBefore: number): void {
    this.bodyStart = start;
    this.#bodyLinesBefore = linesBefore;
  }

  /** Ends the part at `end`, or behind the part inside it that reaches further: a blank line ends both header and part. */
  close(end: number, linesBefore: number, inner: PartDraft | undefined): void {
    if (this.bodyStart < 0) this.startBody(Math.max(this.headerStart, end), linesBefore);
    const innerEnd = inner?.bodyEnd ?? -1;
    if (innerEnd > end) {
      this.bodyEnd = Math.max(innerEnd, this.bodyStart);
      this.lines = linesBefore + 1 - this.#bodyLinesBefore;
    } else {
      this.bodyEnd = Math.max(end, this.bodyStart);
      this.lines = linesBefore - this.#bodyLinesBefore;
    }
    if (this.lines < 0 || this.bodyEnd === this.bodyStart) this.lines = 0;
  }

  /** The delimiter to look for in the body, or null when it is not to be taken apart. */
  delimiter(): Buffer | null {
    if (this.type !== 'multipart') return null;
    const boundary = this.params.find(([name]) => name === 'boundary')?.[1].trimEnd() ?? '';
    return boundary === '' || boundary.length > BOUNDARY_BYTES_MAX ? null : Buffer.from(`--${boundary}`, 'latin1');
  }

  interpret(bytes: Uint8Array, paramsMax: number, withEnvelope: boolean): void {
    const header = parseHeader(bytes);
    this.header = header;
    if (withEnvelope) this.envelope = envelopeBytes(bytes, header);
    const fields = contentFields(header);
    const text = (field: HeaderField | undefined): string | null =>
      field === undefined ? null : fieldText(bytes, field);
    const type = fields['content-type'];
    this.#interpretType(type === undefined ? null : fieldValue(bytes, type), paramsMax);
    const encoding = fields['content-transfer-encoding'];
    if (encoding !== undefined) this.#encoding = firstToken(fieldValue(bytes, encoding)) || '7bit';
    const disposition = fields['content-disposition'];
    if (disposition !== undefined) {
      const { value, params } = parseStructuredField(fieldValue(bytes, disposition), paramsMax);
      // RFC 2183 §2.8: an unknown disposition is an attachment
      this.#disposition = { type: value === '' ? 'attachment' : value, params };
    }
    this.#id = text(fields['content-id']);
    this.#description = text(fields['content-description']);
    this.#md5 = text(fields['content-md5']);
    this.#language = languages(bytes, fields['content-language']);
    this.#location = text(fields['content-location']);
  }

  #interpretType(value: Uint8Array | null, paramsMax: number): void {
    const field = value === null ? { value: '', params: NO_PARAMS } : parseStructuredField(value, paramsMax);
    const slash = field.value.indexOf('/');
    if (slash > 0 && slash < field.value.length - 1) {
      this.type = field.value.slice(0, slash);
      this.subtype = field.value.slice(slash + 1);
      this.params = field.params;
    } else if (value === null && this.inDigest) {
      this.type = 'message';
      this.subtype = 'rfc822';
      this.params = NO_PARAMS;
    } else if (field.params.length > 0) this.params = field.params;
  }

  finish(): Part {
    const { embedded } = this;
    return {
      headerStart: this.headerStart,
      headerEnd: this.bodyStart,
      bodyStart: this.bodyStart,
      bodyEnd: this.bodyEnd,
      lines: this.lines,
      type: this.type,
      subtype: this.subtype,
      params: this.params,
      id: this.#id,
      description: this.#description,
      encoding: this.#encoding,
      md5: this.#md5,
      disposition: this.#disposition,
      language: this.#language,
      location: this.#location,
      children: this.children.map((child) => child.finish()),
      message: embedded === null ? null : { envelope: embedded.envelope ?? new Uint8Array(), part: embedded.finish() },
    };
  }
}
