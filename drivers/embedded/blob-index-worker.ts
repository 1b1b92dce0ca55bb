/**
 * Worker side of the blob index: where each blob is, and per pack how much of it is alive and up to where it is known.
 * Every change to a row changes its pack's sums in the same transaction. Pack 0 stands for files of their own.
 */

import type { DatabaseSync } from 'node:sqlite';
import type { WorkerDefinition } from './sqlite-worker.ts';

export interface IndexRow {
  readonly ref: Uint8Array;
  readonly pack: number;
  readonly offset: number;
  /** Bytes on the disk, the record's header included. */
  readonly stored: number;
  readonly size: number;
  readonly flags: number;
  readonly at: number;
}
export interface PackRow {
  readonly pack: number;
  /** Records in front of this offset are in the index, or are dead. */
  readonly known: number;
  readonly count: number;
  /** Bytes of its live blobs as they were put, and as they are stored. */
  readonly bytes: number;
  readonly stored: number;
}
export interface Move {
  readonly ref: Uint8Array;
  readonly pack: number;
  readonly offset: number;
  readonly toPack: number;
  readonly toOffset: number;
}

const LIVE = 0;
const DYING = 1;

const SCHEMA = `
  CREATE TABLE blobs (ref BLOB PRIMARY KEY, pack INTEGER NOT NULL, offset INTEGER NOT NULL, stored INTEGER NOT NULL,
    size INTEGER NOT NULL, flags INTEGER NOT NULL, state INTEGER NOT NULL, at INTEGER NOT NULL) STRICT, WITHOUT ROWID;
  CREATE INDEX blobs_dying ON blobs (ref) WHERE state = ${DYING};
  CREATE INDEX blobs_files ON blobs (ref) WHERE pack = 0;
  CREATE TABLE packs (pack INTEGER PRIMARY KEY, known INTEGER NOT NULL, count INTEGER NOT NULL, bytes INTEGER NOT NULL,
    stored INTEGER NOT NULL) STRICT;
  CREATE TABLE meta (key TEXT PRIMARY KEY, value ANY) STRICT`;

class Sums {
  readonly #byPack = new Map<number, { count: number; bytes: number; stored: number }>();

  add(row: { pack: number; size: number; stored: number }, sign: 1 | -1): void {
    const sum = this.#byPack.get(row.pack) ?? { count: 0, bytes: 0, stored: 0 };
    sum.count += sign;
    sum.bytes += sign * row.size;
    sum.stored += sign * row.stored;
    this.#byPack.set(row.pack, sum);
  }

  write(db: DatabaseSync): void {
    const update = db.prepare(`INSERT INTO packs VALUES (?, 0, ?, ?, ?) ON CONFLICT DO UPDATE
      SET count = count + excluded.count, bytes = bytes + excluded.bytes, stored = stored + excluded.stored`);
    for (const [pack, sum] of this.#byPack) update.run(pack, sum.count, sum.bytes, sum.stored);
  }
}

function open(db: DatabaseSync): ReturnType<WorkerDefinition['open']> {
  const insert = db.prepare(`INSERT INTO blobs VALUES (?, ?, ?, ?, ?, ?, ${LIVE}, ?)`);
  const known = db.prepare(`INSERT INTO packs VALUES (?, ?, 0, 0, 0) ON CONFLICT DO UPDATE
    SET known = max(known, excluded.known)`);
  const touch = db.prepare(`UPDATE blobs SET state = ${LIVE}, at = max(at, ?) WHERE ref = ?`);
  const mark = db.prepare(`UPDATE blobs SET state = ${DYING} WHERE ref = ? AND state = ${LIVE} AND at <= ?`);
  const revive = db.prepare(`UPDATE blobs SET state = ${LIVE} WHERE ref = ?`);
  const bury = db.prepare(`DELETE FROM blobs WHERE ref = ? AND state = ${DYING} RETURNING ref, pack, size, stored`);
  const move = db.prepare(
    'UPDATE blobs SET pack = ?, offset = ? WHERE ref = ? AND pack = ? AND offset = ? RETURNING *',
  );
  const drop = db.prepare('DELETE FROM blobs WHERE ref = ? AND pack = ? AND offset = ? RETURNING pack, size, stored');
  const remember = db.prepare('INSERT OR REPLACE INTO meta VALUES (?, ?)');
  type Gone = { ref: Uint8Array; pack: number; size: number; stored: number };

  return {
    insert({ rows, ends }: { rows: IndexRow[]; ends: [number, number][] }): null {
      const sums = new Sums();
      for (const row of rows) {
        const { ref, pack, offset, stored, size, flags, at } = row;
        // A second copy (of a compaction cut short) is dead from the start: the row keeps naming the first.
        if (touch.run(at, ref).changes > 0) continue;
        insert.run(ref, pack, offset, stored, size, flags, at);
        sums.add(row, 1);
      }
      sums.write(db);
      for (const [pack, end] of ends) known.run(pack, end);
      return null;
    },
    touch: ({ ref, at }: { ref: Uint8Array; at: number }): boolean => touch.run(at, ref).changes === 1,
    /** Rows behind `after`: those that are live and at least as old as `before`. */
    aged({ after, before, limit }: { after: Uint8Array; before: number; limit: number }) {
      const rows = db
        .prepare('SELECT ref, state, at FROM blobs WHERE ref > ? ORDER BY ref LIMIT ?')
        .all(after, limit) as { ref: Uint8Array; state: number; at: number }[];
      return {
        refs: rows.filter((row) => row.state === LIVE && row.at <= before).map((row) => row.ref),
        last: rows.length < limit ? null : rows.at(-1)!.ref,
      };
    },
    dying: ({ after, limit }: { after: Uint8Array; limit: number }): Uint8Array[] =>
      db
        .prepare(`SELECT ref FROM blobs WHERE state = ${DYING} AND ref > ? ORDER BY ref LIMIT ?`)
        .all(after, limit)
        .map((row) => row.ref as Uint8Array),
    mark({ refs, before }: { refs: Uint8Array[]; before: number }): null {
      for (const ref of refs) mark.run(ref, before);
      return null;
    },
    revive({ refs }: { refs: Uint8Array[] }): null {
      for (const ref of refs) revive.run(ref);
      return null;
    },
    bury({ refs }: { refs: Uint8Array[] }): Gone[] {
      const gone = refs.flatMap((ref) => bury.all(ref) as unknown as Gone[]);
      const sums = new Sums();
      for (const row of gone) sums.add(row, -1);
      sums.write(db);
      return gone;
    },
    move({ moves }: { moves: Move[] }): null {
      const sums = new Sums();
      for (const { ref, pack, offset, toPack, toOffset } of moves) {
        for (const row of move.all(toPack, toOffset, ref, pack, offset) as unknown as Gone[]) {
          sums.add({ ...row, pack }, -1);
          sums.add(row, 1);
        }
      }
      sums.write(db);
      return null;
    },
    drop({ rows }: { rows: { ref: Uint8Array; pack: number; offset: number }[] }): null {
      const sums = new Sums();
      for (const { ref, pack, offset } of rows)
        for (const gone of drop.all(ref, pack, offset) as unknown as Gone[]) sums.add(gone, -1);
      sums.write(db);
      return null;
    },
    /** Forgets a pack that nothing lives in; false where something does. */
    dropPack({ pack }: { pack: number }): boolean {
      if (db.prepare('SELECT 1 FROM blobs WHERE pack = ? LIMIT 1').get(pack) !== undefined) return false;
      db.prepare('DELETE FROM packs WHERE pack = ?').run(pack);
      return true;
    },
    packs: () => db.prepare('SELECT * FROM packs ORDER BY pack').all(),
    rowsOf: ({ pack }: { pack: number }) => db.prepare('SELECT * FROM blobs WHERE pack = ?').all(pack),
    recount(): null {
      db.exec(`UPDATE packs SET (count, bytes, stored) = (SELECT count(*), coalesce(sum(size), 0), coalesce(sum(stored), 0)
        FROM blobs WHERE blobs.pack = packs.pack)`);
      return null;
    },
    remember({ key, value }: { key: string; value: number | Uint8Array }): null {
      remember.run(key, value);
      return null;
    },
  };
}

export const definition: WorkerDefinition = { migrations: [SCHEMA], open };
