/**
 * The search index in MongoDB: trigrams in segments that are merged as they pile up (see search-manifest.ts and
 * search-segments.ts), so it needs nothing of the server but look-ups by `_id`. It only ever narrows: what it leaves out
 * can't match. Writing a batch costs one small segment and two changes of the account's manifest; each content is
 * rewritten once for every fourfold growth of the account.
 */

import { TemporaryError } from '../../core/mail/errors.ts';
import type { AccountId, ContentId, ModSeq } from '../../core/mail/ids.ts';
import type { SearchDocument, SearchStore } from '../../core/ports/search-store.ts';
import { collectionSize } from './collection-size.ts';
import type { Mongo } from './mongo.ts';
import { SearchCompactor } from './search-compactor.ts';
import { bury, deadOf, type Manifest, Manifests, type Segment, withoutPending } from './search-manifest.ts';
import { documentPostings } from './search-merge.ts';
import { Segments } from './search-segments.ts';
import { documentHashes, needleRuns, type Place, runHash } from './search-trigrams.ts';
import { Slices } from './slices.ts';

const TEXT_CHARACTERS_MAX = 1024 * 1024;
/** Of one segment as it is first written. */
const BATCH_CHARACTERS = 2 * 1024 * 1024;
const BATCH_DOCUMENTS = 500;
/** A hash and one content. */
const POSTING_BYTES = 6;
/** Merges that take a segment away while it is read. */
const READ_ATTEMPTS_MAX = 4;
/** Counting that took longer than this is not done again for a while. */
const COUNT_MS_MAX = 100;
const COUNT_KEPT_MS = 60_000;

type Candidates = { readonly mark: ModSeq; readonly contents: ReadonlySet<ContentId> };

export class ClusterSearchStore implements SearchStore {
  readonly #mongo: Mongo;
  readonly #manifests: Manifests;
  readonly #segments: Segments;
  readonly #compactor: SearchCompactor;
  #counted = { documents: 0, until: 0 };

  /** @param options.failed told when merging in the background came to nothing, which does no harm */
  constructor(options: { readonly mongo: Mongo; readonly failed: (error: unknown) => void }) {
    this.#mongo = options.mongo;
    this.#manifests = new Manifests(options.mongo.collection('searchManifests'));
    this.#segments = new Segments(options.mongo.collection('searchBuckets'));
    this.#compactor = new SearchCompactor(this.#manifests, this.#segments, options.failed);
  }

  /** Everything is looked up by `_id`: there are no indexes to make. */
  async open(): Promise<void> {}

  async close(): Promise<void> {
    await this.#compactor.stop();
  }

  /** Resolves when nothing is left to be merged. */
  idle(): Promise<void> {
    return this.#compactor.idle();
  }

  async mark(account: AccountId): Promise<ModSeq> {
    return (await this.#manifests.mark(account)) as ModSeq;
  }

  async index(
    documents: readonly SearchDocument[],
    marks: readonly { readonly account: AccountId; readonly mark: ModSeq }[],
  ): Promise<void> {
    const raised = new Map<AccountId, number>();
    for (const { account, mark } of marks) raised.set(account, Math.max(mark, raised.get(account) ?? 0));
    for (const [account, ofAccount] of Map.groupBy(documents, (document) => document.account)) {
      const batches = batchesOf(ofAccount);
      // A mark without its documents would do harm, so it comes with the last ones.
      for (const [i, batch] of batches.entries())
        await this.#add(account, batch, i + 1 === batches.length ? (raised.get(account) ?? 0) : 0);
      raised.delete(account);
      this.#compactor.wake(account);
    }
    for (const [account, mark] of raised) await this.#manifests.raise(account, mark);
  }

  async remove(account: AccountId, contents: readonly ContentId[]): Promise<void> {
    const changed = await this.#manifests.change(account, async (manifest) => ({
      segments: await this.#buryIn(account, manifest.segments, contents),
    }));
    if (changed !== undefined) this.#compactor.wake(account);
  }

  /** From its first step on nothing counts as indexed. */
  async removeAccount(account: AccountId): Promise<void> {
    const emptied = await this.#manifests.change(account, ({ segments, pending, dropped }) => ({
      mark: 0,
      segments: [],
      pending: [],
      dropped: [...dropped, ...segments.map(({ id }) => id), ...pending.map(({ id }) => id)],
    }));
    if (emptied === undefined) return;
    const clean = await this.#compactor.deleteDropped(emptied);
    if (clean !== undefined) await this.#manifests.delete(clean);
  }

  async candidates(
    account: AccountId,
    where: 'header' | 'body' | 'text',
    needles: readonly string[],
  ): Promise<Candidates | null> {
    const runs = needleRuns(needles);
    if (runs.length === 0) return null;
    let manifest = await this.#manifests.read(account);
    if (manifest === undefined) return { mark: 0 as ModSeq, contents: new Set() };
    for (let attempt = 0; attempt < READ_ATTEMPTS_MAX; attempt++) {
      const contents = await this.#match(manifest, where === 'text' ? ['header', 'body'] : [where], runs);
      // A segment is deleted only after its manifest has ceased to name it: where all are still named, all was there.
      const now = await this.#manifests.read(account);
      if (now === undefined) return { mark: 0 as ModSeq, contents: new Set() };
      const named = new Set(now.segments.map(({ id }) => id));
      if (manifest.segments.every(({ id }) => named.has(id))) return { mark: manifest.mark as ModSeq, contents };
      manifest = now;
    }
    // The searcher looks at the messages themselves.
    return null;
  }

  async stats(): Promise<{ readonly documents: number; readonly stored: number }> {
    const began = performance.now();
    if (began >= this.#counted.until) {
      const documents = await this.#manifests.countDocuments();
      const isSlow = performance.now() - began > COUNT_MS_MAX;
      this.#counted = { documents, until: isSlow ? performance.now() + COUNT_KEPT_MS : 0 };
    }
    const sizes = await Promise.all(
      ['searchManifests', 'searchBuckets'].map((name) => collectionSize(this.#mongo, name)),
    );
    return { documents: this.#counted.documents, stored: sizes.reduce((sum, { stored }) => sum + stored, 0) };
  }

  async #add(account: AccountId, documents: readonly SearchDocument[], mark: number): Promise<void> {
    const { manifest, id } = await this.#manifests.begin(account);
    const slices = new Slices();
    const hashed: { content: number; hashes: Uint32Array; truncated: boolean }[] = [];
    for (const { content, header, body, truncated } of documents) {
      const texts = { header: header.slice(0, TEXT_CHARACTERS_MAX), body: body.slice(0, TEXT_CHARACTERS_MAX) };
      const hashes = await documentHashes(manifest.seed, texts, slices);
      hashed.push({ content, hashes, truncated: truncated || texts.header !== header || texts.body !== body });
    }
    hashed.sort((a, b) => a.content - b.content);
    const contents = hashed.map(({ content }) => content);
    const segment = await this.#segments.write(account, id, documentPostings(hashed), {
      contents,
      truncated: hashed.filter(({ truncated }) => truncated).map(({ content }) => content),
      bytes: hashed.reduce((sum, { hashes }) => sum + hashes.length * POSTING_BYTES, 0),
    });
    const named = await this.#manifests.change(account, async (now) =>
      // Taken out: the account was removed meanwhile, or its seed is another one.
      now.seed !== manifest.seed || !now.pending.some((one) => one.id === id)
        ? undefined
        : {
            mark: Math.max(now.mark, mark),
            pending: withoutPending(now, [id]),
            segments: [...(await this.#buryIn(account, now.segments, contents)), segment],
          },
    );
    if (named !== undefined) return;
    // Whoever goes on with later documents must not raise the mark over these.
    await this.#segments.delete(account, id);
    throw new TemporaryError('storeUnavailable', {
      detail: 'the account was removed from the index meanwhile',
      account,
    });
  }

  /** The segments without these contents. */
  async #buryIn(
    account: AccountId,
    segments: readonly Segment[],
    contents: readonly number[],
  ): Promise<readonly Segment[]> {
    const within = ({ lowest, highest }: Segment): readonly number[] =>
      contents.filter((content) => content >= lowest && content <= highest);
    const stored = await this.#segments.contents(
      account,
      segments.filter((segment) => within(segment).length > 0),
    );
    return segments.map((segment) => {
      const there = new Set(stored.get(segment)?.contents);
      const buried = within(segment).filter((content) => there.has(content));
      return buried.length === 0 ? segment : bury(segment, buried);
    });
  }

  /** Contents that have all runs of every needle in one of the places, and those indexed in part. */
  async #match(
    { _id: account, seed, segments }: Manifest,
    places: readonly Place[],
    needles: readonly (readonly string[])[],
  ): Promise<ReadonlySet<ContentId>> {
    const hashed = needles.map((runs) => places.map((place) => runs.map((run) => runHash(seed, place, run))));
    const postings = await this.#segments.postings(account, segments, [...new Set(hashed.flat(2))]);
    const stored = await this.#segments.contents(
      account,
      segments.filter(({ truncated }) => truncated > 0),
    );
    const matched = new Set<number>();
    for (const segment of segments) {
      const lists = postings.get(segment)!;
      let left: ReadonlySet<number> | undefined;
      for (const ofPlaces of hashed) {
        const found = new Set<number>();
        for (const hashes of ofPlaces) for (const content of intersection(lists, hashes)) found.add(content);
        left = left?.intersection(found) ?? found;
      }
      const candidates = new Set(left);
      for (const content of stored.get(segment)?.truncated ?? []) candidates.add(content);
      for (const content of deadOf(segment)) candidates.delete(content);
      for (const content of candidates) matched.add(content);
    }
    return matched as unknown as ReadonlySet<ContentId>;
  }
}

/** Contents that are in the lists of all of the hashes. */
function intersection(lists: ReadonlyMap<number, readonly number[]>, hashes: readonly number[]): Iterable<number> {
  const found = hashes.map((hash) => lists.get(hash) ?? []).sort((a, b) => a.length - b.length);
  let left = new Set(found[0]);
  for (const list of found.slice(1)) {
    if (left.size === 0) break;
    left = left.intersection(new Set(list));
  }
  return left;
}

/** Of documents that come twice the last one counts. */
function batchesOf(documents: readonly SearchDocument[]): SearchDocument[][] {
  const unique = new Map(documents.map((document) => [document.content, document]));
  const batches: SearchDocument[][] = [[]];
  let characters = 0;
  for (const document of unique.values()) {
    const size = document.header.length + document.body.length;
    const last = batches.at(-1)!;
    if (last.length > 0 && (characters + size > BATCH_CHARACTERS || last.length >= BATCH_DOCUMENTS)) {
      batches.push([document]);
      characters = size;
    } else {
      last.push(document);
      characters += size;
    }
  }
  return batches;
}
