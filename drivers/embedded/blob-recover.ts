/**
 * Opening a blob folder: what the index does not know yet is read from the packs' tails (and, after an unclean end, from
 * the folders of files), what a crash left half written is cut off. Afterwards every record that was acknowledged has its
 * row, and everything that has a row is on the disk for good.
 */

import fs from 'node:fs';
import path from 'node:path';
import { Fault } from '../../core/mail/errors.ts';
import type { BlobRef } from '../../core/mail/ids.ts';
import { PACK_NAME, packFile } from './blob-appender.ts';
import { blobFile, blobFileRefs, readTable } from './blob-file.ts';
import { refBytes } from './blob-index.ts';
import type { IndexRow } from './blob-index-worker.ts';
import { closeFile, makeFolder, openFile, syncData, syncFolder, truncateFile } from './blob-io.ts';
import { PACK_HEADER, RECORD_HEADER_BYTES, recordProblem, scanPack } from './blob-pack.ts';
import type { BlobParts } from './blob-parts.ts';

const BATCH = 500;

export async function recoverBlobs(parts: BlobParts, now: number): Promise<void> {
  const { folder, index, appender } = parts;
  for (const name of ['packs', 'files', 'tmp']) await makeFolder(path.join(folder, name));
  for (const name of fs.readdirSync(path.join(folder, 'tmp'))) fs.rmSync(path.join(folder, 'tmp', name));
  await index.open();
  const known = new Map((await index.packs()).map((row) => [row.pack, row.known]));
  const clean = index.recall('clean') === 1;
  await index.remember('clean', 0);
  const packs = fs
    .readdirSync(path.join(folder, 'packs'))
    .filter((name) => PACK_NAME.test(name))
    .map((name) => Number.parseInt(name, 10))
    .sort((a, b) => a - b);
  let usable = false;
  for (const pack of packs) usable = await recoverTail(parts, pack, known.get(pack) ?? PACK_HEADER.length);
  if (!clean) await adoptFiles(parts, now);
  const last = packs.at(-1);
  if (last !== undefined && usable) await appender.resume(last);
}

/** Indexes what is behind `known` and cuts off a torn end. True where the pack may be appended to. */
async function recoverTail({ folder, index, appender }: BlobParts, pack: number, known: number): Promise<boolean> {
  const fd = await openFile(packFile(folder, pack), 'r+');
  try {
    const { size, nlink } = fs.fstatSync(fd);
    appender.ends.set(pack, size);
    if (size <= known) return size === known && nlink === 1;
    let whole = known;
    let rows: IndexRow[] = [];
    for await (const found of scanPack(fd, known, size)) {
      if (found.t === 'gap' || recordProblem(found.header, found.payload) !== null) continue;
      const { ref, flags, size: length, at, stored } = found.header;
      whole = found.end;
      rows.push({
        ref: refBytes(ref),
        pack,
        offset: found.offset,
        stored: RECORD_HEADER_BYTES + stored,
        size: length,
        flags,
        at,
      });
      if (rows.length < BATCH) continue;
      await syncData(fd);
      await index.insert(rows);
      rows = [];
    }
    // A record that was written but not acknowledged may be in the page cache only: later puts rely on its row.
    await syncData(fd);
    // Another folder (a backup) shares a linked file: it is left as it is, and nothing is appended to it.
    if (nlink > 1) {
      await index.insert(rows, new Map([[pack, size]]));
      return false;
    }
    if (whole < size) {
      await truncateFile(fd, whole);
      await syncData(fd);
      appender.ends.set(pack, whole);
    }
    await index.insert(rows, new Map([[pack, whole]]));
    return true;
  } finally {
    await closeFile(fd);
  }
}

/**
 * Gives files that got their name, but no row any more, a row; collection takes them away if nobody refers to them.
 * Damaged ones were never acknowledged, or are for `verify` to name: both are left as they are.
 */
async function adoptFiles(parts: BlobParts, now: number): Promise<void> {
  for (const ref of blobFileRefs(parts.folder))
    if (parts.index.find(ref) === undefined) await adoptFile(parts, ref, now);
}

/** Gives a blob file its row, if its table is whole. */
export async function adoptFile({ folder, index }: BlobParts, ref: BlobRef, now: number): Promise<void> {
  const file = blobFile(folder, ref);
  const fd = await openFile(file, 'r');
  try {
    const table = await readTable(fd, file);
    await syncData(fd);
    await syncFolder(path.dirname(file));
    const stored = fs.fstatSync(fd).size;
    await index.insert([{ ref: refBytes(ref), pack: 0, offset: 0, stored, size: table.size, flags: 0, at: now }]);
  } catch (error) {
    if (!(error instanceof Fault)) throw error;
  } finally {
    await closeFile(fd);
  }
}
