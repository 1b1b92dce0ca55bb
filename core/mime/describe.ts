/**
 * Everything that is kept about a message besides its bytes, from one pass over them: structure, ENVELOPE,
 * BODYSTRUCTURE and the few fields that are looked up.
 */

import type { Layout } from '../mail/layout.ts';
import type { ContentInput } from '../ports/mail-store.ts';
import { bodystructureBytes } from './bodystructure.ts';
import { parseDate } from './date.ts';
import { decodeHeaderText } from './encoded-word.ts';
import { envelopeBytes } from './envelope.ts';
import { fieldText, fieldValue, findField } from './header.ts';
import type { Part } from './part.ts';
import { StructureParser } from './structure.ts';
import { encodeStructure } from './structure-code.ts';

export interface MessageDescription {
  readonly size: number;
  readonly root: Part;
  readonly envelope: Uint8Array;
  readonly bodystructure: Uint8Array;
  /** `root` encoded. */
  readonly structure: Uint8Array;
  /** With its brackets, or ''. */
  readonly messageId: string;
  /** Date field, seconds since 1970, or null. */
  readonly sentAt: number | null;
  /** Decoded, at most 200 characters. */
  readonly subject: string;
  /** The From field decoded, at most 200 characters. */
  readonly from: string;
}

const SHOWN_LENGTH_MAX = 200;
/** A Message-ID line has 998 characters at most (RFC 5322 §2.1.1). */
const MESSAGE_ID_LENGTH_MAX = 998;

/** The first `<…>` of the field; RFC 5322 §3.6.4 has nothing else there but comments. */
function bracketed(text: string): string {
  const open = text.indexOf('<');
  const close = text.indexOf('>', open + 1);
  const id = open < 0 || close < 0 ? text : text.slice(open, close + 1);
  return id.length > MESSAGE_ID_LENGTH_MAX ? '' : id;
}

/** The description of a message whose bytes have all been pushed into the parser. */
function describeParsed(parser: StructureParser): MessageDescription {
  const root = parser.end();
  const { header, fields } = parser;
  const shown = (name: string): string => {
    const field = findField(fields, name);
    return field === undefined ? '' : decodeHeaderText(fieldValue(header, field)).slice(0, SHOWN_LENGTH_MAX);
  };
  const plain = (name: string): string => {
    const field = findField(fields, name);
    return field === undefined ? '' : fieldText(header, field);
  };
  return {
    size: parser.size,
    root,
    envelope: envelopeBytes(header, fields),
    bodystructure: bodystructureBytes(root),
    structure: encodeStructure(root, parser.endsInCrlf),
    messageId: bracketed(plain('message-id')),
    sentAt: parseDate(plain('date')),
    subject: shown('subject'),
    from: shown('from'),
  };
}

export async function describeMessage(
  chunks: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
): Promise<MessageDescription> {
  const parser = new StructureParser();
  for await (const chunk of chunks) parser.push(chunk);
  return describeParsed(parser);
}

/** @param origin the queue id it was delivered under, or '' */
export const toContentInput = (description: MessageDescription, layout: Layout, origin: string): ContentInput => ({
  layout,
  size: description.size,
  envelope: description.envelope,
  bodystructure: description.bodystructure,
  structure: description.structure,
  messageId: description.messageId,
  sentAt: description.sentAt,
  origin,
});
