/**
 * An account's part of the index: one document that names its segments. Segments never change once they are written; this
 * document alone says which of them count and which of their contents have been replaced or removed, so each change of it
 * is one compare-and-set on `rev`. What it does not name is not there; what is being written or waits to be deleted is
 * named too, so a crash leaves nothing that is not found again.
 */

import { randomBytes } from 'node:crypto';
import { TemporaryError } from '../../core/mail/errors.ts';
import type { AccountId } from '../../core/mail/ids.ts';
import type { Collection } from './mongo-collection.ts';
import { encodeAscending, readAscending } from './search-codec.ts';

const ATTEMPTS_MAX = 100;
/** Far longer than writing a segment takes: then its writer is gone. */
const PENDING_MS_MAX = 3_600_000;

export interface Segment {
  readonly id: string;
  /** Its postings are in 2^bits buckets by the first bits of the hash. */
  readonly bits: number;
  readonly bytes: number;
  readonly contents: number;
  readonly lowest: number;
  readonly highest: number;
  /** How many of its contents were indexed in part. */
  readonly truncated: number;
  /** Contents that do not count any more, as `encodeAscending` writes them. */
  readonly dead: Uint8Array;
  readonly deadCount: number;
}

export interface Manifest {
  readonly _id: AccountId;
  readonly rev: number;
  readonly seed: number;
  readonly mark: number;
  /** Contents that count. */
  readonly documents: number;
  readonly segments: readonly Segment[];
  /** Being written since, by the clock of the writer. One that is taken out of here can't be put among the segments. */
  readonly pending: readonly { readonly id: string; readonly at: number }[];
  /** To be deleted. Never named again. */
  readonly dropped: readonly string[];
}

/** What a change decides about. */
export type Parts = Pick<Manifest, 'mark' | 'segments' | 'pending' | 'dropped'>;

const fresh = () => ({ seed: randomBytes(4).readInt32LE(), documents: 0, segments: [], dropped: [] });

export class Manifests {
  readonly #manifests: Collection<Manifest>;

  constructor(manifests: Collection<Manifest>) {
    this.#manifests = manifests;
  }

  read(account: AccountId): Promise<Manifest | undefined> {
    return this.#manifests.findOne({ _id: account });
  }

  async mark(account: AccountId): Promise<number> {
    return (await this.#manifests.findOne({ _id: account }, { fields: ['mark'] }))?.mark ?? 0;
  }

  async raise(account: AccountId, mark: number): Promise<void> {
    for (let attempt = 0; attempt < ATTEMPTS_MAX; attempt++) {
      const { duplicate } = await this.#manifests.updateOne(
        { _id: account },
        { $max: { mark }, $inc: { rev: 1 }, $setOnInsert: { ...fresh(), pending: [] } },
        { upsert: true },
      );
      if (!duplicate) return;
    }
    throw contended();
  }

  /** Names a segment that is about to be written. */
  async begin(account: AccountId): Promise<{ readonly manifest: Manifest; readonly id: string }> {
    const id = randomBytes(6).toString('hex');
    for (let attempt = 0; attempt < ATTEMPTS_MAX; attempt++) {
      const manifest = await this.#manifests.findOneAndUpdate(
        { _id: account },
        {
          $push: { pending: { $each: [{ id, at: Date.now() }] } },
          $inc: { rev: 1 },
          $setOnInsert: { ...fresh(), mark: 0 },
        },
        { upsert: true },
      );
      if (manifest !== undefined) return { manifest, id };
    }
    throw contended();
  }

  /**
   * Makes a change, asked for again from what is there now whenever somebody else was faster.
   * @returns the manifest after it; undefined where there is none, or where `change` wants none any more
   */
  async change(
    account: AccountId,
    change: (manifest: Manifest) => Promise<Partial<Parts> | undefined> | Partial<Parts> | undefined,
  ): Promise<Manifest | undefined> {
    for (let attempt = 0; attempt < ATTEMPTS_MAX; attempt++) {
      const before = await this.read(account);
      const parts = before && (await change(before));
      if (parts === undefined) return undefined;
      const segments = parts.segments ?? before!.segments;
      const documents = segments.reduce((sum, segment) => sum + segment.contents - segment.deadCount, 0);
      const { matched } = await this.#manifests.updateOne(
        { _id: account, rev: before!.rev },
        { $set: { ...parts, documents }, $inc: { rev: 1 } },
      );
      if (matched === 1) return { ...before!, ...parts, documents, rev: before!.rev + 1 };
    }
    throw contended();
  }

  /** Takes away one that nobody has changed since. */
  async delete({ _id, rev }: Manifest): Promise<void> {
    await this.#manifests.deleteOne({ _id, rev });
  }

  async countDocuments(): Promise<number> {
    const [all] = await this.#manifests.group<{ _id: null; n: number }>({
      filter: {},
      by: null,
      sums: { n: '$documents' },
    });
    return all?.n ?? 0;
  }
}

const contended = () => new TemporaryError('storeUnavailable', { detail: 'contended search index' });

/** Segments whose writer is gone. */
export const abandoned = ({ pending }: Manifest): readonly string[] =>
  pending.filter(({ at }) => Math.abs(Date.now() - at) > PENDING_MS_MAX).map(({ id }) => id);

export const withoutPending = ({ pending }: Manifest, ids: readonly string[]): Manifest['pending'] =>
  pending.filter(({ id }) => !ids.includes(id));

export const deadOf = (segment: Segment): readonly number[] => readAscending(segment.dead);

/** The segment with more contents that do not count; they must be in it. */
export function bury(segment: Segment, contents: Iterable<number>): Segment {
  const dead = [...new Set([...deadOf(segment), ...contents])].sort((a, b) => a - b);
  return { ...segment, dead: encodeAscending(dead), deadCount: dead.length };
}
