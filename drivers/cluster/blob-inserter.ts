/**
 * Inserts documents in groups: all that wait are sent together while others are on their way, so many small puts cost
 * the server and this process few requests, and one alone is sent at once.
 */

import type { BlobDocument } from './blob-document.ts';
import type { Collection } from './mongo-collection.ts';

const GROUP_MAX = 100;
const GROUP_BYTES_MAX = 8 * 1024 * 1024;
/** More would only make the groups smaller. */
const FLIGHTS_MAX = 3;

interface Waiting {
  readonly document: BlobDocument;
  readonly resolve: (inserted: boolean) => void;
  readonly reject: (error: unknown) => void;
}

export class BlobInserter {
  readonly #blobs: Collection<BlobDocument>;
  #waiting: Waiting[] = [];
  #flights = 0;

  constructor(blobs: Collection<BlobDocument>) {
    this.#blobs = blobs;
  }

  /** Resolves when a majority has it in the journal, with false where the blob is there already. */
  insert(document: BlobDocument): Promise<boolean> {
    return new Promise((resolve, reject) => {
      this.#waiting.push({ document, resolve, reject });
      // Those that come in the same turn go together.
      if (this.#waiting.length === 1) setImmediate(() => this.#start());
    });
  }

  #start(): void {
    while (this.#flights < FLIGHTS_MAX && this.#waiting.length > 0) {
      let count = 0;
      let bytes = 0;
      for (const { document } of this.#waiting) {
        if (count === GROUP_MAX || bytes > GROUP_BYTES_MAX) break;
        bytes += document.stored;
        count++;
      }
      void this.#send(this.#waiting.splice(0, count));
    }
  }

  async #send(group: readonly Waiting[]): Promise<void> {
    this.#flights++;
    try {
      const there = await this.#blobs.insertMany(group.map((one) => one.document));
      for (const { document, resolve } of group) resolve(!there.has(document._id));
    } catch (error) {
      for (const { reject } of group) reject(error);
    } finally {
      this.#flights--;
      this.#start();
    }
  }
}
