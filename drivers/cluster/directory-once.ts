/**
 * Idempotency keys shared by all nodes: the insert by `_id` decides who is first. Who died at work is found out by the
 * store's clock, or at once when the node of that name opens again.
 */

import { randomBytes } from 'node:crypto';
import { ClientError, TemporaryError } from '../../core/mail/errors.ts';
import type { Mongo } from './mongo.ts';
import type { Collection } from './mongo-collection.ts';

/** How long an answer is remembered. */
const ONCE_MS = 24 * 3_600_000;
/** Longer than any request may take: then whoever was at work is gone. */
const AT_WORK_MS = 120_000;
const FORGET_EVERY_MS = 60_000;
const ATTEMPTS_MAX = 10;

interface OnceDocument {
  readonly _id: string;
  readonly request: string;
  /** JSON; null while the first is at work. */
  readonly answer: string | null;
  /** By the caller's clock. */
  readonly at: number;
  /** By the store's clock. */
  readonly until: number;
  readonly node: string;
  readonly token: string;
}

export class DirectoryOnce {
  readonly #mongo: Mongo;
  readonly #node: string;
  readonly #keys: Collection<OnceDocument>;
  /** Keys that this node works under, and their tokens; `lost` where the answer to the insert never came. */
  readonly #started = new Map<string, { readonly token: string; lost: boolean }>();
  #forgotAt = Number.NEGATIVE_INFINITY;

  constructor(mongo: Mongo, node: string) {
    this.#mongo = mongo;
    this.#node = node;
    this.#keys = mongo.collection('once');
  }

  async open(): Promise<void> {
    await this.#keys.createIndex({ at: 1 });
    await this.#keys.createIndex({ node: 1 });
    await this.#keys.deleteMany({ node: this.#node, answer: null });
  }

  async begin(key: string, request: string, now: number): Promise<unknown | null | undefined> {
    if (Math.abs(now - this.#forgotAt) >= FORGET_EVERY_MS) {
      await this.#keys.deleteMany({ at: { $lte: now - ONCE_MS } });
      this.#forgotAt = now;
    }
    for (let attempt = 0; attempt < ATTEMPTS_MAX; attempt++) {
      const token = randomBytes(12).toString('hex');
      const mine = { request, answer: null, at: now, until: (await this.#mongo.now()) + AT_WORK_MS, node: this.#node };
      if (await this.#insert({ _id: key, ...mine, token })) return undefined;
      const found = await this.#keys.findOne({ _id: key });
      if (found === undefined) continue;
      if (await this.#takeOver(found, { ...mine, token }, now)) return undefined;
      if (found.request !== request) throw new ClientError('conflict', { key });
      return found.answer === null ? null : JSON.parse(found.answer);
    }
    throw new TemporaryError('storeUnavailable', { detail: 'contended idempotency key' });
  }

  async finish(key: string, answer: unknown): Promise<void> {
    const started = this.#started.get(key);
    // Another one may be at work by now under a key that was held for too long.
    const mine = started === undefined ? { _id: key } : { _id: key, token: started.token };
    if (answer === undefined) await this.#keys.deleteOne(mine);
    else await this.#keys.updateOne(mine, { $set: { answer: JSON.stringify(answer) } });
    this.#started.delete(key);
  }

  async #insert(document: OnceDocument): Promise<boolean> {
    const { _id: key, token } = document;
    try {
      if (!(await this.#keys.insertOne(document))) return false;
    } catch (error) {
      if (!this.#started.has(key)) this.#started.set(key, { token, lost: true });
      throw error;
    }
    this.#started.set(key, { token, lost: false });
    return true;
  }

  /** Whether the key is this caller's: it was forgotten, its worker is gone, or the insert was this node's and got lost. */
  async #takeOver(found: OnceDocument, mine: Omit<OnceDocument, '_id'>, now: number): Promise<boolean> {
    const { _id: key, token } = found;
    const started = this.#started.get(key);
    if (started?.lost === true && started.token === token && found.request === mine.request) {
      started.lost = false;
      return true;
    }
    const isOld = found.at <= now - ONCE_MS;
    if (found.answer !== null && !isOld) return false;
    const gone = isOld ? {} : { $expr: { $lt: ['$until', { $toLong: '$$NOW' }] } };
    const { matched } = await this.#keys.updateOne({ _id: key, token, answer: found.answer, ...gone }, { $set: mine });
    if (matched === 1) this.#started.set(key, { token: mine.token, lost: false });
    return matched === 1;
  }
}
