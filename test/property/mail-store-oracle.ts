/**
 * Says whether the cluster's mail store shows one account as the model has it, also where the two number contents
 * differently, and whether anything is left in the database that no message needs.
 */

import assert from 'node:assert/strict';
import { type AccountId, type ContentId, contentId } from '../../core/mail/ids.ts';
import { layoutBlobs } from '../../core/mail/layout.ts';
import type { ContentInput, Op, OpResult } from '../../core/ports/mail-store.ts';
import type { ClusterMailStore } from '../../drivers/cluster/mail-store.ts';
import type { Mongo } from '../../drivers/cluster/mongo.ts';
import { DAY } from '../contract/mail-store-fixtures.ts';
import { MailModel } from './mail-store-model.ts';
import { IDS, plain, same } from './mail-store-property.ts';

const withoutContent = (result: unknown): unknown => ({ ...(result as object), content: undefined });

export class Oracle {
  readonly model: MailModel;
  readonly #account: AccountId;
  /** By the model's numbers. */
  readonly inputs = new Map<number, ContentInput>();
  /** The store's numbers by the model's, of contents that have a message; as the last `check` saw them. */
  numbers = new Map<number, ContentId>();

  constructor(account: AccountId, quota: number | null) {
    this.#account = account;
    this.model = new MailModel(quota);
  }

  /** What was committed; `results` where the store has answered. */
  commit(ops: readonly Op[], results?: readonly OpResult[]): number {
    const expected = this.model.commit(ops);
    for (const [i, result] of (expected.results as OpResult[]).entries()) {
      const one = ops[i]!;
      if (one.t === 'append' && !('ref' in one.content) && result.ok && result.t === 'append' && !result.duplicate)
        this.inputs.set(result.content, one.content);
    }
    if (results !== undefined)
      assert.deepEqual(
        results.map((result) => withoutContent(plain(result))),
        JSON.parse(JSON.stringify(expected.results)).map(withoutContent),
      );
    return expected.modSeq;
  }

  async check(store: ClusterMailStore): Promise<void> {
    const ids = new Set<ContentId>();
    for (const mailbox of IDS)
      for (const content of (await store.columns(this.#account, mailbox))?.contents ?? []) ids.add(contentId(content));
    const stored = await store.contents(this.#account, [...ids], ['layout', 'messageId']);
    const byMessageId = new Map([...this.inputs].map(([number, input]) => [input.messageId, number]));
    this.numbers = new Map();
    for (const [i, id] of [...ids].entries()) {
      const content = stored[i];
      assert(content !== undefined, `content ${id} of a message is not there`);
      const number = byMessageId.get(content.messageId)!;
      assert.deepEqual(content.layout, this.inputs.get(number)!.layout);
      assert(!this.numbers.has(number), `content ${number} is there twice`);
      this.numbers.set(number, id);
    }
    const names = new Map([...this.numbers].map(([number, id]): [number, number] => [id, number]));
    await same(store, this.model, { id: this.#account }, (content) => names.get(content)!);
    // What could not be carried out when it was committed is shown when the collector has come round.
    for (const key of await this.#outbox(store)) assert(this.model.outbox().includes(key), `${key} is in the outbox`);
  }

  async #outbox(store: ClusterMailStore): Promise<string[]> {
    return (await store.outbox('feedback', 100)).map(({ key }) => key).sort();
  }

  /** The collector comes round some days after `now`. */
  async nothingIsLeft(store: ClusterMailStore, mongo: Mongo, now: number): Promise<void> {
    while (await store.gc(now + 3 * DAY, 1000));
    await this.check(store);
    assert.deepEqual(await this.#outbox(store), this.model.outbox());
    assert.deepEqual(await store.verify(false), []);
    const all = async (name: string): Promise<string[]> =>
      (await mongo.collection<{ readonly _id: string }>(name).find({ filter: {} })).map(({ _id }) => _id);
    assert.equal((await all('contents')).length, this.numbers.size, 'contents');
    for (const name of ['dying', 'commits']) assert.deepEqual(await all(name), [], name);
    const blobs = [...this.inputs].map(([number, { layout }]) => ({ number, refs: layoutBlobs(layout) }));
    const live = await store.liveBlobs(blobs.flatMap(({ refs }) => refs));
    const used = blobs.filter(({ number }) => this.numbers.has(number)).flatMap(({ refs }) => refs);
    assert.deepEqual(live, new Set(used));
  }
}
