/**
 * ENVELOPE as it is sent (RFC 9051 §7.5.2, RFC 3501 §7.4.2), parentheses included. Header text is given as it stands,
 * unfolded, encoded words and all; of repeated fields the first counts.
 */

import { type AddressItem, parseAddressList } from './address.ts';
import { fieldText, fieldValue, type Header, type HeaderField } from './header.ts';
import { imapNstring, imapString } from './imap-text.ts';

const FIELDS = new Set([
  'date',
  'subject',
  'from',
  'sender',
  'reply-to',
  'to',
  'cc',
  'bcc',
  'in-reply-to',
  'message-id',
]);

function addressText(item: AddressItem): string {
  switch (item.t) {
    case 'groupStart':
      return `(NIL NIL ${imapString(item.name)} NIL)`;
    case 'groupEnd':
      return '(NIL NIL NIL NIL)';
    case 'mailbox':
      return `(${imapNstring(item.name)} ${imapNstring(item.route)} ${imapString(item.local)} ${imapString(item.domain)})`;
  }
}

function addressesText(items: readonly AddressItem[]): string {
  if (items.length === 0) return 'NIL';
  let text = '(';
  for (const item of items) text += addressText(item);
  return `${text})`;
}

export function envelopeBytes(headerBytes: Uint8Array, header: Header): Uint8Array {
  const found: Partial<Record<string, HeaderField>> = {};
  for (const field of header.fields) if (FIELDS.has(field.lower)) found[field.lower] ??= field;
  const text = (name: string): string => {
    const field = found[name];
    return field === undefined ? 'NIL' : imapString(fieldText(headerBytes, field));
  };
  const addresses = (name: string): string => {
    const field = found[name];
    return field === undefined ? 'NIL' : addressesText(parseAddressList(fieldValue(headerBytes, field)));
  };
  const from = addresses('from');
  const orFrom = (name: string): string => {
    const own = addresses(name);
    return own === 'NIL' ? from : own;
  };
  return Buffer.from(
    `(${text('date')} ${text('subject')} ${from} ${orFrom('sender')} ${orFrom('reply-to')} ${addresses('to')} ` +
      `${addresses('cc')} ${addresses('bcc')} ${text('in-reply-to')} ${text('message-id')})`,
    'latin1',
  );
}
