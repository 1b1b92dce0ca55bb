/**
 * Two-phase collection over all nodes' blobs. Each change of state compares what it saw, so any number of nodes may
 * collect while others put: a put or touch between the question and the deletion wins. A large blob's file is announced
 * among the uploads before its blob is deleted, so a crash between the two leaves a trace that is followed later.
 */

import { type BlobRef, blobRef } from '../../core/mail/ids.ts';
import type { BlobStore } from '../../core/ports/blob-store.ts';
import type { BlobDocument } from './blob-document.ts';
import type { BlobParts, UploadDocument } from './blob-parts.ts';
import type { BlobReader } from './blob-reader.ts';

type Options = Parameters<BlobStore['collect']>[0];
type Collected = Awaited<ReturnType<BlobStore['collect']>>;
type Dying = Pick<BlobDocument, '_id' | 'stored' | 'file'>;

const BATCH = 500;
/** No upload takes as long: one this old was cut off. */
const UPLOAD_MS_MAX = 86_400_000;
const CURSOR = 'aged';

export async function collectBlobs(parts: BlobParts, reader: BlobReader, options: Options): Promise<Collected> {
  const deadline = performance.now() + options.budgetMs;
  const isOver = () => performance.now() >= deadline;
  const collected = await buryDying(parts, reader, options, isOver);
  await markAged(parts, options, isOver);
  await dropCutOff(parts, options.now - UPLOAD_MS_MAX, isOver);
  return collected;
}

async function buryDying(
  parts: BlobParts,
  reader: BlobReader,
  { isLive }: Options,
  isOver: () => boolean,
): Promise<Collected> {
  const { blobs } = parts;
  const collected = { blobs: 0, bytes: 0 };
  do {
    const sort = { at: 1, _id: 1 } as const;
    const dying = await blobs.find({ filter: { state: 'dying' }, sort, limit: BATCH, fields: ['stored', 'file'] });
    if (dying.length === 0) break;
    const live = await isLive(dying.map((row) => row._id));
    const kept = dying.filter((row) => live.has(row._id)).map((row) => row._id);
    if (kept.length > 0) await blobs.updateMany({ _id: { $in: kept }, state: 'dying' }, { $set: { state: 'live' } });
    const lost = dying.filter((row) => !live.has(row._id));
    const gone = [
      await buryInline(
        parts,
        lost.filter((row) => row.file === undefined),
      ),
      await buryLarge(
        parts,
        lost.filter((row) => row.file !== undefined),
      ),
    ];
    for (const { blobs: count, bytes } of gone) {
      collected.blobs += count;
      collected.bytes += bytes;
    }
    for (const row of lost) reader.forget(row._id);
  } while (!isOver());
  return collected;
}

async function buryInline({ blobs }: BlobParts, dying: readonly Dying[]): Promise<Collected> {
  if (dying.length === 0) return { blobs: 0, bytes: 0 };
  const deleted = await blobs.deleteMany({ _id: { $in: dying.map((row) => row._id) }, state: 'dying' });
  // Where others were put or deleted meanwhile, nobody says which: their share of the bytes is taken off.
  const bytes = dying.reduce((sum, row) => sum + row.stored, 0);
  return { blobs: deleted, bytes: Math.round((bytes * deleted) / dying.length) };
}

async function buryLarge(parts: BlobParts, dying: readonly Dying[]): Promise<Collected> {
  const { blobs, uploads, now } = parts;
  const gone = { blobs: 0, bytes: 0 };
  for (const row of dying) {
    const file = row.file!;
    const announced = await uploads.insertOne({ _id: file, state: 'dropped', at: now(), ref: row._id });
    if (await blobs.deleteOne({ _id: row._id, state: 'dying', file })) {
      await parts.dropFile(file);
      gone.blobs++;
      gone.bytes += row.stored;
    } else if (announced && (await namesFile(parts, row._id, file))) await uploads.deleteOne({ _id: file });
  }
  return gone;
}

async function namesFile({ blobs }: BlobParts, ref: BlobRef, file: string): Promise<boolean> {
  return (await blobs.findOne({ _id: ref }, { fields: ['file'] }))?.file === file;
}

/** Goes on where the last call stopped, on whichever node, so that small budgets get round all blobs too. */
async function markAged({ blobs, cursors }: BlobParts, options: Options, isOver: () => boolean): Promise<void> {
  const before = options.now - options.graceMs;
  const started = await cursors.findOne({ _id: CURSOR });
  let after = started === undefined ? undefined : { at: started.at, ref: started.ref };
  do {
    const aged = await agedAfter(blobs, after, before);
    const last = aged.at(-1);
    after = last === undefined || aged.length < BATCH ? undefined : { at: last.at, ref: last._id };
    if (aged.length > 0) {
      const refs = aged.map((row) => row._id);
      const live = await options.isLive(refs);
      const _id = { $in: refs.filter((ref) => !live.has(ref)) };
      if (_id.$in.length > 0)
        await blobs.updateMany({ _id, state: 'live', at: { $lte: before } }, { $set: { state: 'dying' } });
    }
  } while (after !== undefined && !isOver());
  if (after !== undefined) await cursors.updateOne({ _id: CURSOR }, { $set: after }, { upsert: true });
  else if (started !== undefined) await cursors.deleteOne({ _id: CURSOR });
}

/** The next live blobs in order of age, each step a range of the one index. */
async function agedAfter(
  blobs: BlobParts['blobs'],
  after: { readonly at: number; readonly ref: string } | undefined,
  before: number,
): Promise<readonly Pick<BlobDocument, '_id' | 'at'>[]> {
  const query = { sort: { at: 1, _id: 1 }, fields: ['at'] } as const;
  if (after === undefined)
    return blobs.find({ ...query, filter: { state: 'live', at: { $lte: before } }, limit: BATCH });
  const same = { state: 'live', at: after.at, _id: { $gt: blobRef(after.ref) } } as const;
  const rows = after.at > before ? [] : await blobs.find({ ...query, filter: same, limit: BATCH });
  const limit = BATCH - rows.length;
  if (limit === 0) return rows;
  const later = { state: 'live', at: { $gt: after.at, $lte: before } } as const;
  return [...rows, ...(await blobs.find({ ...query, filter: later, limit }))];
}

/** Files that a crash left without a blob. */
async function dropCutOff(parts: BlobParts, before: number, isOver: () => boolean): Promise<void> {
  let found: readonly UploadDocument[];
  do {
    found = await parts.uploads.find({ filter: { at: { $lte: before } }, sort: { at: 1 }, limit: BATCH });
    for (const { _id, state, at, ref } of found) {
      if (ref !== null && (await namesFile(parts, ref, _id))) {
        await parts.uploads.deleteOne({ _id, at });
        continue;
      }
      // Whoever uploads it, after all, finds it dropped and gives up.
      const { matched } = await parts.uploads.updateOne({ _id, state, at }, { $set: { state: 'dropped' } });
      if (matched > 0) await parts.dropFile(_id);
    }
  } while (found.length === BATCH && !isOver());
}
