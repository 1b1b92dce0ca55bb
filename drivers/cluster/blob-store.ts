/**
 * The cluster's blob store: the blobs of messages in MongoDB and GridFS. A backup is a folder that the embedded driver
 * opens, so that it can be kept and read without a MongoDB.
 */

import type { BlobStore } from '../../core/ports/blob-store.ts';
import { BlobVault } from './blob-vault.ts';
import type { Mongo } from './mongo.ts';

export class ClusterBlobStore extends BlobVault implements BlobStore {
  readonly #archive: (folder: string) => BlobStore;

  /** @param options.archive makes the store in a folder, not yet open, that a backup is written to */
  constructor(options: {
    readonly mongo: Mongo;
    readonly now: () => number;
    readonly archive: (folder: string) => BlobStore;
  }) {
    super(options.mongo, 'blobs', options.now);
    this.#archive = options.archive;
  }

  backup(destination: string): Promise<void> {
    return this.copyTo(this.#archive(destination));
  }
}
