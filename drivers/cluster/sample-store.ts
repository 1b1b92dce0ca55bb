/**
 * The sample store in MongoDB, shared by all nodes. Which labels are in force is read from the log itself and kept nowhere
 * else, so nothing can disagree with it. `labelled` on features is set before the label is appended: features that are
 * about to be labelled are never dropped.
 */

import type { AccountId } from '../../core/mail/ids.ts';
import type { Damage } from '../../core/ports/blob-store.ts';
import type { Label, Sample, SampleFeatures, SampleStore, StoredLabel } from '../../core/ports/sample-store.ts';
import { collectionSize } from './collection-size.ts';
import { FeatureInserter, type FeaturesDocument } from './feature-inserter.ts';
import { type LabelDocument, LabelLog, seqOf, toLabel } from './label-log.ts';
import type { Mongo } from './mongo.ts';
import type { Collection } from './mongo-collection.ts';
import { copyLabels } from './sample-copy.ts';

const PAGE = 500;

export class ClusterSampleStore implements SampleStore {
  readonly #mongo: Mongo;
  readonly #archive: (folder: string) => SampleStore;
  readonly #features: Collection<FeaturesDocument>;
  readonly #labels: Collection<LabelDocument>;
  readonly #log: LabelLog;
  readonly #inserter: FeatureInserter;

  /** @param options.archive makes the store in a folder, not yet open, that a backup is written to */
  constructor(options: { readonly mongo: Mongo; readonly archive: (folder: string) => SampleStore }) {
    this.#mongo = options.mongo;
    this.#archive = options.archive;
    this.#features = options.mongo.collection('features');
    this.#labels = options.mongo.collection('labels');
    this.#log = new LabelLog(this.#labels);
    this.#inserter = new FeatureInserter(this.#features);
  }

  async open(): Promise<void> {
    await this.#features.createIndex({ labelled: 1, at: 1 });
    await this.#log.open();
  }

  close(): Promise<void> {
    return this.#inserter.close();
  }

  remember({ key, schema, at, features }: SampleFeatures): Promise<void> {
    return this.#inserter.insert({ _id: key, schema, at, data: features, labelled: false });
  }

  async features(key: string): Promise<SampleFeatures | undefined> {
    const found = await this.#features.findOne({ _id: key });
    return found && toFeatures(found);
  }

  async unlabelled(limit: number): Promise<readonly SampleFeatures[]> {
    for (;;) {
      const filter = { labelled: false };
      const found = await this.#features.find({ filter, sort: { at: -1 }, limit });
      if ((await this.#markLabelled(found)) === 0) return found.map(toFeatures);
    }
  }

  async append(labels: readonly Label[]): Promise<number> {
    if (labels.length === 0) return 0;
    return this.#log.append(labels, async (fresh) => {
      const samples = [...new Set(fresh.map((label) => label.sample))];
      for (let at = 0; at < samples.length; at += PAGE)
        await this.#features.updateMany(
          { _id: { $in: samples.slice(at, at + PAGE) }, labelled: false },
          { $set: { labelled: true } },
        );
    });
  }

  async newest(account: AccountId, sample: string): Promise<StoredLabel | undefined> {
    const found = await this.#labels.findOne({ sample, account }, { sort: { _id: -1 } });
    return found && toLabel(found);
  }

  labels(options: {
    readonly after: number;
    readonly limit: number;
    readonly account?: AccountId;
  }): Promise<readonly StoredLabel[]> {
    return this.#log.read(options.after, options.limit, options.account);
  }

  async samples(after: number, limit: number): Promise<readonly Sample[]> {
    const samples: Sample[] = [];
    for (let behind = after; samples.length < limit; ) {
      const wanted = limit - samples.length;
      const page = await this.#log.read(behind, wanted);
      const newest = await this.#newestOf(page);
      const inForce = page.filter(
        (label) => label.label !== 'withdrawn' && newest.get(pair(label.account, label.sample)) === label.seq,
      );
      const keys = [...new Set(inForce.map((label) => label.sample))];
      const found = await this.#features.find({ filter: { _id: { $in: keys } }, fields: ['data'] });
      const features = new Map(found.map(({ _id, data }) => [_id, bytesOf(data)]));
      for (const label of inForce) {
        const data = features.get(label.sample);
        if (data !== undefined) samples.push({ ...label, features: data });
      }
      if (page.length < wanted) break;
      behind = page.at(-1)!.seq;
    }
    return samples;
  }

  async counts(account: AccountId, sender: string): Promise<{ readonly spam: number; readonly ham: number }> {
    const counts = { spam: 0, ham: 0 };
    const found = await this.#labels.find({ filter: { account, sender }, fields: ['account', 'sample', 'label'] });
    if (found.length === 0) return counts;
    const newest = await this.#newestOf(found, account);
    for (const { _id, sample, label } of found)
      if ((label === 'spam' || label === 'ham') && newest.get(pair(account, sample)) === seqOf(_id)) counts[label]++;
    return counts;
  }

  forgetUser(account: AccountId): Promise<number> {
    return this.#log.forget(account);
  }

  async forget(olderThan: number, limit: number): Promise<number> {
    let forgotten = 0;
    while (forgotten < limit) {
      const wanted = Math.min(PAGE, limit - forgotten);
      const filter = { labelled: false, at: { $lt: olderThan } };
      const page = await this.#features.find({ filter, sort: { at: 1 }, limit: wanted, fields: ['_id'] });
      await this.#markLabelled(page);
      forgotten += await this.#features.deleteMany({ _id: { $in: page.map(({ _id }) => _id) }, labelled: false });
      if (page.length < wanted) break;
    }
    return forgotten;
  }

  async stats(): Promise<{
    readonly features: number;
    readonly labels: number;
    readonly lastSeq: number;
    readonly stored: number;
  }> {
    const [features, labels, lastSeq, forgotten] = await Promise.all([
      collectionSize(this.#mongo, 'features'),
      collectionSize(this.#mongo, 'labels'),
      this.#log.last(),
      this.#log.countForgotten(),
    ]);
    return {
      features: features.documents,
      labels: lastSeq - forgotten,
      lastSeq,
      stored: features.stored + labels.stored,
    };
  }

  /** The log has a label or a blank at every place. */
  async verify(): Promise<readonly Damage[]> {
    let expected = 1;
    for (;;) {
      const page = await this.#labels.find({
        filter: { _id: { $gt: String(expected - 1).padStart(16, '0') } },
        sort: { _id: 1 },
        limit: PAGE,
        fields: ['_id'],
      });
      for (const { _id } of page) {
        if (seqOf(_id) !== expected)
          return [{ what: 'the log of labels', detail: `nothing at place ${expected}`, repaired: false }];
        expected++;
      }
      if (page.length < PAGE) return [];
    }
  }

  async backup(destination: string): Promise<void> {
    const copy = this.#archive(destination);
    await copy.open();
    try {
      await copyLabels(this, copy, () => Promise.resolve());
      for (let after = ''; ; ) {
        const page = await this.#features.find({ filter: { _id: { $gt: after } }, sort: { _id: 1 }, limit: PAGE });
        await Promise.all(page.map((document) => copy.remember(toFeatures(document))));
        if (page.length < PAGE) break;
        after = page.at(-1)!._id;
      }
    } finally {
      await copy.close();
    }
  }

  /** Marks those whose label came before they did. The number. */
  async #markLabelled(features: readonly Pick<FeaturesDocument, '_id'>[]): Promise<number> {
    let marked = 0;
    for (let at = 0; at < features.length; at += PAGE) {
      const keys = features.slice(at, at + PAGE).map(({ _id }) => _id);
      const found = await this.#labels.find({ filter: { sample: { $in: keys } }, fields: ['sample'] });
      if (found.length === 0) continue;
      const samples = [...new Set(found.map(({ sample }) => sample))];
      marked += (await this.#features.updateMany({ _id: { $in: samples } }, { $set: { labelled: true } })).matched;
    }
    return marked;
  }

  /** The place of the newest label of each account and sample that these are about. */
  async #newestOf(
    labels: readonly { readonly sample: string }[],
    account?: AccountId,
  ): Promise<ReadonlyMap<string, number>> {
    const newest = new Map<string, number>();
    const samples = [...new Set(labels.map(({ sample }) => sample))];
    for (let at = 0; at < samples.length; at += PAGE) {
      const some = { sample: { $in: samples.slice(at, at + PAGE) } };
      const filter = account === undefined ? some : { ...some, account };
      for (const rival of await this.#labels.find({ filter, fields: ['account', 'sample'] })) {
        const key = pair(rival.account, rival.sample);
        newest.set(key, Math.max(newest.get(key) ?? 0, seqOf(rival._id)));
      }
    }
    return newest;
  }
}

const pair = (account: string, sample: string): string => `${account}\n${sample}`;

const bytesOf = (data: Uint8Array): Uint8Array => new Uint8Array(data.buffer, data.byteOffset, data.byteLength);

const toFeatures = ({ _id, schema, at, data }: FeaturesDocument): SampleFeatures => ({
  ...{ key: _id, schema, at },
  features: bytesOf(data),
});
