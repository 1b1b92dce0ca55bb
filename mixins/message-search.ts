/** Full-text search for administrators: all words of a query, in any mailbox, newest first; exact whatever the index lags. */

import { ClientError } from '../core/mail/errors.ts';
import { type AccountId, contentId } from '../core/mail/ids.ts';
import { readRange } from '../core/mail/layout.ts';
import { bodyText, foldedFields, foldedHeader, foldText } from '../core/mime/search-text.ts';
import { decodeStructure } from '../core/mime/structure-code.ts';
import type { Content, Mailbox, Row } from '../core/ports/mail-store.ts';
import { limitOf } from './api.ts';
import type { MessageSummary, Page, Params } from './contracts.ts';
import { findMailbox } from './find-message.ts';
import { newestRows, summarizeRows } from './message-page.ts';
import type { Stores } from './storage.ts';

/** Messages looked at by one call; the cursor goes on from there. */
const LOOKED_AT_MAX = 20_000;
/** A call looks on for so long: one that nobody waits for any more must not go on for minutes. */
const LOOKING_MS = 5_000;
const WORDS_MAX = 10;
/** Rows read at a time. */
const STRIDE = 500;

/** `mailbox id:uid` of the last message looked at. */
function parseCursor(cursor: string | undefined): { mailbox: string; uid: number } | null {
  if (cursor === undefined) return null;
  const match = /^([^:]{1,100}):(\d{1,10})$/.exec(cursor);
  if (match === null) throw new ClientError('invalid', { what: 'cursor' });
  return { mailbox: match[1]!, uid: Number(match[2]) };
}

export async function searchMessages(
  stores: Stores,
  account: AccountId,
  request: Params<'message.search'>,
): Promise<Page<MessageSummary>> {
  const words = foldText(request.query).split(/\s+/).filter(Boolean).slice(0, WORDS_MAX);
  const narrowed = await stores.search.candidates(account, 'text', words);
  const all =
    request.mailbox === undefined
      ? await stores.mail.mailboxes(account)
      : [await findMailbox(stores.mail, account, request.mailbox)];
  const from = parseCursor(request.cursor);
  const start = from === null ? 0 : all.findIndex((mailbox) => mailbox.id === from.mailbox);
  // The mailbox was removed meanwhile, and what order the others had is not known.
  if (start < 0) throw new ClientError('invalid', { what: 'cursor', detail: 'its mailbox is gone' });
  const isCandidate = (row: Row): boolean =>
    narrowed === null || row.created > narrowed.mark || narrowed.contents.has(contentId(row.content));

  const items: MessageSummary[] = [];
  const startedAt = performance.now();
  let looked = 0;
  for (const mailbox of all.slice(start)) {
    let before = from?.mailbox === mailbox.id ? from.uid : Number.POSITIVE_INFINITY;
    for (;;) {
      const rows = await newestRows(stores, account, mailbox, before, STRIDE);
      for (const row of rows) {
        before = row.uid;
        if (!isCandidate(row)) continue;
        looked++;
        const summary = await matching(stores, account, mailbox, row, words);
        if (summary !== null) items.push(summary);
        const enough = looked === LOOKED_AT_MAX || performance.now() - startedAt > LOOKING_MS;
        if (enough || items.length === limitOf(request)) return { items, cursor: `${mailbox.id}:${before}` };
      }
      if (rows.length < STRIDE) break;
    }
  }
  return { items, cursor: null };
}

async function matching(
  stores: Stores,
  account: AccountId,
  mailbox: Mailbox,
  row: Row,
  words: readonly string[],
): Promise<MessageSummary | null> {
  const [content] = await stores.mail.contents(account, [row.content], ['layout', 'size', 'structure']);
  if (content === undefined || !(await holdsAll(stores, content, words))) return null;
  const [summary] = await summarizeRows(stores, account, [row], () => mailbox.name);
  return summary ?? null;
}

async function holdsAll({ blobs }: Stores, content: Content, words: readonly string[]): Promise<boolean> {
  const root = decodeStructure(content.structure);
  const header = foldedHeader(foldedFields(await readRange(blobs, content.layout, 0, root.bodyStart)));
  let missing = words.filter((word) => !header.includes(word));
  if (missing.length === 0) return true;
  // A word of a part that comes in several pieces is not cut: pieces end at line ends.
  for await (const { text } of bodyText(blobs, content.layout, root)) {
    missing = missing.filter((word) => !text.includes(word));
    if (missing.length === 0) return true;
  }
  return false;
}
