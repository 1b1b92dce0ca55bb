/**
 * The worker side of the embedded sample store: features of filtered messages and the append-only log of labels. A label
 * that is the newest of its account and message is marked so (`newest`), in the transaction that appends it, which makes
 * the labels in force one partial index.
 */

import { mkdirSync } from 'node:fs';
import type { DatabaseSync } from 'node:sqlite';
import type { Label, SampleFeatures } from '../../core/ports/sample-store.ts';
import type { WorkerDefinition } from './sqlite-worker.ts';

const SCHEMA_1 = `
  CREATE TABLE features (
    id INTEGER PRIMARY KEY,
    key TEXT NOT NULL UNIQUE,
    schema INTEGER NOT NULL,
    at INTEGER NOT NULL,
    data BLOB NOT NULL
  ) STRICT;
  CREATE INDEX features_at ON features (at);
  CREATE TABLE labels (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    key TEXT NOT NULL UNIQUE,
    account TEXT NOT NULL,
    sample TEXT NOT NULL,
    label TEXT NOT NULL CHECK (label IN ('spam', 'ham', 'withdrawn')),
    source TEXT NOT NULL,
    sender TEXT NOT NULL,
    previous TEXT NOT NULL,
    score REAL,
    model TEXT NOT NULL,
    schema INTEGER NOT NULL,
    weight REAL NOT NULL,
    at INTEGER NOT NULL,
    newest INTEGER NOT NULL
  ) STRICT;
  CREATE UNIQUE INDEX labels_newest ON labels (account, sample) WHERE newest = 1;
  CREATE INDEX labels_log ON labels (account, seq);
  CREATE INDEX labels_sample ON labels (sample);
  CREATE INDEX labels_force ON labels (seq) WHERE newest = 1 AND label <> 'withdrawn';
  CREATE INDEX labels_sender ON labels (account, sender, label) WHERE newest = 1 AND label <> 'withdrawn'`;

function open(db: DatabaseSync): ReturnType<WorkerDefinition['open']> {
  const remember = db.prepare(
    'INSERT INTO features (key, schema, at, data) VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING',
  );
  const known = db.prepare('SELECT 1 FROM labels WHERE key = ?');
  const supersede = db.prepare('UPDATE labels SET newest = 0 WHERE account = ? AND sample = ? AND newest = 1');
  const append = db.prepare(`INSERT INTO labels
    (key, account, sample, label, source, sender, previous, score, model, schema, weight, at, newest)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 1)`);
  const forgetUser = db.prepare('DELETE FROM labels WHERE account = ?');
  const forget = db.prepare(`DELETE FROM features WHERE id IN (
    SELECT f.id FROM features f WHERE f.at < ? AND NOT EXISTS (SELECT 1 FROM labels l WHERE l.sample = f.key)
    ORDER BY f.at LIMIT ?)`);
  const copy = db.prepare('VACUUM INTO ?');

  return {
    remember: (sample: SampleFeatures) => {
      remember.run(sample.key, sample.schema, sample.at, sample.features);
      return null;
    },
    append: (labels: readonly Label[]) => {
      let appended = 0;
      for (const one of labels) {
        if (known.get(one.key) !== undefined) continue;
        supersede.run(one.account, one.sample);
        append.run(
          one.key,
          one.account,
          one.sample,
          one.label,
          one.source,
          one.sender,
          one.previous,
          one.score,
          one.model,
          one.schema,
          one.weight,
          one.at,
        );
        appended++;
      }
      return appended;
    },
    forgetUser: (account: string) => Number(forgetUser.run(account).changes),
    forget: ({ olderThan, limit }: { olderThan: number; limit: number }) =>
      Number(forget.run(olderThan, limit).changes),
    backup: ({ folder, file }: { folder: string; file: string }) => {
      mkdirSync(folder, { recursive: true });
      copy.run(file);
      return null;
    },
  };
}

export const definition: WorkerDefinition = { migrations: [SCHEMA_1], open };
