/**
 * The collector, on any node and beside the owners. What an owner might be about to use is taken only after the account's
 * document was changed under the owner's hands (`rev`), which makes it look again before its next commit.
 *
 * It goes in rounds through everything that may be collected; a round is cut where the time is over, and the next run
 * goes on there. In one round each account and each mailbox is handled once at most: so neither what comes anew all the
 * time nor what can't be handled keeps it from what lies behind, and `rev` changes a few times a round only, which leaves
 * an owner time for its commits.
 */

import { asMailError, TemporaryError } from '../../core/mail/errors.ts';
import type { AccountId } from '../../core/mail/ids.ts';
import { applyEffects, deleteAll } from './mail-store-apply.ts';
import { collectContents } from './mail-store-gc-contents.ts';
import { sweepMailbox } from './mail-store-gc-sweep.ts';
import { openEntries, readPicture, spillRef } from './mail-store-picture.ts';
import { ACCOUNT_TABLES, AFTERLIFE_MS, accountOf, type MailTables, NEVER, under } from './mail-store-schema.ts';
import { handOver, strayNumbers } from './mail-store-strays.ts';
import { eachOnce } from './mail-store-walk.ts';
import type { Collection } from './mongo-collection.ts';
import type { Filter, Identified } from './mongo-types.ts';

/** Contents looked at together: enough for `rev` to change seldom. */
const DYING = 1000;
const PURGES = 200;
const DELETED = 500;

/** Does one thing after the other, and may be left for a while between two. */
type Steps = AsyncGenerator<void, void>;

interface Failure {
  readonly what: string;
  readonly error: unknown;
}

export class Collector {
  readonly #tables: MailTables;
  readonly #changed: (account: AccountId) => void;
  #round: Steps | undefined;
  /** Milliseconds since 1970, as the run that is under way was told. */
  #now = 0;
  /** The round left something that it could have done. */
  #isMore = false;
  #failures: Failure[] = [];

  /** @param changed hears of accounts that this node may know in an older state */
  constructor(tables: MailTables, changed: (account: AccountId) => void) {
    this.#tables = tables;
    this.#changed = changed;
  }

  /**
   * True when the time was over before everything was done.
   * @throws TemporaryError when it has done what it could, where something failed and was passed over
   */
  async run(now: number, budgetMs: number): Promise<boolean> {
    const deadline = performance.now() + budgetMs;
    this.#now = now;
    // What the former run has passed may have become due since.
    for (let isWhole = this.#round === undefined; ; ) {
      this.#round ??= this.#everything();
      const round = this.#round;
      if ((await round.next()).done === true) {
        if (this.#round === round) this.#round = undefined;
        if (isWhole) return this.#told(this.#isMore);
        isWhole = true;
      } else if (performance.now() >= deadline) return this.#told(true);
    }
  }

  #told(isMore: boolean): boolean {
    const failures = this.#failures;
    this.#failures = [];
    const [first] = failures;
    if (first === undefined) return isMore;
    const { message, facts } = asMailError(first.error);
    const detail = `${failures.length} passed over by the collector; ${first.what}: ${facts.detail ?? message}`;
    throw new TemporaryError('storeUnavailable', { ...facts, detail }, first.error);
  }

  async *#everything(): Steps {
    this.#isMore = false;
    const { receipts, outbox } = this.#tables;
    yield* this.#guarded('accounts', this.#accounts());
    yield* this.#guarded('contents', this.#contents());
    yield* this.#guarded('deleted accounts', this.#purges());
    yield* this.#guarded('mailboxes', this.#sweeps());
    yield* this.#guarded(
      'receipts',
      this.#expired(receipts, () => ({ due: { $lt: this.#now } })),
    );
    yield* this.#guarded(
      'outbox',
      this.#expired(outbox, () => ({ pending: '' as const, number: { $lt: (this.#now - AFTERLIFE_MS) * 4096 } })),
    );
    yield* this.#guarded('parts of commits', this.#spilled());
  }

  async *#guarded(what: string, steps: Steps): Steps {
    try {
      yield* steps;
    } catch (error) {
      this.#failures.push({ what, error });
      yield;
    }
  }

  async #passing(account: AccountId, handle: () => Promise<void>): Promise<void> {
    try {
      await handle();
    } catch (error) {
      this.#failures.push({ what: `account ${account}`, error });
    }
  }

  /** Those that are due, for example because a content may have lost its last message. */
  async *#accounts(): Steps {
    const due = eachOnce((limit) =>
      this.#tables.accounts.find({ filter: { due: { $lte: this.#now } }, sort: { due: 1 }, limit, fields: [] }),
    );
    for await (const { _id } of due) {
      const account = _id as AccountId;
      await this.#passing(account, () => this.#visit(account));
      yield;
    }
  }

  /** Carries out its commits, and hands over contents of commits that never came to their point. */
  async #visit(account: AccountId): Promise<void> {
    const { accounts, commits } = this.#tables;
    const now = this.#now;
    const picture = await readPicture(this.#tables, account);
    if (picture === undefined || picture.doc.due > now) return;
    const { doc, effects } = picture;
    const { _id, key, rev, epoch, owner, until, modSeq, applied } = doc;
    await applyEffects(this.#tables, { account, key, now, applied }, effects);
    // One of a commit under way is no harm: it is deleted only when that commit can't come to its point any more.
    await handOver(this.#tables, key, await strayNumbers(this.#tables, key, doc.lastContent));
    const due = owner !== null && until > now - AFTERLIFE_MS ? now + AFTERLIFE_MS : NEVER;
    const { matched } = await accounts.updateOne(
      { _id, key, rev, epoch, until, modSeq },
      { $set: { log: [], due }, $max: { applied: modSeq }, $inc: { rev: 1 } },
    );
    // An owner that is at work carries out its commits itself.
    if (matched === 0) return;
    this.#changed(account);
    const refs = openEntries(doc).flatMap((entry) =>
      Array.from({ length: entry.parts ?? 0 }, (_, part) => spillRef(doc, entry, part)),
    );
    await deleteAll(commits, refs);
  }

  /** Contents whose last message is gone. */
  async *#contents(): Steps {
    const { dying } = this.#tables;
    for (let $gt = ''; ; ) {
      const docs = await dying.find({ filter: { _id: { $gt } }, sort: { _id: 1 }, limit: DYING });
      for (const [key, some] of Map.groupBy(docs, ({ account }) => account)) {
        await this.#passing(accountOf(key), () => collectContents(this.#tables, key, some, this.#changed));
        yield;
      }
      if (docs.length < DYING) return;
      const last = docs.at(-1)!;
      const { $lt } = under(last.account);
      // Of one account so many in a round.
      const rest = await dying.findOne({ _id: { $gt: last._id, $lt } }, { fields: [] });
      if (rest !== undefined) this.#isMore = true;
      $gt = $lt;
    }
  }

  /** What deleted accounts have left. */
  async *#purges(): Steps {
    const { accounts, purges } = this.#tables;
    for (let $gt = ''; ; ) {
      const some = await purges.find({ filter: { _id: { $gt } }, sort: { _id: 1 }, limit: PURGES });
      for (const { _id: key, account, at } of some) {
        await accounts.deleteOne({ _id: account, key });
        while (await this.purge(key)) yield;
        // What a node that stood still has written meanwhile was purged as well.
        if (at < this.#now - AFTERLIFE_MS) await purges.deleteOne({ _id: key });
      }
      if (some.length < PURGES) return;
      $gt = some.at(-1)!._id;
      yield;
    }
  }

  /** One batch of what is kept under an account's key; true when there was something. */
  async purge(key: string): Promise<boolean> {
    for (const name of ACCOUNT_TABLES) {
      const table: Collection<Identified> = this.#tables[name] as never;
      if (await deleteSome(table, { _id: under(key) })) return true;
    }
    return false;
  }

  /** Mailboxes that may have tombstones to drop. */
  async *#sweeps(): Steps {
    const due = eachOnce((limit) =>
      this.#tables.sweeps.find({ filter: { due: { $lte: this.#now } }, sort: { due: 1 }, limit }),
    );
    for await (const sweep of due) {
      const steps = sweepMailbox(this.#tables, sweep, this.#now, this.#changed);
      yield* this.#guarded(`mailbox ${sweep._id}`, steps);
      yield;
    }
  }

  async *#expired<T extends Identified>(collection: Collection<T>, filter: () => Filter<T>): Steps {
    while (await deleteSome(collection, filter())) yield;
  }

  /** Parts of large commits that never came to their point, or that nobody took away behind it. */
  async *#spilled(): Steps {
    const handled = new Set<string>();
    const old = () => ({ at: { $lt: this.#now - AFTERLIFE_MS } });
    const parts = eachOnce((limit) =>
      this.#tables.commits.find({ filter: old(), sort: { at: 1 }, limit, fields: ['account'] }),
    );
    for await (const { account: key } of parts) {
      if (handled.has(key)) continue;
      handled.add(key);
      await this.#passing(accountOf(key), async () => {
        const all = await this.#tables.commits.find({ filter: { _id: under(key), ...old() }, fields: [] });
        await this.#drop(
          key,
          all.map(({ _id }) => _id),
        );
      });
      yield;
    }
  }

  async #drop(key: string, parts: readonly string[]): Promise<void> {
    const { accounts, commits } = this.#tables;
    const account = accountOf(key);
    const unused = await this.#unnamed(key, parts);
    if (unused.length === 0) return;
    // An owner that has stood still since then may be about to name them.
    await accounts.updateOne({ _id: account, key }, { $inc: { rev: 1 } });
    this.#changed(account);
    await deleteAll(commits, await this.#unnamed(key, unused));
  }

  /** Those that no entry of the account's log names. */
  async #unnamed(key: string, parts: readonly string[]): Promise<readonly string[]> {
    const doc = await this.#tables.accounts.findOne({ _id: accountOf(key), key });
    if (doc === undefined) return parts;
    const named = doc.log.flatMap((entry) =>
      Array.from({ length: entry.parts ?? 0 }, (_, part) => spillRef(doc, entry, part)),
    );
    return parts.filter((part) => !named.includes(part));
  }
}

async function deleteSome<T extends Identified>(collection: Collection<T>, filter: Filter<T>): Promise<boolean> {
  const found = await collection.find({ filter, limit: DELETED, fields: [] });
  if (found.length === 0) return false;
  await deleteAll(
    collection,
    found.map(({ _id }) => _id),
  );
  return true;
}
