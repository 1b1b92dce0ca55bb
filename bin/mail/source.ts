/** What an import reads from: messages one after the other, whatever they are kept in. */

import type { HeaderPeek } from './message-stream.ts';

export interface SourceMessage {
  /** Mailbox it goes into. */
  readonly mailbox: string;
  /** Its place in the source, the same whenever the source is read again: makes importing idempotent. */
  readonly key: string;
  /** Read once, before the next message is asked for. Line ends may be bare LF. */
  read(): AsyncIterable<Uint8Array>;
  /** Asked after the header has passed. */
  flags(header: HeaderPeek): readonly string[];
  /** Seconds since 1970, or null. Asked after the header has passed. */
  internalDate(header: HeaderPeek): number | null;
  /** Reading again with this goes on with this message or behind it; null where that is not worth it. */
  readonly resume: string | null;
}

interface Total {
  readonly unit: 'bytes' | 'messages';
  readonly count: number;
  readonly done: number;
}

export interface Source {
  /** How much there is and how much of it an earlier reading has done, for the progress bar. */
  readonly total: Total;
  messages(): AsyncIterable<SourceMessage>;
  close(): Promise<void>;
}

/** @param resume of an earlier, interrupted reading of the same source; null for the beginning */
export type OpenSource = (resume: string | null) => Promise<Source>;
