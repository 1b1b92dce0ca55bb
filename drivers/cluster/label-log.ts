/**
 * The log of labels: one document for each place, whose `_id` is the place. Any node appends, and a reader that goes on
 * behind the last place it saw never misses a label.
 *
 * Why: (1) A label is inserted at place n + 1 only by a node that has read place n as a majority has it, or has its own
 * insert of n acknowledged by a majority. So places are taken without gaps, and whenever n + 1 can be seen, n can be seen:
 * there is no moment at which a lower place is still to come. (2) Two nodes that want the same place meet at the key; one
 * gets it, the other reads on and takes the next. No counter is needed that could run ahead of what is there. (3) Nothing
 * is ever deleted: what a user takes back is blanked, so no place is used again, and a node may remember the last place
 * that it saw. Labels are rare (people's clicks), so appending one after the other is fast enough; the log is one
 * replica set's, as a total order can't be sharded.
 */

import { setTimeout as after } from 'node:timers/promises';
import { TemporaryError } from '../../core/mail/errors.ts';
import type { AccountId } from '../../core/mail/ids.ts';
import type { Label, StoredLabel } from '../../core/ports/sample-store.ts';
import type { Collection } from './mongo-collection.ts';

export interface LabelDocument extends Omit<Label, 'label' | 'account'> {
  /** The place, in 16 digits. */
  readonly _id: string;
  /** Empty where it was taken back. */
  readonly account: AccountId | '';
  readonly label: Label['label'] | 'forgotten';
}

const ATTEMPTS_MAX = 1000;
/** Until what is written can be read as well. */
const UNTIL_MAJORITY_MS = 5;
const KEYS_AT_ONCE = 500;

const place = (seq: number): string => String(seq).padStart(16, '0');

export const seqOf = (id: string): number => Number(id);

export class LabelLog {
  readonly #labels: Collection<LabelDocument>;
  #last = 0;
  #appending: Promise<unknown> = Promise.resolve();

  constructor(labels: Collection<LabelDocument>) {
    this.#labels = labels;
  }

  async open(): Promise<void> {
    await this.#labels.createIndex({ key: 1 }, { unique: true });
    await this.#labels.createIndex({ sample: 1 });
    await this.#labels.createIndex({ account: 1, sender: 1 });
  }

  /** The last place that is taken, 0 for none. */
  async last(): Promise<number> {
    const behind = { _id: { $gt: place(this.#last) } };
    const found = await this.#labels.findOne(behind, { sort: { _id: -1 }, fields: ['_id'] });
    if (found !== undefined) this.#last = Math.max(this.#last, seqOf(found._id));
    return this.#last;
  }

  /** Calls of one node wait for each other, so that it does not contend with itself. */
  append(labels: readonly Label[], before: (fresh: readonly Label[]) => Promise<void>): Promise<number> {
    const appended = this.#appending.then(() => this.#append(labels, before));
    this.#appending = appended.catch(() => undefined);
    return appended;
  }

  /** Oldest first, what was taken back left out. */
  async read(after: number, limit: number, account?: AccountId): Promise<readonly StoredLabel[]> {
    const read: StoredLabel[] = [];
    for (let behind = after; read.length < limit; ) {
      const wanted = limit - read.length;
      const filter = { _id: { $gt: place(behind) }, ...(account === undefined ? {} : { account }) };
      const page = await this.#labels.find({ filter, sort: { _id: 1 }, limit: wanted });
      for (const document of page) if (document.account !== '') read.push(toLabel(document));
      if (page.length < wanted) break;
      behind = seqOf(page.at(-1)!._id);
    }
    return read;
  }

  /** Blanks every label of a user: whose it was, what it said and of what. The number. */
  async forget(account: AccountId): Promise<number> {
    const blank = { account: '', sample: '', sender: '', model: '', label: 'forgotten', score: null };
    const { matched } = await this.#labels.updateMany({ account }, [
      { $set: { ...blank, key: { $concat: ['forgotten:', '$_id'] } } },
    ]);
    return matched;
  }

  async countForgotten(): Promise<number> {
    const [all] = await this.#labels.group<{ _id: null; n: number }>({
      filter: { account: '' },
      by: null,
      sums: { n: 1 },
    });
    return all?.n ?? 0;
  }

  async #append(labels: readonly Label[], before: (fresh: readonly Label[]) => Promise<void>): Promise<number> {
    const fresh = new Map<string, Label>();
    for (const label of labels) if (!fresh.has(label.key)) fresh.set(label.key, label);
    const keys = [...fresh.keys()];
    for (let at = 0; at < keys.length; at += KEYS_AT_ONCE) {
      const some = { key: { $in: keys.slice(at, at + KEYS_AT_ONCE) } };
      for (const { key } of await this.#labels.find({ filter: some, fields: ['key'] })) fresh.delete(key);
    }
    if (fresh.size === 0) return 0;
    await before([...fresh.values()]);
    let appended = 0;
    await this.last();
    for (const label of fresh.values()) if (await this.#put(label)) appended++;
    return appended;
  }

  /** False where its key was there already. */
  async #put(label: Label): Promise<boolean> {
    for (let attempt = 0; attempt < ATTEMPTS_MAX; attempt++) {
      const seq = this.#last + 1;
      if (await this.#labels.insertOne({ _id: place(seq), ...label })) {
        this.#last = Math.max(this.#last, seq);
        return true;
      }
      // The key or the place is there already, perhaps not yet on a majority: only what a majority has is gone on from.
      if ((await this.#labels.findOne({ key: label.key }, { fields: ['_id'] })) !== undefined) return false;
      if ((await this.last()) < seq) await after(UNTIL_MAJORITY_MS);
    }
    throw new TemporaryError('storeUnavailable', { detail: 'contended label log' });
  }
}

export const toLabel = ({ _id, ...label }: LabelDocument): StoredLabel => ({
  ...(label as Label),
  seq: seqOf(_id),
});
