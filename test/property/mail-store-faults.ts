/**
 * One account of the cluster's mail store over a connection that fails at a chosen moment, or whose process dies there:
 * what was acknowledged is there exactly once, what was not is there wholly or not at all, and the collector leaves
 * nothing behind. A model says what the account has to show.
 */

import assert from 'node:assert/strict';
import fc from 'fast-check';
import { MailError, TemporaryError } from '../../core/mail/errors.ts';
import { accountId, contentId } from '../../core/mail/ids.ts';
import type { Lease, Op } from '../../core/ports/mail-store.ts';
import { ClusterMailStore } from '../../drivers/cluster/mail-store.ts';
import { INBOX, JUNK, START } from '../contract/mail-store-fixtures.ts';
import { type Gate, MemoryMongo, type Moment } from '../support/memory-mongo.ts';
import { Oracle } from './mail-store-oracle.ts';
import { op } from './mail-store-property.ts';

const turn = (): Promise<void> => new Promise((resolve) => void setImmediate(resolve));
/** No content has this number. */
const NO_CONTENT = contentId(999_999);
/** Longer than any that is kept in the account's document. */
const LONG = 20_000;

export interface Fault {
  /** At which moment of the process's calls, counted from 1. */
  readonly moment: number;
  /** The call fails there, or the process does nothing any more. */
  readonly kind: 'fails' | 'dies';
}

/** The connection of one process. */
class FaultyConnection {
  readonly #fault: Fault | undefined;
  #moments = 0;
  /** Where the fault came. */
  struck: Moment | undefined;
  readonly died: Promise<'died'>;
  #die = (): void => {};

  constructor(fault: Fault | undefined) {
    this.#fault = fault;
    this.died = new Promise((resolve) => {
      this.#die = () => resolve('died');
    });
  }

  readonly gate: Gate = async (moment) => {
    await turn();
    const fault = this.#fault;
    if (fault !== undefined && this.struck !== undefined && fault.kind === 'dies') return forever();
    if (++this.#moments !== fault?.moment) return;
    this.struck = moment;
    if (fault.kind === 'fails') throw new TemporaryError('storeUnavailable', { detail: 'made to fail' });
    this.#die();
    return forever();
  };
}

const forever = (): Promise<never> => new Promise(() => {});

type Outcome<T> = T | 'failed' | 'died';

export type Step =
  | { readonly t: 'commit'; readonly ops: readonly Op[]; readonly named: boolean; readonly beside: boolean }
  /** By the process itself, or by another one. */
  | { readonly t: 'gc'; readonly own: boolean };

const change: fc.Arbitrary<Op> = fc.oneof(
  // A mark of \Recent is not part of a commit.
  { weight: 12, arbitrary: op.filter(({ t }) => t !== 'claimRecent') },
  {
    // Such a commit is carried out before it is answered.
    weight: 2,
    arbitrary: fc.record({
      t: fc.constant('outbox' as const),
      topic: fc.constant('feedback' as const),
      key: fc.constantFrom('k', 'l', 'm', 'n', 'o', 'p'),
      payload: fc.constant({ n: 1 }),
    }),
  },
);
const long: fc.Arbitrary<Op[]> = fc
  .uniqueArray(fc.constantFrom('p', 'q', 'r'), { minLength: 2, maxLength: 3 })
  .map((letters) => letters.map((letter): Op => ({ t: 'subscribe', name: letter.repeat(LONG), subscribed: true })));

export const faultSteps: fc.Arbitrary<Step[]> = fc.array(
  fc.oneof(
    {
      weight: 10,
      arbitrary: fc.record({
        t: fc.constant('commit' as const),
        ops: fc.oneof(
          { weight: 8, arbitrary: fc.array(change, { minLength: 1, maxLength: 4, size: 'max' }) },
          { weight: 1, arbitrary: long },
        ),
        named: fc.boolean(),
        beside: fc.integer({ min: 0, max: 3 }).map((n) => n === 0),
      }),
    },
    { weight: 2, arbitrary: fc.record({ t: fc.constant('gc' as const), own: fc.boolean() }) },
  ),
  { minLength: 4, maxLength: 9, size: 'max' },
);

class FaultWorld {
  readonly #id = accountId('a'.padEnd(16, '0'));
  readonly #connect = MemoryMongo.server();
  readonly #oracle: Oracle;
  readonly #clock = { now: START };
  #connection = new FaultyConnection(undefined);
  #store!: ClusterMailStore;
  #epoch = 0;
  #owners = 0;
  /** Another process, which nothing happens to. */
  readonly #other: ClusterMailStore;

  constructor(quota: number | null) {
    this.#oracle = new Oracle(this.#id, quota);
    this.#other = this.#open();
  }

  #open(gate?: Gate): ClusterMailStore {
    return new ClusterMailStore({ mongo: this.#connect(gate), now: () => this.#clock.now });
  }

  async begin(fault: Fault | undefined, quota: number | null): Promise<void> {
    await this.#other.createAccount({
      ...{ account: this.#id, quotaBytes: null, quotaMessages: quota },
      mailboxes: [
        { id: JUNK, name: 'Junk', role: 'junk' },
        { id: INBOX, name: 'INBOX', role: 'inbox' },
      ],
    });
    await this.#takeOver(fault);
  }

  /** A process of its own takes the lease; what the former one has in hand it never ends. */
  async #takeOver(fault: Fault | undefined): Promise<void> {
    this.#clock.now += 1000;
    const owner = `owner ${++this.#owners}`;
    this.#connection = new FaultyConnection(fault);
    this.#store = this.#open(this.#connection.gate);
    // The fault may come here.
    let lease: Outcome<Lease | undefined> = 'failed';
    while (lease === 'failed') lease = await this.#attempt(() => this.#store.lease(this.#id, owner, 500));
    if (lease === undefined) assert.fail('the lease is held by another');
    if (lease !== 'died') this.#epoch = lease.epoch;
  }

  /** Only the fault may make it fail. Where the process has died, another one is the owner when this resolves. */
  async #attempt<T>(call: () => Promise<T>): Promise<Outcome<T>> {
    const struck = this.#connection.struck;
    try {
      const outcome = await Promise.race([call(), this.#connection.died]);
      if (outcome === 'died') await this.#takeOver(undefined);
      return outcome;
    } catch (error) {
      const isExpected = error instanceof MailError && struck === undefined && this.#connection.struck !== undefined;
      if (!isExpected) throw error;
      return 'failed';
    }
  }

  async step(step: Step, number: number): Promise<void> {
    if (step.t === 'gc') {
      const collector = step.own ? this.#store : this.#other;
      await this.#attempt(() => collector.gc(this.#clock.now, Number.POSITIVE_INFINITY));
    } else {
      const ops = step.ops.filter((one) => one.t !== 'createMailbox' || !this.#oracle.model.isDeleted(one.id));
      if (ops.length === 0) return;
      const beside = step.beside ? this.#other.gc(this.#clock.now, Number.POSITIVE_INFINITY) : undefined;
      await this.#commit(ops.map(this.#forModel), step.named ? `r${number}` : undefined);
      await beside;
    }
    await this.#oracle.check(this.#other);
  }

  /** Whether a content without a message is there still is the collector's secret. */
  readonly #forModel = (one: Op): Op => {
    if (one.t !== 'append' || !('ref' in one.content) || this.#oracle.numbers.has(one.content.ref)) return one;
    return { ...one, content: { ref: NO_CONTENT } };
  };

  readonly #forStore = (one: Op): Op => {
    if (one.t !== 'append' || !('ref' in one.content)) return one;
    return { ...one, content: { ref: this.#oracle.numbers.get(one.content.ref) ?? NO_CONTENT } };
  };

  async #commit(ops: readonly Op[], request: string | undefined): Promise<void> {
    const call = () => this.#store.commit(this.#id, this.#epoch, ops.map(this.#forStore), request);
    let outcome = await this.#attempt(call);
    // A named one is asked for until there is an answer, by whoever is the owner then.
    while (request !== undefined && typeof outcome === 'string') outcome = await this.#attempt(call);
    if (typeof outcome !== 'string') {
      assert.equal(this.#oracle.commit(ops, outcome.results), outcome.modSeq);
      return;
    }
    const before = this.#oracle.model.modSeq;
    const { modSeq } = (await this.#other.account(this.#id))!;
    if (modSeq !== before) assert.equal(modSeq, this.#oracle.commit(ops));
  }

  /** @returns whether the fault has come */
  async end(): Promise<boolean> {
    await this.#oracle.nothingIsLeft(this.#other, this.#connect(), this.#clock.now);
    return this.#connection.struck !== undefined || this.#owners > 1;
  }
}

/** @returns whether the fault came before the steps were over */
export async function survives(
  steps: readonly Step[],
  quota: number | null,
  fault: Fault | undefined,
): Promise<boolean> {
  const world = new FaultWorld(quota);
  await world.begin(fault, quota);
  for (const [number, step] of steps.entries()) await world.step(step, number);
  return world.end();
}
