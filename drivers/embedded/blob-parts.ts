/** What the blob store's maintenance (recovery, collection, verification, backup) works on. */

import type { BlobRef } from '../../core/mail/ids.ts';
import type { PackAppender } from './blob-appender.ts';
import type { BlobIndex } from './blob-index.ts';
import type { Descriptors } from './blob-io.ts';
import type { BlobReader } from './blob-reader.ts';

export interface BlobParts {
  readonly folder: string;
  readonly index: BlobIndex;
  readonly appender: PackAppender;
  readonly files: Descriptors;
  readonly reader: BlobReader;
  /** A put of it is at work: its file may be there before its row. */
  readonly isWriting: (ref: BlobRef) => boolean;
  /** Packs that could not be emptied because of damage: not tried again before `verify` repairs. */
  readonly stuck: Set<number>;
}

/** Lets everything run that is ready to run, acknowledgements of finished writes among it. */
export const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
