/**
 * Keeps the number of segments small: four of about one size become one, and one with many contents that do not count is
 * written anew, behind the calls that made them. Nothing waits for it, and whatever ends it leaves the index as it was.
 */

import type { AccountId } from '../../core/mail/ids.ts';
import {
  abandoned,
  bury,
  deadOf,
  type Manifest,
  type Manifests,
  type Segment,
  withoutPending,
} from './search-manifest.ts';
import { MergedPostings } from './search-merge.ts';
import type { Segments } from './search-segments.ts';

/** Segments of one size that are merged, and how much larger the next size is. */
const FAN_IN = 4;
const SMALLEST_BYTES = 16 * 1024;
/** Of a merged segment. */
const BYTES_MAX = 64 * 1024 * 1024;
const CONTENTS_MAX = 65_536;
/** A segment with more of its contents dead is written anew. */
const DEAD_SHARE_MAX = 0.25;

export class SearchCompactor {
  readonly #manifests: Manifests;
  readonly #segments: Segments;
  readonly #waiting = new Set<AccountId>();
  readonly #failed: (error: unknown) => void;
  #working: Promise<void> | undefined;
  #stopped = false;

  /** @param failed told why a step came to nothing; the account's next change has it tried again */
  constructor(manifests: Manifests, segments: Segments, failed: (error: unknown) => void) {
    this.#manifests = manifests;
    this.#segments = segments;
    this.#failed = failed;
  }

  /** The account has changed. */
  wake(account: AccountId): void {
    if (this.#stopped) return;
    this.#waiting.add(account);
    this.#working ??= this.#work().finally(() => {
      this.#working = undefined;
    });
  }

  /** Resolves when all that is to be done now is done. */
  async idle(): Promise<void> {
    await this.#working;
  }

  /** Resolves once nothing runs any more; a merge that is under way ends without effect. */
  async stop(): Promise<void> {
    this.#stopped = true;
    await this.#working;
  }

  /** Deletes what a manifest has ceased to name. @returns the manifest afterwards; undefined where it is gone */
  async deleteDropped(manifest: Manifest): Promise<Manifest | undefined> {
    const { _id: account, dropped } = manifest;
    for (const id of dropped) await this.#segments.delete(account, id);
    return this.#manifests.change(account, (now) => ({ dropped: now.dropped.filter((id) => !dropped.includes(id)) }));
  }

  async #work(): Promise<void> {
    for (const account of this.#waiting) {
      this.#waiting.delete(account);
      try {
        while (!this.#stopped && (await this.#step(account)));
      } catch (error) {
        if (!this.#stopped) this.#failed(error);
      }
    }
  }

  /** One piece of work, if there is any. */
  async #step(account: AccountId): Promise<boolean> {
    const manifest = await this.#manifests.read(account);
    if (manifest === undefined) return false;
    const gone = abandoned(manifest);
    if (gone.length > 0)
      await this.#manifests.change(account, (now) => ({
        pending: withoutPending(now, gone),
        dropped: [...now.dropped, ...gone],
      }));
    if (manifest.dropped.length > 0) await this.deleteDropped(manifest);
    const some = due(manifest.segments);
    if (some.length === 0) return gone.length > 0 || manifest.dropped.length > 0;
    await this.#merge(account, some);
    return true;
  }

  async #merge(account: AccountId, some: readonly Segment[]): Promise<void> {
    const { id } = await this.#manifests.begin(account);
    const sources = some.map((segment) => ({ segment, dead: new Set(deadOf(segment)) }));
    const contents: number[] = [];
    const truncated: number[] = [];
    const stored = await this.#segments.contents(account, some);
    for (const { segment, dead } of sources) {
      const all = stored.get(segment)!;
      for (const content of all.contents) if (!dead.has(content)) contents.push(content);
      for (const content of all.truncated) if (!dead.has(content)) truncated.push(content);
    }
    const merged = await this.#segments.write(
      account,
      id,
      new MergedPostings(sources.map(({ segment, dead }) => ({ source: this.#source(account, segment), dead }))),
      {
        contents: contents.sort((a, b) => a - b),
        truncated: truncated.sort((a, b) => a - b),
        bytes: some.reduce((sum, { bytes }) => sum + bytes, 0),
      },
    );
    const ids = some.map((segment) => segment.id);
    const named = await this.#manifests.change(account, (now) => {
      const before = now.segments.filter((segment) => ids.includes(segment.id));
      if (before.length < ids.length || !now.pending.some((one) => one.id === id)) return undefined;
      // What ceased to count while this was written.
      const fresh = before.flatMap((segment) => {
        const { dead } = sources.find((source) => source.segment.id === segment.id)!;
        return deadOf(segment).filter((content) => !dead.has(content));
      });
      const others = now.segments.filter((segment) => !ids.includes(segment.id));
      return {
        segments: contents.length === 0 ? others : [...others, bury(merged, fresh)],
        pending: withoutPending(now, [id]),
        dropped: [...now.dropped, ...ids, ...(contents.length === 0 ? [id] : [])],
      };
    });
    // Another node was faster, or the account was removed.
    if (named === undefined) {
      await this.#segments.delete(account, id);
      await this.#manifests.change(account, (now) => ({ pending: withoutPending(now, [id]) }));
    }
  }

  #source(account: AccountId, segment: Segment) {
    const source = this.#segments.source(account, segment);
    return {
      next: () => source.next(),
      fill: () => {
        if (this.#stopped) throw new Error('the search index is closing');
        return source.fill();
      },
    };
  }
}

const sizeOf = ({ bytes, contents, deadCount }: Segment): number => bytes * (1 - deadCount / contents);

/** What should become one segment, if anything. */
function due(segments: readonly Segment[]): readonly Segment[] {
  const worn = segments.find(({ contents, deadCount }) => deadCount > contents * DEAD_SHARE_MAX);
  if (worn !== undefined) return [worn];
  const levels = Map.groupBy(segments, (segment) =>
    Math.max(0, Math.floor(Math.log(sizeOf(segment) / SMALLEST_BYTES) / Math.log(FAN_IN))),
  );
  for (const level of levels.values()) {
    if (level.length < FAN_IN) continue;
    const some: Segment[] = [];
    let bytes = 0;
    let contents = 0;
    for (const segment of level) {
      bytes += sizeOf(segment);
      contents += segment.contents - segment.deadCount;
      if (bytes > BYTES_MAX || contents > CONTENTS_MAX) break;
      some.push(segment);
    }
    if (some.length >= FAN_IN) return some;
  }
  return [];
}
