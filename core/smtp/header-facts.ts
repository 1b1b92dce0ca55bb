/**
 * What the receiving policy needs to know of a message's header section: which fields are taken out because they are
 * the last server's to write, whether the message goes round in circles, and a few values for the record.
 */

import type { Range } from '../mail/accepted.ts';
import { normalizeAddress, parseAddress } from '../mail/address.ts';
import type { Address } from '../mail/envelope.ts';
import { parseAddressList } from '../mime/address.ts';
import { decodeHeaderText } from '../mime/encoded-word.ts';
import { fieldText, fieldValue, type HeaderField, parseHeader } from '../mime/header.ts';
import type { SmtpConfig } from './environment.ts';

const SUBJECT_CHARACTERS_MAX = 200;
/** Longer values are no Message-ID that anyone searches for (RFC 5322 §2.1.1: 998 characters a line). */
const MESSAGE_ID_CHARACTERS_MAX = 998;
/** Fields of ours, which a sender must not be able to forge. */
const OWN_PREFIX = 'x-mailmesh-';

export interface HeaderFacts {
  readonly removed: readonly Range[];
  readonly received: number;
  /** Normalised. */
  readonly deliveredTo: ReadonlySet<string>;
  /** With its brackets, or ''. */
  readonly messageId: string;
  readonly subject: string;
  readonly hasDate: boolean;
  readonly hasMessageId: boolean;
  readonly from: readonly HeaderField[];
  /** There are more fields than the limit. */
  readonly tooMany: boolean;
}

const utf8 = (latin1: string): string => Buffer.from(latin1, 'latin1').toString('utf8');

/** Behind comments and white space (CFWS, RFC 5322 §3.2.2). */
function skipCfws(text: string): number {
  let depth = 0;
  let at = 0;
  for (; at < text.length; at++) {
    const character = text[at]!;
    if (depth > 0 && character === '\\') at++;
    else if (character === '(') depth++;
    else if (character === ')' && depth > 0) depth--;
    else if (depth === 0 && !' \t\r\n'.includes(character)) break;
  }
  return Math.min(at, text.length);
}

/** The authserv-id of Authentication-Results (RFC 8601 §2.2), in lower case. */
function authservId(text: string): string {
  const rest = text.slice(skipCfws(text));
  const match = /^(?:"([^"]*)"|([^\s;(]+))/.exec(rest);
  return (match?.[1] ?? match?.[2] ?? '').toLowerCase();
}

function deliveredTo(text: string): string | null {
  const bare = text.startsWith('<') && text.endsWith('>') ? text.slice(1, -1) : text;
  const address = parseAddress(utf8(bare), { smtputf8: true });
  return address === null ? null : normalizeAddress(address);
}

function messageIdOf(text: string): string {
  const start = text.indexOf('<');
  const end = text.indexOf('>', start + 1);
  if (start < 0 || end < 0 || end - start >= MESSAGE_ID_CHARACTERS_MAX) return '';
  return utf8(text.slice(start, end + 1));
}

export function headerFacts(bytes: Uint8Array, config: SmtpConfig): HeaderFacts {
  const header = parseHeader(bytes, { fieldsMax: config.headerFieldsMax });
  const hostname = config.hostname.toLowerCase();
  const removed: Range[] = [];
  const circles = new Set<string>();
  const from: HeaderField[] = [];
  let received = 0;
  let messageId: string | null = null;
  let subject: string | null = null;
  let hasDate = false;
  for (const field of header.fields) {
    switch (field.lower) {
      case 'received':
        received++;
        break;
      case 'return-path':
        // RFC 5321 §4.4: the server that makes final delivery removes others' before it adds its own.
        removed.push([field.start, field.end]);
        break;
      case 'authentication-results':
        // RFC 8601 §5: results under our name that we did not write are forged.
        if (authservId(fieldText(bytes, field)) === hostname) removed.push([field.start, field.end]);
        break;
      case 'delivered-to': {
        const address = deliveredTo(fieldText(bytes, field));
        if (address !== null) circles.add(address);
        break;
      }
      case 'message-id':
        messageId ??= messageIdOf(fieldText(bytes, field));
        break;
      case 'subject':
        subject ??= decodeHeaderText(fieldValue(bytes, field)).trim();
        break;
      case 'date':
        hasDate = true;
        break;
      case 'from':
        from.push(field);
        break;
      default:
        if (field.lower.startsWith(OWN_PREFIX)) removed.push([field.start, field.end]);
    }
  }
  return {
    removed,
    received,
    deliveredTo: circles,
    messageId: messageId ?? '',
    subject: (subject ?? '').slice(0, SUBJECT_CHARACTERS_MAX).toWellFormed(),
    hasDate,
    hasMessageId: messageId !== null,
    from,
    tooMany: header.truncated,
  };
}

/** Every address of the From fields, or null where one of them shows none that can be read. */
export function fromAddresses(bytes: Uint8Array, fields: readonly HeaderField[]): readonly Address[] | null {
  const addresses: Address[] = [];
  for (const field of fields) {
    const before = addresses.length;
    for (const item of parseAddressList(fieldValue(bytes, field))) {
      if (item.t !== 'mailbox') continue;
      if (item.local === '' || item.domain === '') return null;
      addresses.push({ localPart: utf8(item.local), domain: utf8(item.domain) });
    }
    if (addresses.length === before) return null;
  }
  return addresses;
}
