/**
 * Several processes of the cluster's mail store on one server whose every call waits until it is picked, in an order that
 * a seed gives: an owner and the one that takes over from it, collectors whose clock is days ahead, and a reader; some of
 * the owners' and the collectors' calls fail. The commits that were acknowledged, and those of the unanswered ones that
 * left their mark, put in the order of their modSeqs, are what the model is told; every answer to the reader has to be the
 * account as it was at one of them.
 */

import assert from 'node:assert/strict';
import { Fenced, TemporaryError } from '../../core/mail/errors.ts';
import { accountId, type ContentId, contentId, type MailboxId, modSeq } from '../../core/mail/ids.ts';
import type { ContentInput, Lease, Op, OpResult } from '../../core/ports/mail-store.ts';
import { ClusterMailStore } from '../../drivers/cluster/mail-store.ts';
import {
  type AccountDoc,
  deliveryRef,
  type MessageDoc,
  type ReceiptDoc,
} from '../../drivers/cluster/mail-store-schema.ts';
import { append, contentInput, DAY, INBOX, JUNK, START, uids } from '../contract/mail-store-fixtures.ts';
import { type Gate, MemoryMongo } from '../support/memory-mongo.ts';
import { Oracle } from './mail-store-oracle.ts';

const turn = (): Promise<void> => new Promise((resolve) => void setImmediate(resolve));

/** Turns after which nobody waits for anything that could come. */
const IDLE_MAX = 1000;
const MADE = 'made to fail';
/** After so many picks other processes are the fast ones. */
const PHASE = 25;
const COMMITS = 8;
/** No content has this number. */
const NO_CONTENT = contentId(999_999);
const BOXES = [INBOX, JUNK];

/** Numbers from 0 to below 1 that follow from the seed: a linear congruential generator by Knuth's constants. */
function numbers(seed: number): () => number {
  let state = BigInt(seed);
  return () => {
    state = (state * 6364136223846793005n + 1442695040888963407n) & 0xffff_ffff_ffff_ffffn;
    return Number(state >> 32n) / 2 ** 32;
  };
}

class Scheduler {
  readonly random: () => number;
  readonly #waiting: { readonly process: string; readonly go: () => void }[] = [];
  readonly #speeds = new Map<string, number>();
  #picks = 0;

  constructor(seed: number) {
    this.random = numbers(seed);
  }

  /** @param failures how many of the calls fail, from 0 to 1 */
  gate(process: string, failures: number): Gate {
    return async () => {
      await new Promise<void>((resolve) => void this.#waiting.push({ process, go: resolve }));
      if (this.random() < failures) throw new TemporaryError('storeUnavailable', { detail: MADE });
    };
  }

  below(n: number): number {
    return Math.floor(this.random() * n);
  }

  /** Until the work is done. */
  async run(work: Promise<unknown>): Promise<void> {
    let isDone = false;
    const end = work.finally(() => {
      isDone = true;
    });
    // Told at the end.
    end.catch(() => {});
    for (let idle = 0; !isDone; ) {
      await turn();
      if (this.#waiting.length > 0) {
        idle = 0;
        this.#pick();
      } else if (++idle > IDLE_MAX) throw new Error('nothing goes on any more');
    }
    await end;
  }

  #pick(): void {
    if (this.#picks++ % PHASE === 0) this.#speeds.clear();
    const speed = ({ process }: { readonly process: string }): number => {
      const known = this.#speeds.get(process) ?? this.random() ** 4 + 0.001;
      this.#speeds.set(process, known);
      return known;
    };
    let point = this.random() * this.#waiting.reduce((sum, one) => sum + speed(one), 0);
    const index = this.#waiting.findIndex((one) => {
      point -= speed(one);
      return point < 0;
    });
    this.#waiting.splice(Math.max(0, index), 1)[0]!.go();
  }
}

type Mark = { readonly name: string; readonly modSeq: number };

interface Made {
  readonly ops: readonly Op[];
  /** Where they were answered. */
  readonly results?: readonly OpResult[];
  /** Of the first operation, if it is an append that took place. */
  readonly content: ContentId | undefined;
}

/** What the account was at one modSeq. */
interface Snapshot {
  readonly mailboxes: unknown;
  readonly rows: ReadonlyMap<MailboxId, readonly string[]>;
  readonly changes: readonly string[];
  /** By Message-ID. */
  readonly found: ReadonlyMap<string, readonly string[]>;
}

type Question = (snapshot: Snapshot) => unknown;
interface Answer {
  /** The newest commit that was acknowledged when it was asked. */
  readonly since: number;
  /** The modSeq that it says it is of. */
  readonly at: number | undefined;
  readonly what: string;
  readonly question: Question;
  readonly answer: unknown;
}

const rowText = (uid: number, flags: string, at: number): string => `${uid} ${flags} ${at}`;

class World {
  readonly #id = accountId('a'.padEnd(16, '0'));
  readonly #connect = MemoryMongo.server();
  readonly #scheduler: Scheduler;
  readonly #clock = { now: START };
  readonly #oracle = new Oracle(this.#id, null);
  /** By modSeq. */
  readonly #made = new Map<number, Made>();
  /** Those that were made, and those that were not. */
  readonly #unanswered: (readonly Op[])[] = [];
  readonly #answers: Answer[] = [];
  /** Contents by the store's numbers. */
  readonly #inputs = new Map<ContentId, ContentInput>();
  readonly #messageIds: string[] = [];
  readonly #duplicates: { readonly key: string; readonly content: ContentId }[] = [];
  #newest = 1;
  #names = 0;
  #owners = 2;
  readonly counts = { commits: 0, fenced: 0, unanswered: 0, unansweredMade: 0, answers: 0, rounds: 0, failedRounds: 0 };

  constructor(seed: number) {
    this.#scheduler = new Scheduler(seed);
  }

  #open(gate?: Gate): ClusterMailStore {
    return new ClusterMailStore({ mongo: this.#connect(gate), now: () => this.#clock.now });
  }

  #process(name: string, failures = 0): ClusterMailStore {
    return this.#open(this.#scheduler.gate(name, failures));
  }

  async run(): Promise<void> {
    const still = this.#open();
    await still.createAccount({
      ...{ account: this.#id, quotaBytes: null, quotaMessages: null },
      mailboxes: [
        { id: JUNK, name: 'Junk', role: 'junk' },
        { id: INBOX, name: 'INBOX', role: 'inbox' },
      ],
    });
    const { scheduler, taken } = { scheduler: this.#scheduler, taken: Promise.withResolvers<void>() };
    await scheduler.run(
      Promise.all([
        this.#own('first', undefined, taken.resolve),
        this.#own('second', taken.promise, () => {}),
        this.#collect('collector'),
        this.#collect('another collector'),
        this.#read('reader'),
      ]),
    );
    await this.#judge(still);
  }

  /** Takes the lease and makes commits; `half` hears when half of them are made, and the next owner may come. */
  async #own(name: string, before: Promise<void> | undefined, half: () => void): Promise<void> {
    await before;
    this.#clock.now += 1000;
    const store = this.#process(name, 0.004);
    let lease: Lease | undefined;
    while (lease === undefined)
      lease = await store.lease(this.#id, name, 500).catch((error) => {
        if (!(error instanceof TemporaryError)) throw error;
        return undefined;
      });
    const { epoch } = lease;
    let made = 0;
    const write = async (): Promise<void> => {
      while (made < COMMITS * 2) {
        if (++made === COMMITS) half();
        const ops = this.#ops();
        try {
          const { results, modSeq: at } = await store.commit(this.#id, epoch, ops);
          this.#acknowledge(ops, results, at);
        } catch (error) {
          if (error instanceof Fenced) {
            this.counts.fenced++;
            return;
          }
          if (!(error instanceof TemporaryError)) throw error;
          this.#unanswered.push(ops);
          this.counts.unanswered++;
        }
      }
    };
    await Promise.all([write(), write(), write()]);
    half();
    this.#owners--;
  }

  /** Each has an effect, but for a delivery under a name that was known. */
  #ops(): Op[] {
    const { below } = { below: (n: number) => this.#scheduler.below(n) };
    const messageId = `<${below(20)}>`;
    const deliver = append({ dedupe: messageId, content: contentInput({ size: 100, messageId }) });
    const kind = below(8);
    if (kind < 2) return [deliver];
    const some = uids(...Array.from({ length: 3 }, () => 1 + below(12)));
    const [from, to] = below(2) === 0 ? [INBOX, JUNK] : [JUNK, INBOX];
    const known = [...this.#inputs.keys()];
    const ref = known.length === 0 ? NO_CONTENT : known[below(known.length)]!;
    const one: Op =
      kind === 2
        ? { t: 'store', mailbox: from, uids: some, mode: 'add', flags: [`f${this.#names}`] }
        : kind < 5
          ? { t: 'move', from, uids: some, to }
          : kind === 5
            ? { t: 'copy', from, uids: some, to }
            : kind === 6
              ? { t: 'expunge', mailbox: from, uids: below(3) === 0 ? null : some, onlyDeleted: false }
              : append({ content: { ref } });
    return [one, { t: 'subscribe', name: `n${++this.#names}`, subscribed: true }];
  }

  #acknowledge(ops: readonly Op[], results: readonly OpResult[], at: number): void {
    this.#newest = Math.max(this.#newest, at);
    const [op, result] = [ops[0]!, results[0]!];
    if (op.t === 'append' && op.dedupe !== undefined && result.ok && result.t === 'append') {
      if (result.duplicate) {
        this.#duplicates.push({ key: op.dedupe, content: result.content });
        return;
      }
      assert(!this.#messageIds.includes(op.dedupe), `${op.dedupe} was delivered twice`);
      this.#inputs.set(result.content, op.content as ContentInput);
      this.#messageIds.push(op.dedupe);
    }
    assert(!this.#made.has(at), `two commits have the modSeq ${at}`);
    this.#made.set(at, { ops, results, content: result.ok && result.t === 'append' ? result.content : undefined });
    this.counts.commits++;
  }

  async #collect(name: string): Promise<void> {
    const store = this.#process(name, 0.02);
    while (this.#owners > 0) {
      try {
        // Its clock is so far ahead that it takes everything under way for left behind.
        await store.gc(this.#clock.now + 3 * DAY, Number.POSITIVE_INFINITY);
        this.counts.rounds++;
      } catch (error) {
        if (!(error instanceof TemporaryError) || !String(error.facts.detail).endsWith(MADE)) throw error;
        this.counts.failedRounds++;
      }
    }
  }

  async #read(name: string): Promise<void> {
    const store = this.#process(name);
    while (this.#owners > 0) {
      const since = this.#newest;
      const add = (what: string, answer: unknown, question: Question, at?: number): void =>
        void this.#answers.push({ since, at, what, question, answer });
      const box = BOXES[this.#scheduler.below(2)]!;
      switch (this.#scheduler.below(5)) {
        case 0: {
          const columns = (await store.columns(this.#id, box))!;
          const { upTo, flags, flagSets, modSeqs } = columns;
          const rows = [...columns.uids].map((uid, i) => rowText(uid, flagSets[flags[i]!]!.join(' '), modSeqs[i]!));
          add('columns', rows, ({ rows: all }) => all.get(box), upTo);
          break;
        }
        case 1: {
          const list = await store.rows(
            this.#id,
            box,
            Uint32Array.from({ length: 200 }, (_, i) => i + 1),
          );
          const rows = list.map((row) => rowText(row.uid, row.flags.join(' '), row.modSeq));
          add('rows', rows, ({ rows: all }) => all.get(box));
          break;
        }
        case 2: {
          const from = this.#scheduler.below(this.#newest + 1);
          const { upTo, changed, vanished } = await store.changes(this.#id, null, modSeq(from));
          const told = [
            ...changed.map((row) => `${row.mailbox} ${row.uid} ${row.modSeq} there`),
            ...vanished.map((one) => `${one.mailbox} ${one.uid} ${one.modSeq} gone`),
          ].sort();
          add('changes', told, ({ changes }) => changes.filter((one) => Number(one.split(' ')[2]) > from), upTo);
          break;
        }
        case 3: {
          const shown = (await store.mailboxes(this.#id)).map(({ uidValidity: _, role: __, ...rest }) => rest);
          add('mailboxes', shown, ({ mailboxes }) => mailboxes);
          break;
        }
        default: {
          const messageId = this.#messageIds[this.#scheduler.below(this.#messageIds.length)] ?? '<0>';
          const found = await store.findByMessageId(this.#id, messageId);
          const rows = found.map((row) => `${row.mailbox} ${rowText(row.uid, row.flags.join(' '), row.modSeq)}`).sort();
          add('findByMessageId', rows, (snapshot) => snapshot.found.get(messageId) ?? []);
        }
      }
    }
  }

  async #judge(still: ClusterMailStore): Promise<void> {
    await this.#settle(still);
    const snapshots = this.#replay();
    assert.equal((await still.account(this.#id))!.modSeq, this.#oracle.model.modSeq);
    this.counts.answers = this.#answers.length;
    for (const { since, at, what, question, answer } of this.#answers) {
      const right = [...snapshots].filter(([m]) => (at === undefined ? m >= since : m === at));
      if (at !== undefined) assert(at >= since, `${what} answered an outdated state`);
      if (right.some(([, snapshot]) => isSame(question(snapshot), answer))) continue;
      assert.deepEqual(answer, question(right[0]![1]), `${what}, asked at ${since}, answered for ${at ?? 'a moment'}`);
    }
    await this.#oracle.nothingIsLeft(still, this.#connect(), this.#clock.now);
  }

  /** Finds out by what they have left which of the unanswered commits were made. */
  async #settle(still: ClusterMailStore): Promise<void> {
    while (await still.gc(this.#clock.now + 3 * DAY, 1000));
    const mongo = this.#connect();
    const all = <T>(name: string) => mongo.collection<T & { readonly _id: string }>(name).find({ filter: {} });
    const [{ key }] = (await all<AccountDoc>('accounts')) as [AccountDoc];
    const rows = await all<MessageDoc>('messages');
    const marks = (await all<{ readonly name: string; readonly modSeq: number }>('subscriptions')) as Mark[];
    const receipts = new Map((await all<ReceiptDoc>('receipts')).map((one) => [one._id, one as ReceiptDoc]));
    const receiptOf = (name: string): ReceiptDoc | undefined => receipts.get(deliveryRef(key, name));
    for (const { key: name, content } of this.#duplicates) assert.equal(receiptOf(name)!.content, content);
    for (const ops of this.#unanswered) {
      const [op, mark] = ops as readonly [Op, Op?];
      let at: number | undefined;
      let content: ContentId | undefined;
      if (mark?.t === 'subscribe') {
        at = marks.find(({ name }) => name === mark.name)?.modSeq;
        content = rows.find(({ created }) => created === at)?.content as ContentId | undefined;
      } else if (op.t === 'append') {
        const receipt = receiptOf(op.dedupe!);
        content = receipt?.content as ContentId | undefined;
        const [stored] = content === undefined ? [] : await still.contents(this.#id, [content], ['layout']);
        const { layout } = op.content as ContentInput;
        // Another one under the same name may have been the first; where the content is gone, none is shown.
        if (stored === undefined || isSame(stored.layout, layout)) at = receipt?.modSeq;
      }
      if (at === undefined || (mark === undefined && this.#made.has(at))) continue;
      assert(!this.#made.has(at), `two commits have the modSeq ${at}`);
      this.#made.set(at, { ops, content });
      this.counts.unansweredMade++;
    }
  }

  #replay(): Map<number, Snapshot> {
    const { model } = this.#oracle;
    /** The model's numbers. */
    const numbers = new Map<ContentId, ContentId>();
    const snapshots = new Map([[1, this.#snapshot()]]);
    for (const [at, { ops, results, content }] of [...this.#made].sort(([a], [b]) => a - b)) {
      const told = ops.map((one): Op => {
        if (one.t !== 'append' || !('ref' in one.content)) return one;
        const ref = numbers.get(one.content.ref) ?? NO_CONTENT;
        // It may have been collected, if it had no message.
        const isGone = content === undefined && !model.used().has(ref);
        return { ...one, content: { ref: isGone ? NO_CONTENT : ref } };
      });
      assert.equal(this.#oracle.commit(told, results), at);
      const [first] = ops;
      if (first!.t === 'append' && !('ref' in first!.content))
        numbers.set(content!, contentId(this.#oracle.inputs.size));
      snapshots.set(at, this.#snapshot());
    }
    return snapshots;
  }

  #snapshot(): Snapshot {
    const { model, inputs } = this.#oracle;
    const found = new Map<string, string[]>();
    const rows = new Map<MailboxId, string[]>();
    for (const box of BOXES) {
      const texts: string[] = [];
      for (const [uid, flags, at, , content] of model.rows(box) as [number, string, number, number, number][]) {
        texts.push(rowText(uid, flags, at));
        const { messageId } = inputs.get(content)!;
        found.set(messageId, [...(found.get(messageId) ?? []), `${box} ${texts.at(-1)}`].sort());
      }
      rows.set(box, texts);
    }
    return { mailboxes: model.mailboxes(), rows, changes: model.changes(0), found };
  }
}

const isSame = (a: unknown, b: unknown): boolean => {
  try {
    assert.deepEqual(a, b);
    return true;
  } catch {
    return false;
  }
};

/** @returns what happened, by kind */
export async function interleaved(seed: number): Promise<Readonly<Record<string, number>>> {
  const world = new World(seed);
  await world.run();
  return world.counts;
}
