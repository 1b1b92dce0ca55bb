/**
 * Worker side of the search index: FTS5's trigram tokenizer over folded text, contentless. IMAP searches substrings, so a
 * word index would miss matches; a text that holds a string holds each three characters of it, so asking for all of those
 * never does. Documents of one account have neighbouring rowids, so that a search reads its own account's entries alone.
 */

import type { DatabaseSync } from 'node:sqlite';
import type { WorkerDefinition } from './sqlite-worker.ts';

/** An account's documents have rowids from its number times this on. */
const SPAN = 2 ** 32;

/** Two tables without columns take less than half of the room of one table with two. */
const FTS = "content = '', contentless_delete = 1, detail = none, tokenize = 'trigram case_sensitive 1'";

const HASH_BYTES = 8 * 1024 * 1024;

const SCHEMA = `
  CREATE TABLE accounts (n INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, mark INTEGER NOT NULL, next INTEGER NOT NULL,
    documents INTEGER NOT NULL) STRICT;
  CREATE TABLE documents (id INTEGER PRIMARY KEY, account INTEGER NOT NULL, content INTEGER NOT NULL,
    truncated INTEGER NOT NULL, UNIQUE (account, content)) STRICT;
  CREATE INDEX documents_truncated ON documents (account) WHERE truncated = 1;
  CREATE VIRTUAL TABLE headers USING fts5(text, ${FTS});
  CREATE VIRTUAL TABLE bodies USING fts5(text, ${FTS})`;

export interface IndexArgs {
  readonly documents: readonly {
    readonly account: string;
    readonly content: number;
    readonly header: string;
    readonly body: string;
    readonly truncated: boolean;
  }[];
  readonly marks: readonly { readonly account: string; readonly mark: number }[];
}

export interface CandidatesArgs {
  readonly account: string;
  readonly where: 'header' | 'body' | 'text';
  /** FTS5 expressions, one for each needle. */
  readonly queries: readonly string[];
}

function open(db: DatabaseSync): ReturnType<WorkerDefinition['open']> {
  // More of a batch is sorted in memory before it is written: a quarter less work for each document.
  db.exec(`INSERT INTO bodies (bodies, rank) VALUES ('hashsize', ${HASH_BYTES})`);
  const account = db.prepare('SELECT n, mark FROM accounts WHERE id = ?');
  const addAccount = db.prepare('INSERT INTO accounts VALUES (NULL, ?, 0, 0, 0) RETURNING n, mark');
  const next = db.prepare('UPDATE accounts SET next = next + 1, documents = documents + 1 WHERE n = ? RETURNING next');
  const known = db.prepare('SELECT id FROM documents WHERE account = ? AND content = ?');
  const addDocument = db.prepare('INSERT OR REPLACE INTO documents VALUES (?, ?, ?, ?)');
  const addHeader = db.prepare('INSERT INTO headers (rowid, text) VALUES (?, ?)');
  const addBody = db.prepare('INSERT INTO bodies (rowid, text) VALUES (?, ?)');
  const removeHeader = db.prepare('DELETE FROM headers WHERE rowid = ?');
  const removeBody = db.prepare('DELETE FROM bodies WHERE rowid = ?');
  const removeDocument = db.prepare('DELETE FROM documents WHERE id = ?');
  const count = db.prepare('UPDATE accounts SET documents = documents - ? WHERE n = ?');
  const raise = db.prepare('UPDATE accounts SET mark = max(mark, ?) WHERE n = ?');
  const some = db.prepare('SELECT id FROM documents WHERE account = ? LIMIT ?');
  const match = {
    header: db.prepare('SELECT rowid FROM headers WHERE headers MATCH ? AND rowid BETWEEN ? AND ?'),
    body: db.prepare('SELECT rowid FROM bodies WHERE bodies MATCH ? AND rowid BETWEEN ? AND ?'),
  };
  const contentOf = db.prepare('SELECT content FROM documents WHERE id = ?');
  const truncated = db.prepare('SELECT content FROM documents WHERE account = ? AND truncated = 1');
  type Account = { n: number; mark: number };
  const find = (id: string) => account.get(id) as Account | undefined;
  const number = (id: string): number => (find(id) ?? (addAccount.get(id) as unknown as Account)).n;

  // `get` runs a statement as `run` does, but leaves the last rowid alone: FTS5's own tables take it beyond 2^53.
  const removeText = (id: number): void => {
    removeHeader.get(id);
    removeBody.get(id);
  };
  const remove = (n: number, ids: readonly { id: number }[]): number => {
    for (const { id } of ids) {
      removeText(id);
      removeDocument.get(id);
    }
    count.get(ids.length, n);
    return ids.length;
  };

  return {
    index({ documents, marks }: IndexArgs): null {
      // FTS5 writes its buffer out whenever a rowid is lower than the one before.
      const sorted = documents.map((one) => ({ ...one, n: number(one.account) })).sort((a, b) => a.n - b.n);
      for (const { n, content, header, body, truncated } of sorted) {
        const old = known.get(n, content) as { id: number } | undefined;
        if (old !== undefined) removeText(old.id);
        const id = old?.id ?? n * SPAN + (next.get(n) as { next: number }).next;
        addDocument.get(id, n, content, truncated ? 1 : 0);
        addHeader.get(id, header);
        addBody.get(id, body);
      }
      for (const { account: id, mark } of marks) raise.get(mark, number(id));
      return null;
    },
    remove({ account: id, contents }: { account: string; contents: readonly number[] }): null {
      const n = find(id)?.n;
      if (n === undefined) return null;
      remove(
        n,
        contents.flatMap((content) => (known.all(n, content) as { id: number }[]) ?? []),
      );
      return null;
    },
    /** Removes up to `limit` documents of an account, and the account with the last. True when there may be more. */
    removeAccount({ account: id, limit }: { account: string; limit: number }): boolean {
      const n = find(id)?.n;
      if (n === undefined) return false;
      // From the first step on nothing counts as indexed.
      db.prepare('UPDATE accounts SET mark = 0 WHERE n = ?').get(n);
      if (remove(n, some.all(n, limit) as { id: number }[]) === limit) return true;
      db.prepare('DELETE FROM accounts WHERE n = ?').get(n);
      return false;
    },
    /** Contents that match every one of the queries, in the header, the body, or (each query apart) either. */
    candidates({ account: id, where, queries }: CandidatesArgs): { mark: number; contents: Float64Array } {
      const found = find(id);
      if (found === undefined) return { mark: 0, contents: new Float64Array() };
      const { n, mark } = found;
      let left: Set<number> | undefined;
      for (const query of queries) {
        const ids = new Set<number>();
        for (const place of where === 'text' ? (['header', 'body'] as const) : [where])
          for (const row of match[place].all(query, n * SPAN, n * SPAN + SPAN - 1)) ids.add(row.rowid as number);
        left = left?.intersection(ids) ?? ids;
        if (left.size === 0) break;
      }
      const contents = new Set((truncated.all(n) as { content: number }[]).map((row) => row.content));
      for (const one of left ?? []) contents.add((contentOf.get(one) as { content: number }).content);
      return { mark, contents: Float64Array.from(contents) };
    },
  };
}

export const definition: WorkerDefinition = { migrations: [SCHEMA], open };
