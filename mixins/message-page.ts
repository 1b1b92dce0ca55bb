/** Messages as people and programs read them over REST: lists from the stored columns, one message by mailparser. */

import { createHash } from 'node:crypto';
import { type ParsedMail, simpleParser } from 'mailparser';
import { type AccountId, type ContentId, contentId } from '../core/mail/ids.ts';
import { readRange } from '../core/mail/layout.ts';
import { decodeHeaderText } from '../core/mime/encoded-word.ts';
import { fieldValue, findField, parseHeader } from '../core/mime/header.ts';
import type { Content, Mailbox, Row } from '../core/ports/mail-store.ts';
import type { MessageSummary, MessageView } from './contracts.ts';
import type { FoundMessage } from './find-message.ts';
import type { Stores } from './storage.ts';

/** Bytes of a header that a summary looks at. */
const HEADER_BYTES_MAX = 64 * 1024;
/** What is behind that is not shown; the whole can be had raw. */
const PARSE_BYTES_MAX = 25 * 1024 * 1024;
/** Turning HTML into text takes about a second for 2 MB, in which nothing else is done: longer HTML is given as it is. */
const HTML_CHARACTERS_MAX = 256 * 1024;
const PARSER = { skipImageLinks: true, skipTextToHtml: true, maxHtmlLengthToParse: HTML_CHARACTERS_MAX };
const SHOWN_MAX = 1000;
/** Headers read at a time. */
const STRIDE = 50;

async function headerTexts(stores: Stores, content: Content, names: readonly string[]): Promise<string[]> {
  const bytes = await readRange(stores.blobs, content.layout, 0, Math.min(content.size, HEADER_BYTES_MAX));
  const header = parseHeader(bytes);
  return names.map((name) => {
    const field = findField(header, name);
    return field === undefined ? '' : decodeHeaderText(fieldValue(bytes, field)).slice(0, SHOWN_MAX);
  });
}

async function summarize(
  stores: Stores,
  mailbox: string,
  row: Pick<Row, 'uid' | 'flags' | 'size' | 'internalDate'>,
  content: Content,
): Promise<MessageSummary> {
  const [subject, from] = await headerTexts(stores, content, ['subject', 'from']);
  return {
    mailbox,
    uid: row.uid,
    flags: row.flags,
    sizeBytes: row.size,
    receivedAt: row.internalDate * 1000,
    subject: subject!,
    from: from!,
    messageId: content.messageId,
    queueId: content.origin,
  };
}

/** Summaries of rows of one account, in their order; rows whose content is gone meanwhile are left out. */
export async function summarizeRows(
  stores: Stores,
  account: AccountId,
  rows: readonly Row[],
  nameOf: (row: Row) => string,
): Promise<readonly MessageSummary[]> {
  const ids: ContentId[] = rows.map((row) => contentId(row.content));
  const contents = await stores.mail.contents(account, ids, ['layout', 'size', 'messageId', 'origin']);
  const summaries: MessageSummary[] = [];
  for (let start = 0; start < rows.length; start += STRIDE) {
    const some = await Promise.all(
      rows.slice(start, start + STRIDE).map((row, i) => {
        const content = contents[start + i];
        return content === undefined ? null : summarize(stores, nameOf(row), row, content);
      }),
    );
    summaries.push(...some.filter((summary) => summary !== null));
  }
  return summaries;
}

/** The newest `limit` messages of a mailbox with a uid below `before`. */
export async function newestRows(
  stores: Stores,
  account: AccountId,
  mailbox: Mailbox,
  before: number,
  limit: number,
): Promise<readonly Row[]> {
  const columns = await stores.mail.columns(account, mailbox.id);
  if (columns === undefined) return [];
  const below = columns.uids.filter((uid) => uid < before);
  const rows = await stores.mail.rows(account, mailbox.id, below.slice(-limit));
  return [...rows].reverse();
}

/** A message that the parser gives up on (too many parts, too long a header) is shown by the beginning of its header. */
async function parse(bytes: Uint8Array): Promise<ParsedMail> {
  try {
    return await simpleParser(Buffer.from(bytes), PARSER);
  } catch {
    const { end } = parseHeader(bytes.subarray(0, HEADER_BYTES_MAX));
    return simpleParser(Buffer.from(bytes.subarray(0, end)), PARSER);
  }
}

export async function viewMessage(stores: Stores, found: FoundMessage): Promise<MessageView> {
  const { content, mailbox, row } = found;
  const base = await summarize(stores, mailbox.name, row, content);
  const bytes = await readRange(stores.blobs, content.layout, 0, Math.min(content.size, PARSE_BYTES_MAX));
  const mail = await parse(bytes);
  const address = (value: typeof mail.to): string =>
    value === undefined
      ? ''
      : [value]
          .flat()
          .map((one) => one.text)
          .join(', ');
  return {
    ...base,
    to: address(mail.to),
    cc: address(mail.cc),
    date: mail.date?.toISOString() ?? null,
    text: mail.text ?? '',
    html: mail.html || null,
    headers: mail.headerLines.map(({ key, line }) => ({ name: key, value: line.slice(line.indexOf(':') + 1).trim() })),
    attachments: mail.attachments.map((attachment) => ({
      filename: attachment.filename ?? null,
      contentType: attachment.contentType,
      sizeBytes: attachment.size,
      sha256: createHash('sha256').update(attachment.content).digest('hex'),
    })),
  };
}
