/**
 * The embedded sample store: one SQLite file, written by a worker with group commit and read here. Labels are fsynced
 * before they count as appended; features survive the process and, power loss aside by one second, the machine.
 */

import { mkdir, open } from 'node:fs/promises';
import { join } from 'node:path';
import type { StatementSync } from 'node:sqlite';
import type { AccountId } from '../../core/mail/ids.ts';
import type { Damage } from '../../core/ports/blob-store.ts';
import type { Label, Sample, SampleFeatures, SampleStore, StoredLabel } from '../../core/ports/sample-store.ts';
import { SqliteWriter } from './sqlite-writer.ts';

const FILE = 'samples.db';
/** No message waits for its features to be kept. */
const GATHER_MS = 25;
const LABEL_COLUMNS =
  'l.seq, l.key, l.account, l.sample, l.label, l.source, l.sender, l.previous, l.score, l.model, l.schema, l.weight, l.at';

export class EmbeddedSampleStore implements SampleStore {
  readonly #folder: string;
  readonly #writer: SqliteWriter;
  readonly #statements = new Map<string, StatementSync>();

  constructor(options: { readonly folder: string }) {
    this.#folder = options.folder;
    this.#writer = new SqliteWriter(
      join(options.folder, FILE),
      new URL('./sample-worker.ts', import.meta.url),
      null,
      GATHER_MS,
    );
  }

  async open(): Promise<void> {
    await mkdir(this.#folder, { recursive: true });
    await this.#writer.open();
  }

  async close(): Promise<void> {
    this.#statements.clear();
    await this.#writer.close();
  }

  async remember(sample: SampleFeatures): Promise<void> {
    await this.#writer.call('remember', sample, 'volatile');
  }

  async features(key: string): Promise<SampleFeatures | undefined> {
    const row = this.#read('SELECT key, schema, at, data FROM features WHERE key = ?').get(key) as
      | FeaturesRow
      | undefined;
    return row === undefined ? undefined : asFeatures(row);
  }

  async unlabelled(limit: number): Promise<readonly SampleFeatures[]> {
    const rows = this.#read(
      `SELECT key, schema, at, data FROM features f
       WHERE NOT EXISTS (SELECT 1 FROM labels l WHERE l.sample = f.key) ORDER BY at DESC, id DESC LIMIT ?`,
    ).all(limit) as unknown as FeaturesRow[];
    return rows.map(asFeatures);
  }

  async append(labels: readonly Label[]): Promise<number> {
    return labels.length === 0 ? 0 : this.#writer.call<number>('append', labels);
  }

  async newest(account: AccountId, sample: string): Promise<StoredLabel | undefined> {
    const row = this.#read(
      `SELECT ${LABEL_COLUMNS} FROM labels l WHERE l.account = ? AND l.sample = ? AND l.newest = 1`,
    ).get(account, sample);
    return row === undefined ? undefined : asLabel(row);
  }

  async labels(options: {
    readonly after: number;
    readonly limit: number;
    readonly account?: AccountId;
  }): Promise<readonly StoredLabel[]> {
    const { after, limit, account } = options;
    const rows =
      account === undefined
        ? this.#read(`SELECT ${LABEL_COLUMNS} FROM labels l WHERE l.seq > ? ORDER BY l.seq LIMIT ?`).all(after, limit)
        : this.#read(
            `SELECT ${LABEL_COLUMNS} FROM labels l WHERE l.account = ? AND l.seq > ? ORDER BY l.seq LIMIT ?`,
          ).all(account, after, limit);
    return rows.map(asLabel);
  }

  async samples(after: number, limit: number): Promise<readonly Sample[]> {
    const rows = this.#read(
      `SELECT ${LABEL_COLUMNS}, f.data AS features FROM labels l JOIN features f ON f.key = l.sample
       WHERE l.seq > ? AND l.newest = 1 AND l.label <> 'withdrawn' ORDER BY l.seq LIMIT ?`,
    ).all(after, limit);
    return rows.map((row) => ({ ...asLabel(row), features: row.features as Uint8Array }));
  }

  async counts(account: AccountId, sender: string): Promise<{ readonly spam: number; readonly ham: number }> {
    const rows = this.#read(
      `SELECT label, count(*) AS n FROM labels
       WHERE account = ? AND sender = ? AND newest = 1 AND label <> 'withdrawn' GROUP BY label`,
    ).all(account, sender) as { label: 'spam' | 'ham'; n: number }[];
    const counts = { spam: 0, ham: 0 };
    for (const row of rows) counts[row.label] = row.n;
    return counts;
  }

  forgetUser(account: AccountId): Promise<number> {
    return this.#writer.call<number>('forgetUser', account);
  }

  forget(olderThan: number, limit: number): Promise<number> {
    return this.#writer.call<number>('forget', { olderThan, limit }, 'volatile');
  }

  async stats(): Promise<{
    readonly features: number;
    readonly labels: number;
    readonly lastSeq: number;
    readonly stored: number;
  }> {
    const row = this.#read(`SELECT
      (SELECT count(*) FROM features) AS features,
      (SELECT count(*) FROM labels) AS labels,
      (SELECT coalesce(max(seq), 0) FROM sqlite_sequence WHERE name = 'labels') AS lastSeq,
      (SELECT page_count FROM pragma_page_count()) * (SELECT page_size FROM pragma_page_size()) AS stored`).get();
    const { features, labels, lastSeq, stored } = row as Record<'features' | 'labels' | 'lastSeq' | 'stored', number>;
    return { features, labels, lastSeq, stored };
  }

  verify(): Promise<readonly Damage[]> {
    return this.#writer.integrity();
  }

  async backup(destination: string): Promise<void> {
    const file = join(destination, FILE);
    await this.#writer.call('backup', { folder: destination, file }, 'scan');
    const handle = await open(file, 'r+');
    try {
      await handle.sync();
    } finally {
      await handle.close();
    }
  }

  #read(sql: string): StatementSync {
    let statement = this.#statements.get(sql);
    if (statement === undefined) {
      statement = this.#writer.reader.prepare(sql);
      this.#statements.set(sql, statement);
    }
    return statement;
  }
}

interface FeaturesRow {
  readonly key: string;
  readonly schema: number;
  readonly at: number;
  readonly data: Uint8Array;
}

const asFeatures = ({ key, schema, at, data }: FeaturesRow): SampleFeatures => ({ key, schema, at, features: data });

function asLabel(row: Record<string, unknown>): StoredLabel {
  const { features: _features, ...label } = row;
  return label as unknown as StoredLabel;
}
