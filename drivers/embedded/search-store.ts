/**
 * The search index on this machine: one SQLite file with FTS5 trigrams, rebuildable at any time, so one that is found
 * broken is thrown away. It only ever narrows: what it leaves out can't match.
 */

import fs from 'node:fs';
import path from 'node:path';
import type { StatementSync } from 'node:sqlite';
import { MailError } from '../../core/mail/errors.ts';
import type { AccountId, ContentId, ModSeq } from '../../core/mail/ids.ts';
import type { SearchDocument, SearchStore } from '../../core/ports/search-store.ts';
import { makeFolder } from './blob-io.ts';
import type { CandidatesArgs, IndexArgs } from './search-worker.ts';
import { SqliteWriter } from './sqlite-writer.ts';

/** Text indexed by one call of the worker: searches wait for no more than one of them. */
const CHUNK_CHARACTERS = 128 * 1024;
const TEXT_CHARACTERS_MAX = 1024 * 1024;
const REMOVED_AT_ONCE = 500;
/** More would cost more than they narrow. */
const TRIGRAMS_MAX = 16;
const NEEDLES_MAX = 8;

export class EmbeddedSearchStore implements SearchStore {
  readonly #file: string;
  #writer!: SqliteWriter;
  #mark!: StatementSync;
  #documents!: StatementSync;

  constructor(options: { folder: string }) {
    this.#file = path.join(options.folder, 'search.db');
  }

  async open(): Promise<void> {
    await makeFolder(path.dirname(this.#file));
    if (fs.existsSync(this.#brokenMark)) this.#throwAway();
    try {
      await this.#start();
    } catch (error) {
      if (!isCorrupt(error)) throw error;
      this.#throwAway();
      await this.#start();
    }
    this.#mark = this.#writer.reader.prepare('SELECT mark FROM accounts WHERE id = ?');
    this.#documents = this.#writer.reader.prepare('SELECT coalesce(sum(documents), 0) AS documents FROM accounts');
  }

  close(): Promise<void> {
    return this.#writer.close();
  }

  async mark(account: AccountId): Promise<ModSeq> {
    return ((this.#mark.get(account) as { mark: number } | undefined)?.mark ?? 0) as ModSeq;
  }

  async index(
    documents: readonly SearchDocument[],
    marks: readonly { readonly account: AccountId; readonly mark: ModSeq }[],
  ): Promise<void> {
    let chunk: SearchDocument[] = [];
    let characters = 0;
    for (const document of documents) {
      const size = document.header.length + document.body.length;
      if (chunk.length > 0 && characters + size > CHUNK_CHARACTERS) {
        await this.#write('index', { documents: chunk, marks: [] } satisfies IndexArgs);
        chunk = [];
        characters = 0;
      }
      chunk.push(indexable(document));
      characters += size;
    }
    // Documents without their mark do no harm; a mark without its documents would, so marks come with the last ones.
    await this.#write('index', { documents: chunk, marks } satisfies IndexArgs);
  }

  async remove(account: AccountId, contents: readonly ContentId[]): Promise<void> {
    for (let at = 0; at < contents.length; at += REMOVED_AT_ONCE)
      await this.#write('remove', { account, contents: contents.slice(at, at + REMOVED_AT_ONCE) });
  }

  async removeAccount(account: AccountId): Promise<void> {
    while (await this.#write<boolean>('removeAccount', { account, limit: REMOVED_AT_ONCE }));
  }

  async candidates(
    account: AccountId,
    where: 'header' | 'body' | 'text',
    needles: readonly string[],
  ): Promise<{ readonly mark: ModSeq; readonly contents: ReadonlySet<ContentId> } | null> {
    const queries = needles.flatMap(matchExpression).slice(0, NEEDLES_MAX);
    if (queries.length === 0) return null;
    try {
      const found = await this.#writer.call<{ mark: number; contents: Float64Array }>(
        'candidates',
        { account, where, queries } satisfies CandidatesArgs,
        'scan',
      );
      return { mark: found.mark as ModSeq, contents: new Set(found.contents) as unknown as Set<ContentId> };
    } catch (error) {
      if (!isCorrupt(error)) throw error;
      // The searcher looks at the messages themselves; the next start makes a new index.
      this.#condemn();
      return null;
    }
  }

  async stats(): Promise<{ readonly documents: number; readonly stored: number }> {
    const { documents } = this.#documents.get() as { documents: number };
    let stored = 0;
    for (const suffix of ['', '-wal']) stored += fs.statSync(this.#file + suffix, { throwIfNoEntry: false })?.size ?? 0;
    return { documents, stored };
  }

  async #write<T>(name: string, args: unknown): Promise<T> {
    try {
      return await this.#writer.call<T>(name, args, 'volatile');
    } catch (error) {
      if (isCorrupt(error)) this.#condemn();
      throw error;
    }
  }

  async #start(): Promise<void> {
    this.#writer = new SqliteWriter(this.#file, new URL('./search-worker.ts', import.meta.url));
    await this.#writer.open();
  }

  get #brokenMark(): string {
    return `${this.#file}.broken`;
  }
  #condemn(): void {
    fs.writeFileSync(this.#brokenMark, '');
  }
  #throwAway(): void {
    for (const suffix of ['', '-wal', '-shm']) fs.rmSync(this.#file + suffix, { force: true });
    fs.rmSync(this.#brokenMark, { force: true });
  }
}

const isCorrupt = (error: unknown): boolean =>
  error instanceof MailError && ['CORRUPT', 'NOTADB'].includes(String(error.facts.result));

/** Text behind the limit is covered by the mark `truncated`. */
function indexable(document: SearchDocument): SearchDocument {
  const { header, body } = document;
  const text = (value: string) => value.slice(0, TEXT_CHARACTERS_MAX);
  const truncated = document.truncated || header.length > TEXT_CHARACTERS_MAX || body.length > TEXT_CHARACTERS_MAX;
  return { ...document, header: text(header), body: text(body), truncated };
}

/** All of a needle's trigrams in FTS5's query language; none where it has none. */
function matchExpression(needle: string): string[] {
  const terms = [...new Set(trigrams(needle))].map((term) => `"${term.replaceAll('"', '""')}"`);
  return terms.length === 0 ? [] : [terms.join(' AND ')];
}

/** What can't be asked for as it is indexed: NUL ends an FTS5 expression, surrogates that are no pair are replaced. */
const UNSURE = /^(?:\0|[\ud800-\udfff])$/;

/** Up to TRIGRAMS_MAX of a needle's runs of three characters, from all over it. */
function trigrams(needle: string): string[] {
  const characters = [...needle.slice(0, 1024)];
  const all: string[] = [];
  for (let i = 0; i + 3 <= characters.length; i++) {
    const three = characters.slice(i, i + 3);
    if (!three.some((character) => UNSURE.test(character))) all.push(three.join(''));
  }
  const step = Math.max(1, all.length / TRIGRAMS_MAX);
  return Array.from({ length: Math.min(all.length, TRIGRAMS_MAX) }, (_, i) => all[Math.floor(i * step)]!);
}
