/**
 * The commits of one account on the node that owns it, one after the other; those that wait are written together. The
 * commit point of all of them is one update of the account's document, which no newer owner and no other change may have
 * touched since it was read; everything before it is invisible, everything behind it can be done again by anyone.
 */

import { ClientError, type Facts, Fenced, TemporaryError } from '../../core/mail/errors.ts';
import type { AccountId } from '../../core/mail/ids.ts';
import type { CommitResult } from '../../core/ports/mail-store.ts';
import { LogCarrier, OPEN_BYTES_MAX } from './mail-store-carry.ts';
import { type Attempt, Commit, knownReceipt } from './mail-store-commit.ts';
import { type Effects, type Encoded, encodeEntry } from './mail-store-log.ts';
import { openEffects, readPicture, spillRef } from './mail-store-picture.ts';
import {
  type AccountDoc,
  type ContentDoc,
  contentRef,
  deliveryRef,
  type MailTables,
  mailboxRef,
  REQUEST_AGE_MS,
  type Receipt,
  requestRef,
} from './mail-store-schema.ts';
import { AccountState, Draft, type OpenEntry } from './mail-store-state.ts';
import { handOver, strayNumbers } from './mail-store-strays.ts';
import { decodeResult, encodeResult, type NewContent, type ReadyOp } from './mail-store-wire.ts';

export interface Job {
  readonly epoch: number;
  readonly ops: readonly ReadyOp[];
  readonly request: string | undefined;
  readonly resolve: (result: CommitResult) => void;
  readonly reject: (error: unknown) => void;
}

/** What a group may hold. */
const GROUP_JOBS = 64;
const GROUP_BYTES = 8 * 1024 * 1024;
const ATTEMPTS = 6;
/** Far less than a blob is kept for that nothing refers to. */
const HELD_UP_MS = 3600_000;
/** Documents asked for by name in one request. */
const NAMED = 500;

export interface WriterContext {
  readonly tables: MailTables;
  /** Milliseconds since 1970 by the store's clock. */
  readonly now: () => number;
  readonly outboxNumber: () => number;
}

type Answer = { readonly job: Job; readonly result: CommitResult };

export class AccountWriter {
  readonly #context: WriterContext;
  readonly #account: AccountId;
  readonly #carrier: LogCarrier;
  #queue: Job[] = [];
  #running: Promise<void> | undefined;
  #state: AccountState | undefined;
  #learned: AccountDoc | undefined;
  /** Numbers of contents that were or may have been stored without a commit, or stood in the way of one. */
  readonly #tried = new Set<number>();
  /** The key of the account that they are of. */
  #triedKey: string | undefined;

  constructor(context: WriterContext, account: AccountId) {
    this.#context = context;
    this.#account = account;
    this.#carrier = new LogCarrier(context.tables, account, context.now);
  }

  get idle(): boolean {
    return this.#running === undefined && !this.#carrier.busy;
  }

  add(job: Job): void {
    this.#queue.push(job);
    this.#running ??= this.#run();
  }

  /** Everything that was asked for has been answered and carried out as far as it will be. */
  async settled(): Promise<void> {
    while (!this.idle) await Promise.all([this.#running, this.#carrier.settled()]);
  }

  /** The account as a lease has just shown it: saves reading it, where nothing as new is known. */
  learn(doc: AccountDoc): void {
    const known = this.#state?.doc;
    if (known?.key === doc.key && known.epoch === doc.epoch && known.rev === doc.rev) return;
    this.forget();
    this.#learned = doc;
  }

  forget(): void {
    if (this.#running === undefined) this.#state = undefined;
  }

  async #run(): Promise<void> {
    // Whoever calls in the same turn is in the first group.
    await Promise.resolve();
    while (this.#queue.length > 0) {
      const jobs = this.#take();
      try {
        await this.#group(jobs);
      } catch (error) {
        // Nobody knows what the document holds now.
        this.#state = undefined;
        for (const job of jobs) job.reject(error);
      }
      await this.#leave();
    }
    // In the same turn in which the queue was found empty, so that no job is left lying.
    this.#running = undefined;
  }

  #take(): Job[] {
    let bytes = 0;
    let count = 0;
    while (count < Math.min(GROUP_JOBS, this.#queue.length)) {
      for (const { bytes: size } of contentsOf(this.#queue[count]!)) bytes += size;
      if (count > 0 && bytes > GROUP_BYTES) break;
      count++;
    }
    return this.#queue.splice(0, count);
  }

  async #group(jobs: readonly Job[]): Promise<void> {
    const begun = Date.now();
    for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
      const state = this.#state ?? (await this.#load());
      this.#state = state;
      await this.#reconsider(state, jobs.flatMap(contentsOf), begun);
      const mine = jobs.filter((job) => job.epoch === state.doc.epoch);
      // Epochs only rise: of older ones nothing more need be known.
      const isAhead = jobs.some((job) => job.epoch > state.doc.epoch);
      if (mine.length === 0 && isAhead && !(await this.#isNewest(state))) continue;
      const answers = mine.length === 0 ? [] : await this.#attempt(state, mine);
      if (answers === undefined) continue;
      for (const { job, result } of answers) job.resolve(result);
      for (const job of jobs) if (job.epoch !== state.doc.epoch) job.reject(new Fenced({ account: this.#account }));
      return;
    }
    // Others contend for it, or the collector is at work: later it will go.
    throw this.#unavailable('the account keeps changing', { passing: true });
  }

  #unavailable(detail: string, more: Facts = {}): TemporaryError {
    return new TemporaryError('storeUnavailable', { account: this.#account, detail, ...more });
  }

  /** What may be without a message now, for the collector. Where it can't be told, the next commit tells it. */
  async #leave(): Promise<void> {
    if (this.#tried.size === 0 || this.#triedKey === undefined) return;
    const key = this.#triedKey;
    await handOver(this.#context.tables, key, this.#tried).then(
      () => this.#tried.clear(),
      // They are kept.
      () => {},
    );
  }

  /**
   * Before another attempt: the collector may have taken a content that was stored by one that failed, and an owner that
   * does not know yet that it was deposed may have stored its own under the number. It is stored again then; unless so
   * much time has passed that its blobs, which nothing has referred to meanwhile, may be gone too.
   */
  async #reconsider({ key }: AccountState, contents: readonly NewContent[], begun: number): Promise<void> {
    // Under the same id there may be another account by now.
    const isSame = this.#triedKey === key;
    if (!isSame) this.#tried.clear();
    this.#triedKey = key;
    const stored = contents.filter((content) => content.stored);
    for (const content of stored) content.stored = false;
    for (let at = 0; isSame && at < stored.length; at += NAMED) {
      const some = stored.slice(at, at + NAMED);
      const refs = some.map(({ number }) => contentRef(key, number!));
      const filter = { _id: { $in: refs }, dying: false as const };
      const docs = await this.#context.tables.contents.find({ filter, fields: ['number', 'layout', 'origin'] });
      const byNumber = new Map(docs.map((doc) => [doc.number, doc]));
      for (const content of some) {
        const doc = byNumber.get(content.number!);
        content.stored = doc !== undefined && isSameContent(doc, content.doc);
        if (!content.stored && Math.abs(Date.now() - begun) > HELD_UP_MS)
          throw this.#unavailable('the commit was held up');
      }
    }
  }

  async #load(): Promise<AccountState> {
    const { tables } = this.#context;
    const doc = this.#learned;
    this.#learned = undefined;
    const effects = doc === undefined ? undefined : await openEffects(tables, doc);
    if (doc !== undefined && effects !== undefined) return new AccountState(tables, doc, effects);
    const picture = await readPicture(tables, this.#account);
    if (picture === undefined) throw new ClientError('notFound', { account: this.#account });
    return new AccountState(tables, picture.doc, picture.effects);
  }

  /** Whether what is known of the account is still so. If not, it is read anew by the next attempt. */
  async #isNewest(state: AccountState): Promise<boolean> {
    const found = await this.#context.tables.accounts.findOne(this.#guard(state), { fields: ['rev'] });
    if (found === undefined) this.#state = undefined;
    return found !== undefined;
  }

  #guard(state: AccountState) {
    const { key, epoch, rev } = state.doc;
    return { _id: this.#account, key, epoch, rev, modSeq: state.counters.modSeq };
  }

  /** undefined where the account was changed by someone else: nothing has happened then. */
  async #attempt(state: AccountState, jobs: readonly Job[]): Promise<Answer[] | undefined> {
    const group = new Draft(state);
    for (const job of jobs) for (const content of contentsOf(job)) if (!content.stored) content.number = undefined;
    const { quotaBytes, quotaMessages } = state.doc;
    const attempt: Attempt = {
      ...{ key: state.key, now: this.#context.now(), quotaBytes, quotaMessages },
      receipts: await this.#receipts(state, group, jobs),
      contents: new Map(),
      taken: this.#tried,
      recent: new Map(),
      outboxNumber: this.#context.outboxNumber,
    };
    const effects: Effects[] = [];
    const answers: Answer[] = [];
    for (const job of jobs) {
      const draft = new Draft(state, group);
      const result = await this.#evaluate(state, draft, attempt, job);
      if (draft.counters.modSeq !== group.counters.modSeq) {
        draft.settle();
        effects.push(draft.effects);
      }
      answers.push({ job, result });
    }
    if (effects.length === 0) {
      if (!(await this.#isNewest(state))) return undefined;
    } else if (!(await this.#write(state, group, attempt, effects))) return undefined;
    await this.#claim(state, attempt);
    return answers;
  }

  async #evaluate(state: AccountState, draft: Draft, attempt: Attempt, job: Job): Promise<CommitResult> {
    const { request } = job;
    const id = request === undefined ? undefined : requestRef(state.key, request);
    if (id !== undefined) {
      const pieces: Uint8Array[] = [];
      const piece = (n: number) => knownReceipt(draft, attempt, pieceRef(id, n));
      for (let n = 0; n < (piece(0)?.pieces ?? 0); n++) {
        const receipt = piece(n) ?? (await this.#context.tables.receipts.findOne({ _id: pieceRef(id, n) }));
        // Just being carried out, or just being forgotten.
        if (receipt?.result === undefined) throw this.#unavailable('a result is known in part');
        pieces.push(receipt.result);
      }
      if (pieces.length > 0) return decodeResult(pieces);
    }
    const commit = new Commit(draft, attempt);
    const result = await commit.run(job.ops);
    if (id !== undefined && commit.effect) {
      const due = attempt.now + REQUEST_AGE_MS;
      const pieces = encodeResult(result);
      for (const [n, bytes] of pieces.entries()) {
        const receipt = { id: pieceRef(id, n), due, result: bytes, pieces: pieces.length };
        draft.effects.receipts.set(receipt.id, { value: receipt, modSeq: result.modSeq });
      }
    }
    return result;
  }

  /** Those of the jobs' receipts that are in their collection. */
  async #receipts(state: AccountState, group: Draft, jobs: readonly Job[]): Promise<ReadonlyMap<string, Receipt>> {
    const ids = new Set<string>();
    const mailboxes = new Set<string>();
    for (const { ops, request } of jobs) {
      if (request !== undefined) ids.add(pieceRef(requestRef(state.key, request), 0));
      for (const op of ops) {
        if (op.t !== 'append') continue;
        mailboxes.add(op.mailbox);
        if (op.dedupe !== undefined) ids.add(deliveryRef(state.key, op.dedupe));
      }
    }
    const wanted = [...ids].filter((id) => group.receipt(id) === undefined);
    const [docs] = await Promise.all([
      wanted.length === 0 ? [] : this.#context.tables.receipts.find({ filter: { _id: { $in: wanted } } }),
      state.loadMailboxes(mailboxes),
    ]);
    return new Map(docs.map(({ _id, ...receipt }) => [_id, { id: _id, ...receipt }]));
  }

  /** Stores what the commit point needs, then makes it. False: nothing has happened. */
  async #write(state: AccountState, group: Draft, attempt: Attempt, effects: readonly Effects[]): Promise<boolean> {
    const { tables } = this.#context;
    for (const number of this.#tried) {
      if (attempt.contents.has(number)) continue;
      // In the log for anyone, and among what the owner carries out itself.
      for (const { dying } of [effects[0]!, group.effects]) dying.set(number, state.counters.modSeq + 1);
    }
    const encoded = this.#encode(state, attempt, effects);
    const spilled = encoded.flatMap(({ entry, spilled }) =>
      spilled.map((part, i) => ({
        ...{ _id: spillRef(state.doc, entry, i), account: state.key, at: attempt.now, ...part },
      })),
    );
    const [free] = await Promise.all([
      this.#storeContents(state, attempt),
      ...spilled.map((document) => tables.commits.insertOne(document)),
    ]);
    if (!free) return false;
    await this.#carrier.makeRoom(state);
    const opened = encoded.map(({ entry, bytes }): OpenEntry => ({ entry, bytes }));
    const log = [...state.open, ...opened].map(({ entry }) => entry);
    const { modSeq, usedBytes, usedMessages, uidValidity, lastContent } = group.counters;
    const due = log.reduce((least, entry) => Math.min(least, entry.due), Number.MAX_SAFE_INTEGER);
    const { matched } = await tables.accounts.updateOne(this.#guard(state), {
      $set: { modSeq, usedBytes, usedMessages, uidValidity, lastContent, due },
      $max: { applied: state.applied },
      $push: { log: { $each: opened.map(({ entry }) => entry), $slice: -log.length } },
    });
    if (matched === 0) {
      this.#state = undefined;
      return false;
    }
    this.#tried.clear();
    state.absorb(group, opened);
    await this.#carrier.tidy(state, {
      spilled: spilled.length > 0,
      // What others look for in the collections is there when the commit is answered.
      shown: effects.some(({ outbox }) => outbox.size > 0),
    });
    return true;
  }

  #encode(state: AccountState, attempt: Attempt, effects: readonly Effects[]): Encoded[] {
    let room = OPEN_BYTES_MAX - state.openBytes();
    let m: number = state.counters.modSeq;
    return effects.map((one) => {
      const encoded = encodeEntry(one, ++m, attempt.now, room);
      room -= encoded.bytes;
      return encoded;
    });
  }

  /** False where a number was taken by a commit that never came to its point: others must be used. */
  async #storeContents(state: AccountState, attempt: Attempt): Promise<boolean> {
    const fresh = [...attempt.contents].filter(([, content]) => !content.stored);
    if (fresh.length === 0) return true;
    for (const [number] of fresh) this.#tried.add(number);
    const documents = fresh.map(([number, { doc }]) => ({
      ...{ _id: contentRef(state.key, number), account: state.key, number, ...doc },
    }));
    const { tables } = this.#context;
    const taken = await tables.contents.insertMany(documents);
    for (const [number, content] of fresh) content.stored = !taken.has(contentRef(state.key, number));
    if (taken.size === 0) return true;
    // All that are in the way at once, however many there are.
    for (const number of await strayNumbers(tables, state.key, state.counters.lastContent)) this.#tried.add(number);
    return false;
  }

  async #claim(state: AccountState, { recent }: Attempt): Promise<void> {
    for (const [id, recentUid] of recent) {
      const raise = () =>
        this.#context.tables.mailboxes.updateOne({ _id: mailboxRef(state.key, id) }, { $max: { recentUid } });
      if ((await raise()).matched === 0) {
        // A mailbox that only the log knows.
        await this.#carrier.all(state);
        await raise();
      }
      state.raiseRecent(id, recentUid);
    }
  }
}

/** The layout says every byte, from which all else follows. */
const isSameContent = (a: Pick<ContentDoc, 'layout' | 'origin'>, b: Pick<ContentDoc, 'layout' | 'origin'>): boolean =>
  a.origin === b.origin && Buffer.compare(a.layout, b.layout) === 0;

const contentsOf = ({ ops }: Job): NewContent[] =>
  ops.flatMap((op) => (op.t === 'append' && !('ref' in op.content) ? [op.content] : []));

const pieceRef = (id: string, piece: number): string => (piece === 0 ? id : `${id}.${piece}`);
