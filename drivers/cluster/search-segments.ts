/**
 * Segments: immutable postings of some contents of one account, in buckets by the first bits of the trigram's hash. A
 * search reads only the buckets of its own trigrams; a merge reads all of them in order. A bucket is a list of
 * (difference of the hash, length in bytes, ascending contents).
 */

import type { AccountId } from '../../core/mail/ids.ts';
import type { Collection } from './mongo-collection.ts';
import { ByteReader, ByteWriter, encodeAscending, readAscending, writeAscending } from './search-codec.ts';
import type { Segment } from './search-manifest.ts';

export interface BucketDocument {
  /** account.segment.bucket, or account.segment.~contents */
  readonly _id: string;
  /** Postings; of `~contents`, the contents. */
  readonly data: Uint8Array;
  /** Of `~contents`: those indexed in part. */
  readonly truncated?: Uint8Array;
}

/** All contents of a segment, and those of them that were indexed in part; both ascending. */
interface SegmentContents {
  readonly contents: readonly number[];
  readonly truncated: readonly number[];
}

const NO_CONTENTS: SegmentContents = { contents: [], truncated: [] };

/** One trigram's contents, ascending. */
export interface Posting {
  readonly hash: number;
  readonly contents: readonly number[];
}

/** Sources of postings by ascending hash: `next` gives them while there are some in memory, `fill` gets more. */
export interface PostingSource {
  next(): Posting | undefined;
  /** False at the end. */
  fill(): Promise<boolean>;
}

const BUCKET_BYTES = 16 * 1024;
const BITS_MAX = 20;
const IDS_AT_ONCE = 200;
const BUCKETS_READ_AT_ONCE = 64;
const WRITTEN_AT_ONCE_BYTES = 1024 * 1024;
const WRITTEN_AT_ONCE = 100;
/** Behind the digits of buckets. */
const CONTENTS = '~contents';

const bucketOf = (hash: number, bits: number): number => (bits === 0 ? 0 : hash >>> (32 - bits));
const bucketName = (bucket: number): string => bucket.toString(16).padStart(5, '0');

export class Segments {
  readonly #buckets: Collection<BucketDocument>;

  constructor(buckets: Collection<BucketDocument>) {
    this.#buckets = buckets;
  }

  /** Writes all of the postings. The segment counts once a manifest names it. */
  async write(
    account: AccountId,
    id: string,
    source: PostingSource,
    what: { readonly contents: readonly number[]; readonly truncated: readonly number[]; readonly bytes: number },
  ): Promise<Segment> {
    const { contents, truncated } = what;
    const bits = Math.min(BITS_MAX, Math.max(0, Math.ceil(Math.log2(what.bytes / BUCKET_BYTES))));
    const writer = new ByteWriter(BUCKET_BYTES);
    const list = new ByteWriter();
    let documents: BucketDocument[] = [];
    let waiting = 0;
    let bytes = 0;
    let bucket = 0;
    let before = 0;
    const close = (): void => {
      if (writer.length === 0) return;
      const data = writer.take();
      documents.push({ _id: `${account}.${id}.${bucketName(bucket)}`, data });
      waiting += data.length;
      bytes += data.length;
    };
    do {
      for (let posting = source.next(); posting !== undefined; posting = source.next()) {
        const at = bucketOf(posting.hash, bits);
        if (at !== bucket) {
          close();
          bucket = at;
          before = 0;
          if (waiting >= WRITTEN_AT_ONCE_BYTES || documents.length >= WRITTEN_AT_ONCE) {
            await this.#buckets.insertMany(documents);
            documents = [];
            waiting = 0;
          }
        }
        list.clear();
        writeAscending(list, posting.contents);
        writer.number(posting.hash - before);
        writer.number(list.length);
        writer.append(list.view());
        before = posting.hash;
      }
    } while (await source.fill());
    close();
    documents.push({
      _id: `${account}.${id}.${CONTENTS}`,
      data: encodeAscending(contents),
      truncated: encodeAscending(truncated),
    });
    await this.#buckets.insertMany(documents);
    return {
      ...{ id, bits, bytes, contents: contents.length, truncated: truncated.length },
      ...{ lowest: contents[0] ?? 0, highest: contents.at(-1) ?? 0, dead: new Uint8Array(), deadCount: 0 },
    };
  }

  /** Of each of the segments. One that is deleted meanwhile has none. */
  async contents(account: AccountId, segments: readonly Segment[]): Promise<ReadonlyMap<Segment, SegmentContents>> {
    const byId = new Map(segments.map((segment) => [`${account}.${segment.id}.${CONTENTS}`, segment]));
    const found = new Map(segments.map((segment): [Segment, SegmentContents] => [segment, NO_CONTENTS]));
    for await (const { _id, data, truncated } of this.#named([...byId.keys()]))
      found.set(byId.get(_id)!, {
        contents: readAscending(data),
        truncated: truncated === undefined ? [] : readAscending(truncated),
      });
    return found;
  }

  /** The contents of these hashes in each of the segments. */
  async postings(
    account: AccountId,
    segments: readonly Segment[],
    hashes: readonly number[],
  ): Promise<ReadonlyMap<Segment, ReadonlyMap<number, readonly number[]>>> {
    const wanted = new Map<string, { segment: Segment; hashes: Set<number> }>();
    const found = new Map<Segment, Map<number, readonly number[]>>();
    for (const segment of segments) {
      found.set(segment, new Map());
      for (const hash of hashes) {
        const id = `${account}.${segment.id}.${bucketName(bucketOf(hash, segment.bits))}`;
        const entry = wanted.get(id) ?? { segment, hashes: new Set() };
        wanted.set(id, entry);
        entry.hashes.add(hash);
      }
    }
    for await (const { _id, data } of this.#named([...wanted.keys()])) {
      const entry = wanted.get(_id)!;
      pick(data, entry.hashes, found.get(entry.segment)!);
    }
    return found;
  }

  /** A segment from its first posting to its last. */
  source(account: AccountId, segment: Segment): PostingSource {
    return new StoredPostings(this.#buckets, `${account}.${segment.id}`);
  }

  async delete(account: AccountId, id: string): Promise<void> {
    // `/` follows `.`: everything below the segment's name.
    await this.#buckets.deleteMany({ _id: { $gt: `${account}.${id}.`, $lt: `${account}.${id}/` } }, 60_000);
  }

  /** Some at a time: the buckets of a long needle are many. */
  async *#named(ids: readonly string[]): AsyncGenerator<BucketDocument> {
    for (let at = 0; at < ids.length; at += IDS_AT_ONCE)
      yield* await this.#buckets.find({ filter: { _id: { $in: ids.slice(at, at + IDS_AT_ONCE) } } });
  }
}

/** Reads only the lists that are wanted. */
function pick(data: Uint8Array, wanted: ReadonlySet<number>, into: Map<number, readonly number[]>): void {
  const reader = new ByteReader(data);
  for (let hash = 0, left = wanted.size; !reader.isAtEnd && left > 0; ) {
    hash += reader.number();
    const length = reader.number();
    if (wanted.has(hash)) {
      into.set(hash, readAscending(data.subarray(reader.at, reader.at + length)));
      left--;
    }
    reader.at += length;
  }
}

class StoredPostings implements PostingSource {
  readonly #buckets: Collection<BucketDocument>;
  readonly #prefix: string;
  #after: string;
  #page: BucketDocument[] = [];
  #reader: ByteReader | undefined;
  #hash = 0;

  constructor(buckets: Collection<BucketDocument>, prefix: string) {
    this.#buckets = buckets;
    this.#prefix = prefix;
    this.#after = `${prefix}.`;
  }

  next(): Posting | undefined {
    while (this.#reader === undefined || this.#reader.isAtEnd) {
      const bucket = this.#page.shift();
      if (bucket === undefined) return undefined;
      this.#reader = new ByteReader(bucket.data);
      this.#hash = 0;
    }
    this.#hash += this.#reader.number();
    const length = this.#reader.number();
    const { at, bytes } = this.#reader;
    this.#reader.at = at + length;
    return { hash: this.#hash, contents: readAscending(bytes.subarray(at, at + length)) };
  }

  async fill(): Promise<boolean> {
    const end = `${this.#prefix}.${CONTENTS}`;
    this.#page = await this.#buckets.find({
      filter: { _id: { $gt: this.#after, $lt: end } },
      sort: { _id: 1 },
      limit: BUCKETS_READ_AT_ONCE,
    });
    this.#after = this.#page.at(-1)?._id ?? end;
    return this.#page.length > 0;
  }
}
