/**
 * Carries out SEARCH. Columns are looked at first, for all messages at once; what they leave open goes on to the Date
 * field, to the search index (which can only rule out), to the header and at last to the body, which is read from the
 * message itself: an index that lags or is lost makes a search slow, never wrong. Expunged messages match nothing.
 */

import { asMailError } from '../mail/errors.ts';
import { type ContentId, contentId, type ModSeq } from '../mail/ids.ts';
import { readRange } from '../mail/layout.ts';
import { parseDateTime } from '../mime/date.ts';
import { bodyText, foldedFields, foldedHeader } from '../mime/search-text.ts';
import { decodeStructure } from '../mime/structure-code.ts';
import type { Content, ContentField } from '../ports/mail-store.ts';
import { envelopeDate } from './envelope-date.ts';
import { plainRanges, type SeqRange, seqRanges } from './message-set.ts';
import { Pace } from './pace.ts';
import { evaluate, type Facts, type Sets } from './search-evaluate.ts';
import { everyKey, type SearchKey } from './search-keys.ts';
import type { ImapSession } from './session.ts';

export interface Match {
  readonly seq: number;
  readonly uid: number;
  readonly modSeq: number;
}

type TextKey = Extract<SearchKey, { t: 'header' | 'body' | 'text' }>;

/** Messages taken from the columns, and contents loaded, at once. */
const BATCH = 512;
/** Messages read side by side. */
const READERS = 8;
const DAY_SECONDS = 86_400;
/** More than any zone's offset that is understood, and a day. */
const ZONE_SECONDS_MAX = 6 * DAY_SECONDS;
const NO_BYTES = new Uint8Array(0);

const startOfDay = (seconds: number): number => Math.floor(seconds / DAY_SECONDS) * DAY_SECONDS;

const isTextKey = (key: SearchKey): key is TextKey => key.t === 'header' || key.t === 'body' || key.t === 'text';

export async function search(session: ImapSession, key: SearchKey): Promise<Match[]> {
  const run = new SearchRun(session, key);
  await run.askIndex();
  return await run.all();
}

class SearchRun {
  readonly #session: ImapSession;
  readonly #key: SearchKey;
  readonly #sets: Sets;
  readonly #textKeys: readonly TextKey[];
  /** Days that Date fields are compared with. */
  readonly #sentDays: readonly number[];
  readonly #pace: Pace;
  /** What the index says of a key: contents behind `mark` it knows nothing about. */
  readonly #candidates = new Map<TextKey, { readonly mark: ModSeq; readonly contents: ReadonlySet<ContentId> }>();

  constructor(session: ImapSession, key: SearchKey) {
    this.#session = session;
    this.#key = key;
    this.#pace = new Pace(session);
    const { map } = session.view;
    const sets = new Map<SearchKey, readonly SeqRange[]>();
    const lastUid = map.count === 0 ? 0 : map.uidAt(map.count);
    const keys = [...everyKey(key)];
    for (const one of keys) {
      if (one.t === 'seq') sets.set(one, seqRanges(one.set, map, true));
      else if (one.t === 'uid') sets.set(one, plainRanges(one.set, lastUid));
    }
    this.#sets = sets;
    this.#textKeys = keys.filter(isTextKey);
    this.#sentDays = keys.flatMap((one) => (one.t === 'sent' ? [one.day] : []));
  }

  async askIndex(): Promise<void> {
    const { env, account } = this.#session;
    for (const key of this.#textKeys) {
      if (key.needle === '') continue;
      try {
        const found = await env.search.candidates(account, key.t, [key.needle]);
        if (found !== null) this.#candidates.set(key, found);
      } catch (thrown) {
        // Without it the messages themselves are read.
        this.#session.log('imap.searchIndexFailed', { error: asMailError(thrown).message });
      }
    }
  }

  async all(): Promise<Match[]> {
    const matches: Match[] = [];
    const { map } = this.#session.view;
    for (let seq = 1; seq <= map.count; ) {
      const { facts, next } = this.#gather(seq);
      seq = next;
      const open = facts.filter((one) => evaluate(this.#key, one, this.#sets) !== true);
      if (open.length > 0) await this.#settle(open);
      await this.#pace.step();
      for (const one of facts) {
        if (evaluate(this.#key, one, this.#sets) === true)
          matches.push({ seq: one.seq, uid: one.uid, modSeq: one.modSeq });
      }
    }
    return matches;
  }

  /** The next messages that the columns do not rule out. */
  #gather(first: number): { readonly facts: Facts[]; readonly next: number } {
    const { map, columns, recent } = this.#session.view;
    const facts: Facts[] = [];
    for (const { rows, row, length, seq } of map.runs(first, map.count)) {
      if (rows !== columns.rows) continue;
      for (let i = 0; i < length; i++) {
        const uid = rows.uids[row + i]!;
        const one: Facts = {
          seq: seq + i,
          uid,
          flags: rows.table.get(rows.flags[row + i]!),
          recent: recent.has(uid),
          modSeq: rows.modSeqs[row + i]!,
          date: rows.dates[row + i]!,
          size: rows.sizes[row + i]!,
          content: rows.contents[row + i]!,
        };
        if (evaluate(this.#key, one, this.#sets) === false) continue;
        facts.push(one);
        if (facts.length === BATCH) return { facts, next: seq + i + 1 };
      }
    }
    return { facts, next: map.count + 1 };
  }

  /** Looks at messages until each is decided. */
  async #settle(facts: readonly Facts[]): Promise<void> {
    for (const one of facts) this.#ruleOut(one);
    let open = this.#undecided(facts);
    if (this.#sentDays.length > 0 && open.length > 0) {
      await this.#loadSentDays(open);
      open = this.#undecided(open);
    }
    if (open.length === 0) return;
    const { env, account } = this.#session;
    const ids = open.map((one) => contentId(one.content));
    const contents = await env.store.contents(account, ids, ['layout', 'structure']);
    let next = 0;
    const reader = async (): Promise<void> => {
      while (next < open.length) {
        const at = next++;
        await this.#readOrSkip(open[at]!, contents[at]);
        await this.#pace.step();
      }
    };
    await Promise.all(Array.from({ length: Math.min(READERS, open.length) }, reader));
  }

  #undecided(facts: readonly Facts[]): Facts[] {
    return facts.filter((one) => evaluate(this.#key, one, this.#sets) === undefined);
  }

  /** By the index. A message that has not changed since the index was brought up to date has its content in it. */
  #ruleOut(facts: Facts): void {
    for (const [key, { mark, contents }] of this.#candidates) {
      if (facts.modSeq > mark || contents.has(contentId(facts.content))) continue;
      facts.found ??= new Map();
      facts.found.set(key, false);
    }
  }

  /** RFC 3501 §6.4.4: the day as the Date field has it, whatever its zone, which only matters near a day asked for. */
  async #loadSentDays(open: readonly Facts[]): Promise<void> {
    const { env, account } = this.#session;
    const load = (facts: readonly Facts[], fields: readonly ContentField[]) => {
      const ids = facts.map((one) => contentId(one.content));
      return env.store.contents(account, ids, fields);
    };
    const contents = await load(open, ['sentAt']);
    const near: Facts[] = [];
    for (let i = 0; i < open.length; i++) {
      const sentAt = contents[i]?.sentAt ?? null;
      open[i]!.sentDay = sentAt === null ? null : startOfDay(sentAt);
      if (sentAt !== null && this.#sentDays.some((day) => Math.abs(sentAt - day) < ZONE_SECONDS_MAX))
        near.push(open[i]!);
    }
    if (near.length === 0) return;
    const envelopes = await load(near, ['envelope']);
    for (let i = 0; i < near.length; i++) {
      const date = parseDateTime(envelopeDate(envelopes[i]?.envelope ?? NO_BYTES));
      if (date !== null) near[i]!.sentDay = startOfDay(date.seconds + date.offsetSeconds);
    }
  }

  /** A message that can't be read is logged and has no text: the others are still found. */
  async #readOrSkip(facts: Facts, content: Content | undefined): Promise<void> {
    try {
      await this.#read(facts, content);
    } catch (thrown) {
      const error = asMailError(thrown);
      this.#session.log('imap.unreadable', { ...error.facts, error: error.message });
      facts.found ??= new Map();
      for (const key of this.#textKeys) if (!facts.found.has(key)) facts.found.set(key, false);
      delete facts.fields;
      delete facts.header;
    }
  }

  /** Reads header and body as far as it matters. A content that is gone has no text. */
  async #read(facts: Facts, content: Content | undefined): Promise<void> {
    if (content === undefined) {
      facts.found = new Map(this.#textKeys.map((key) => [key, false]));
      return;
    }
    const { blobs } = this.#session.env;
    const root = decodeStructure(content.structure);
    const header = await readRange(blobs, content.layout, root.headerStart, root.headerEnd);
    facts.fields = foldedFields(header);
    if (this.#textKeys.some((key) => key.t === 'text')) facts.header = foldedHeader(facts.fields);
    facts.found ??= new Map();
    const { found } = facts;
    if (evaluate(this.#key, facts, this.#sets) === undefined) {
      const wanted = this.#textKeys.filter(
        (key) => key.t !== 'header' && !found.has(key) && !(key.t === 'text' && facts.header!.includes(key.needle)),
      );
      await this.#searchBody(wanted, content, root, found);
    }
    // Only what was decided stays, since texts of many messages would add up; keys still open have no part in it.
    for (const key of this.#textKeys) if (!found.has(key)) found.set(key, evaluate(key, facts, this.#sets) === true);
    delete facts.fields;
    delete facts.header;
  }

  async #searchBody(
    wanted: readonly TextKey[],
    content: Content,
    root: ReturnType<typeof decodeStructure>,
    found: Map<SearchKey, boolean>,
  ): Promise<void> {
    let open = wanted;
    const overlap = Math.max(0, ...wanted.map((key) => key.needle.length - 1));
    let tail = '';
    for await (const { text, first } of bodyText(this.#session.env.blobs, content.layout, root)) {
      const seen = first ? text : tail + text;
      for (const key of open) if (seen.includes(key.needle)) found.set(key, true);
      open = open.filter((key) => !found.has(key));
      if (open.length === 0) return;
      tail = overlap === 0 ? '' : seen.slice(-overlap);
      await this.#pace.step();
    }
    // RFC 3501 §6.4.4: the empty string is in every text, also where there is none.
    for (const key of open) found.set(key, key.needle === '');
  }
}
