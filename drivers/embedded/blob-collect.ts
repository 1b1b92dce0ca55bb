/**
 * Two-phase collection and compaction, each step safe to be cut off: a row is deleted (durably) before its file, live
 * records are copied and synced before their rows are repointed (durably), and a pack is deleted only when no row names
 * it. What a crash leaves over is a copy or a file too many, which a later collection takes away.
 */

import fs from 'node:fs';
import { TemporaryError } from '../../core/mail/errors.ts';
import type { BlobStore } from '../../core/ports/blob-store.ts';
import { packFile } from './blob-appender.ts';
import { blobFile } from './blob-file.ts';
import { refBytes, refText } from './blob-index.ts';
import type { Move } from './blob-index-worker.ts';
import { closeFile, openFile } from './blob-io.ts';
import { PACK_HEADER, type ScannedRecord, scanPack } from './blob-pack.ts';
import { type BlobParts, turn } from './blob-parts.ts';

type Options = Parameters<BlobStore['collect']>[0];
type Collected = Awaited<ReturnType<BlobStore['collect']>>;

const BATCH = 500;
const NOTHING = Buffer.alloc(0);
/** A pack is compacted when more than this share of it is dead. */
const DEAD_SHARE_MAX = 0.4;
/** The pack that is appended to is left alone while it is smaller. */
const OPEN_PACK_BYTES_MIN = 1024 * 1024;
const COPY_BYTES = 4 * 1024 * 1024;

export async function collectBlobs(parts: BlobParts, options: Options): Promise<Collected> {
  const deadline = performance.now() + options.budgetMs;
  const isOver = () => performance.now() >= deadline;
  const collected = await buryDying(parts, options, isOver);
  await markAged(parts, options, isOver);
  await compact(parts, isOver);
  return collected;
}

async function buryDying(
  { folder, index, files, reader, isWriting }: BlobParts,
  options: Options,
  isOver: () => boolean,
) {
  let blobs = 0;
  let bytes = 0;
  let after: Uint8Array = NOTHING;
  do {
    const refs = await index.dying(after, BATCH);
    if (refs.length === 0) break;
    after = refs.at(-1)!;
    const live = await options.isLive(refs.map(refText));
    await index.revive(refs.filter((ref) => live.has(refText(ref))));
    const gone = await index.bury(refs.filter((ref) => !live.has(refText(ref))));
    for (const row of gone) {
      const ref = refText(row.ref);
      reader.forget(ref);
      // An equal put may have given its file the same name already; that one must stay.
      if (row.pack !== 0 || isWriting(ref) || index.find(ref) !== undefined) continue;
      files.forget(blobFile(folder, ref));
      fs.rmSync(blobFile(folder, ref), { force: true });
    }
    blobs += gone.length;
    bytes += gone.reduce((sum, row) => sum + row.stored, 0);
  } while (!isOver());
  return { blobs, bytes };
}

/** Goes on where the last call stopped, so that small budgets get round all blobs too. */
async function markAged({ index }: BlobParts, options: Options, isOver: () => boolean): Promise<void> {
  await index.settled();
  const before = options.now - options.graceMs;
  const started = (index.recall('cursor') as Uint8Array | undefined) ?? NOTHING;
  let cursor: Uint8Array | null = started;
  do {
    const { refs, last } = await index.aged(cursor, before, BATCH * 4);
    cursor = last;
    if (refs.length > 0) {
      const live = await options.isLive(refs.map(refText));
      await index.mark(
        refs.filter((ref) => !live.has(refText(ref))),
        before,
      );
    }
  } while (cursor !== null && !isOver());
  if (cursor !== null || started.length > 0) await index.remember('cursor', cursor ?? NOTHING);
}

async function compact(parts: BlobParts, isOver: () => boolean): Promise<void> {
  const { index, appender, stuck } = parts;
  for (const pack of [...appender.ends.keys()].sort((a, b) => a - b)) {
    if (stuck.has(pack) || !(await isWasteful(parts, pack))) continue;
    await appender.seal(pack);
    // Every record of the sealed pack has its row committed now, so what no row names is dead.
    await turn();
    if (!(await index.settled()) || !(await isWasteful(parts, pack))) continue;
    try {
      if (await moveLive(parts, pack, isOver)) await deletePack(parts, pack);
    } catch (error) {
      if (error instanceof TemporaryError && error.reply === 'diskFull') return;
      throw error;
    }
    if (isOver()) return;
  }
}

async function isWasteful({ index, appender }: BlobParts, pack: number): Promise<boolean> {
  const row = (await index.packs()).find((one) => one.pack === pack);
  const used = (appender.ends.get(pack) ?? 0) - PACK_HEADER.length;
  const live = row?.stored ?? 0;
  if (pack === appender.current && used < OPEN_PACK_BYTES_MIN) return used > 0 && live === 0;
  return used <= 0 ? pack !== appender.current : live < used * (1 - DEAD_SHARE_MAX);
}

/** Copies the live records of a pack behind the others and repoints their rows. False where time ran out before the end. */
async function moveLive({ folder, index, appender }: BlobParts, pack: number, isOver: () => boolean): Promise<boolean> {
  const fd = await openFile(packFile(folder, pack), 'r');
  let batch: ScannedRecord[] = [];
  let bytes = 0;
  const flush = async () => {
    const moves = await Promise.all(
      batch.map(async ({ raw, payload, header, offset }): Promise<Move> => {
        const place = await appender.append(raw, payload);
        return { ref: refBytes(header.ref), pack, offset, toPack: place.pack, toOffset: place.offset };
      }),
    );
    await index.move(moves);
    batch = [];
    bytes = 0;
  };
  try {
    for await (const found of scanPack(fd, PACK_HEADER.length, appender.ends.get(pack) ?? 0)) {
      if (found.t === 'gap' || !names(index.find(found.header.ref), pack, found.offset)) continue;
      batch.push(found);
      bytes += found.payload.length;
      if (batch.length < BATCH && bytes < COPY_BYTES) continue;
      await flush();
      if (isOver()) return false;
    }
    if (batch.length > 0) await flush();
    return true;
  } finally {
    await closeFile(fd);
  }
}

const names = (location: { pack: number; offset: number } | undefined, pack: number, offset: number): boolean =>
  location?.pack === pack && location.offset === offset;

async function deletePack({ folder, index, appender, files, stuck }: BlobParts, pack: number): Promise<void> {
  // A row that is left names a record that can't be found any more: the pack is kept as evidence.
  if (!(await index.dropPack(pack))) {
    stuck.add(pack);
    return;
  }
  appender.ends.delete(pack);
  const file = packFile(folder, pack);
  files.forget(file);
  fs.rmSync(file, { force: true });
}
