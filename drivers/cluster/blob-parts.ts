/** What the parts of the cluster's blob store share: its collections and what it holds in memory. */

import { GridFSBucket } from 'mongodb';
import type { BlobRef } from '../../core/mail/ids.ts';
import { BlobCache } from './blob-cache.ts';
import { type BlobDocument, CHUNK_BYTES } from './blob-document.ts';
import type { Mongo } from './mongo.ts';
import type { Collection } from './mongo-collection.ts';
import type { Identified } from './mongo-types.ts';

/** A GridFS file that no blob names yet or any more. What is here is taken away in the end, unless its blob names it. */
export interface UploadDocument extends Identified {
  /** `open` while it is written, `dropped` once it may only be deleted. */
  readonly state: 'open' | 'dropped';
  readonly at: number;
  /** The blob that is to name it, or did. */
  readonly ref: BlobRef | null;
}

/** A chunk as GridFS keeps it; its own _id is of no use here. */
interface ChunkDocument extends Identified {
  readonly files_id: string;
  readonly n: number;
  readonly data: Uint8Array;
}

/** How far round all blobs the collection has come. */
interface CursorDocument extends Identified {
  readonly at: number;
  readonly ref: string;
}

export class BlobParts {
  readonly blobs: Collection<BlobDocument>;
  readonly uploads: Collection<UploadDocument>;
  readonly files: Collection<Identified>;
  readonly chunks: Collection<ChunkDocument>;
  readonly cursors: Collection<CursorDocument>;
  readonly cache = new BlobCache();
  readonly now: () => number;
  readonly #mongo: Mongo;
  readonly #name: string;
  #bucket: GridFSBucket | undefined;

  /** @param name the collection; the names of the others and of the GridFS bucket begin with it */
  constructor(mongo: Mongo, name: string, now: () => number) {
    this.#mongo = mongo;
    this.#name = name;
    this.now = now;
    this.blobs = mongo.collection(name);
    this.uploads = mongo.collection(`${name}.uploads`);
    this.files = mongo.collection(`${name}.files`);
    this.chunks = mongo.collection(`${name}.chunks`);
    this.cursors = mongo.collection(`${name}.cursors`);
  }

  /** Safe to be called by many nodes at once. */
  async makeIndexes(): Promise<void> {
    // Collection and the sums of `stats` read this index alone, never the documents with their bytes.
    await this.blobs.createIndex({ state: 1, at: 1, _id: 1, size: 1, stored: 1 });
    await this.uploads.createIndex({ at: 1 });
    await this.chunks.createIndex({ files_id: 1, n: 1 }, { unique: true });
  }

  get bucket(): GridFSBucket {
    this.#bucket ??= new GridFSBucket(this.#mongo.db, { bucketName: this.#name, chunkSizeBytes: CHUNK_BYTES });
    return this.#bucket;
  }

  /** Deletes a GridFS file, also one that was never finished, and then its entry among the uploads. */
  async dropFile(id: string): Promise<void> {
    await this.files.deleteOne({ _id: id });
    await this.chunks.deleteMany({ files_id: id }, 60_000);
    await this.uploads.deleteOne({ _id: id });
  }
}
