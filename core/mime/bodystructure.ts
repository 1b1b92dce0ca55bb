/**
 * BODYSTRUCTURE and BODY as they are sent (RFC 9051 §7.5.2 and the grammar's `body`). What the grammar has no form for
 * is shown as something that it has: a multipart without parts has one empty text part, a message that was not taken
 * apart is an opaque leaf.
 */

import { imapNstring, imapString } from './imap-text.ts';
import type { Disposition, Params, Part } from './part.ts';

const EMPTY_TEXT = '("text" "plain" ("charset" "us-ascii") NIL NIL "7bit" 0 0';

function paramsText(params: Params): string {
  if (params.length === 0) return 'NIL';
  return `(${params.map(([name, value]) => `${imapString(name)} ${imapString(value)}`).join(' ')})`;
}

const dispositionText = (disposition: Disposition | null): string =>
  disposition === null ? 'NIL' : `(${imapString(disposition.type)} ${paramsText(disposition.params)})`;

function languageText(language: readonly string[]): string {
  if (language.length === 0) return 'NIL';
  return language.length === 1 ? imapString(language[0]!) : `(${language.map(imapString).join(' ')})`;
}

const extension = (part: Part): string =>
  ` ${dispositionText(part.disposition)} ${languageText(part.language)} ${imapNstring(part.location)}`;

function multipartText(part: Part, extended: boolean): string {
  let text = '(';
  for (const child of part.children) text += bodyText(child, extended);
  // RFC 9051 §9: body-type-mpart has at least one body
  if (part.children.length === 0) text += `${EMPTY_TEXT}${extended ? ' NIL NIL NIL NIL' : ''})`;
  text += ` ${imapString(part.subtype)}`;
  return `${text}${extended ? ` ${paramsText(part.params)}${extension(part)}` : ''})`;
}

/** RFC 2046 §4.1.2: text/plain without a charset is us-ascii. */
const withCharset = (part: Part): Params =>
  part.type === 'text' &&
  part.subtype === 'plain' &&
  !part.params.some(([name]) => name === 'charset' || name === 'charset*')
    ? [...part.params, ['charset', 'us-ascii']]
    : part.params;

function bodyText(part: Part, extended: boolean): string {
  if (part.type === 'multipart') return multipartText(part, extended);
  const opaque =
    part.message === null && part.type === 'message' && (part.subtype === 'rfc822' || part.subtype === 'global');
  const [type, subtype] = opaque ? ['application', 'octet-stream'] : [part.type, part.subtype];
  let text =
    `(${imapString(type)} ${imapString(subtype)} ${paramsText(withCharset(part))} ${imapNstring(part.id)} ` +
    `${imapNstring(part.description)} ${imapString(part.encoding)} ${part.bodyEnd - part.bodyStart}`;
  if (part.message !== null) {
    const envelope = Buffer.from(part.message.envelope).toString('latin1');
    text += ` ${envelope} ${bodyText(part.message.part, extended)} ${part.lines}`;
  } else if (part.type === 'text') text += ` ${part.lines}`;
  return `${text}${extended ? ` ${imapNstring(part.md5)}${extension(part)}` : ''})`;
}

/** With extension data. */
export const bodystructureBytes = (part: Part): Uint8Array => Buffer.from(bodyText(part, true), 'latin1');

/** Without extension data, also in the parts of parts. */
export const bodyBytes = (part: Part): Uint8Array => Buffer.from(bodyText(part, false), 'latin1');
