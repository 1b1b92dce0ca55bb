/**
 * The collector, on any node and beside the owners: small batches until a deadline, where it stops does not matter. What
 * an owner might be about to use is taken only after the account's document was changed under the owner's hands (`rev`),
 * which makes it look again before its next commit.
 */

import type { AccountId } from '../../core/mail/ids.ts';
import { applyEffects, deleteAll } from './mail-store-apply.ts';
import { openEffects, openEntries, readPicture, spillRef } from './mail-store-picture.ts';
import {
  ACCOUNT_TABLES,
  type AccountDoc,
  AFTERLIFE_MS,
  accountOf,
  type CommitDoc,
  type DyingDoc,
  type MailTables,
  NEVER,
  type SweepDoc,
  TOMBSTONE_AGE_MS,
  under,
} from './mail-store-schema.ts';
import type { Collection } from './mongo-collection.ts';
import type { Filter, Identified } from './mongo-types.ts';

const BATCH = 200;
const DELETED = 500;

/** One batch; true when it did something. */
type Step = () => Promise<boolean>;

export class Collector {
  readonly #tables: MailTables;
  readonly #changed: (account: AccountId) => void;

  /** @param changed hears of accounts that this node may know in an older state */
  constructor(tables: MailTables, changed: (account: AccountId) => void) {
    this.#tables = tables;
    this.#changed = changed;
  }

  /** True when the time was over before everything was done. */
  async run(now: number, budgetMs: number): Promise<boolean> {
    const deadline = performance.now() + budgetMs;
    const { receipts, outbox } = this.#tables;
    const steps: readonly Step[] = [
      () => this.#carryOut(now),
      () => this.#contents(),
      () => this.#purges(now),
      () => this.#sweep(now),
      () => deleteSome(receipts, { due: { $lt: now } }),
      () => deleteSome(outbox, { pending: '', number: { $lt: (now - AFTERLIFE_MS) * 4096 } }),
      () => this.#spilled(now),
    ];
    for (const step of steps) {
      while (await step()) if (performance.now() >= deadline) return true;
    }
    return false;
  }

  /** Commits whose effects are due, for example because a content may have lost its last message. */
  async #carryOut(now: number): Promise<boolean> {
    const docs = await this.#tables.accounts.find({ filter: { due: { $lte: now } }, sort: { due: 1 }, limit: 20 });
    let done = false;
    for (const doc of docs) if (await this.#carryOutAccount(doc, now)) done = true;
    return done;
  }

  async #carryOutAccount(doc: AccountDoc, now: number): Promise<boolean> {
    const { accounts, commits } = this.#tables;
    const effects = await openEffects(this.#tables, doc);
    if (effects === undefined) return false;
    const { _id, key, rev, modSeq, applied } = doc;
    await applyEffects(this.#tables, { account: _id as AccountId, key, now, applied }, effects);
    const { matched } = await accounts.updateOne(
      { _id, key, rev, modSeq },
      { $set: { log: [], due: NEVER }, $max: { applied: modSeq }, $inc: { rev: 1 } },
    );
    // An owner that is at work carries out its commits itself.
    if (matched === 0) return false;
    this.#changed(_id as AccountId);
    const refs = openEntries(doc).flatMap((entry) =>
      Array.from({ length: entry.parts ?? 0 }, (_, part) => spillRef(doc, entry, part)),
    );
    await deleteAll(commits, refs);
    return true;
  }

  /** Contents whose last message is gone; those that got another one meanwhile stay. */
  async #contents(): Promise<boolean> {
    const all = await this.#tables.dying.find({ filter: {}, sort: { _id: 1 }, limit: BATCH });
    const byAccount = new Map<string, DyingDoc[]>();
    for (const one of all) {
      const list = byAccount.get(one.account);
      if (list === undefined) byAccount.set(one.account, [one]);
      else list.push(one);
    }
    for (const [key, dying] of byAccount) await this.#contentsOf(key, dying);
    return all.length > 0;
  }

  async #contentsOf(key: string, dying: readonly DyingDoc[]): Promise<void> {
    const { accounts, contents } = this.#tables;
    const account = accountOf(key);
    const mark = (list: readonly DyingDoc[], is: boolean) =>
      contents.bulk(list.map(({ _id }) => ({ updateOne: { filter: { _id }, update: { $set: { dying: is } } } })));
    const unused = await this.#unused(account, key, dying);
    if (unused.length > 0) {
      // From here on no commit may begin to refer to them; those under way fail at their commit point and look again.
      await mark(unused, true);
      await accounts.updateOne({ _id: account, key }, { $inc: { rev: 1 } });
      const gone = await this.#unused(account, key, unused);
      await mark(
        unused.filter((one) => !gone.includes(one)),
        false,
      );
      await deleteAll(
        contents,
        gone.map(({ _id }) => _id),
      );
    }
    // One that was expunged again meanwhile has a higher modSeq, and stays.
    await this.#tables.dying.bulk(dying.map(({ _id, modSeq }) => ({ deleteOne: { filter: { _id, modSeq } } })));
  }

  /** Those that no message of the account refers to. */
  async #unused(account: AccountId, key: string, dying: readonly DyingDoc[]): Promise<DyingDoc[]> {
    const picture = await readPicture(this.#tables, account);
    // What a deleted account has left is purged with it.
    if (picture === undefined || picture.doc.key !== key) return [];
    const filter = { account: key, content: { $in: dying.map(({ number }) => number) } };
    const rows = await this.#tables.messages.find({ filter, fields: ['content'] });
    const used = new Set(rows.map(({ content }) => content));
    for (const mailbox of picture.effects.rows.values()) for (const row of mailbox.values()) used.add(row.content);
    return dying.filter(({ number }) => !used.has(number));
  }

  /** What deleted accounts have left. */
  async #purges(now: number): Promise<boolean> {
    const purges = await this.#tables.purges.find({ filter: {}, sort: { _id: 1 }, limit: BATCH });
    let done = false;
    for (const { _id: key, account, at } of purges) {
      await this.#tables.accounts.deleteOne({ _id: account, key });
      if (await this.purge(key)) done = true;
      // What a node that stood still has written meanwhile was purged as well.
      else if (at < now - AFTERLIFE_MS) await this.#tables.purges.deleteOne({ _id: key });
    }
    return done;
  }

  /** One batch of what is kept under an account's key; true when there was something. */
  async purge(key: string): Promise<boolean> {
    for (const name of ACCOUNT_TABLES) {
      const table: Collection<Identified> = this.#tables[name] as never;
      if (await deleteSome(table, { _id: under(key) })) return true;
    }
    return false;
  }

  /**
   * Tombstones that are old and, but for a deleted mailbox, more than are kept. What is dropped can't be told to anyone
   * any more, so the floors rise to it first. A deleted mailbox with none left has its id free.
   */
  async #sweep(now: number): Promise<boolean> {
    const [sweep] = await this.#tables.sweeps.find({ filter: { due: { $lte: now } }, sort: { due: 1 }, limit: 1 });
    if (sweep === undefined) return false;
    const { _id } = sweep;
    const mailbox = await this.#tables.mailboxes.findOne({ _id });
    if (mailbox === undefined || mailbox.free) {
      if (mailbox !== undefined) await this.#tables.mailboxes.deleteOne({ _id, free: true, version: mailbox.version });
      return this.#swept(sweep, NEVER);
    }
    const { messages } = this.#tables;
    const [counted] = await messages.group<{ _id: null; count: number }>({
      ...{ filter: { mailbox: _id, content: 0 }, by: null, sums: { count: 1 } },
    });
    const count = counted?.count ?? 0;
    const gone = mailbox.name === null;
    if (gone && count === 0) {
      await this.#tables.mailboxes.updateOne(
        { _id, name: null, version: mailbox.version },
        { $set: { free: true, recentUid: 0 } },
      );
      this.#changed(accountOf(sweep.account));
      return this.#swept(sweep, now + AFTERLIFE_MS);
    }
    const surplus = gone ? count : count - this.#tables.tombstonesKept;
    if (surplus <= 0) return this.#swept(sweep, NEVER);
    const oldest = await messages.find({
      ...{ filter: { mailbox: _id, content: 0 }, sort: { modSeq: 1 } },
      ...{ limit: Math.min(DELETED, surplus), fields: ['modSeq', 'date'] },
    });
    const cutoff = Math.floor((now - TOMBSTONE_AGE_MS) / 1000);
    const old = oldest.filter(({ date }) => date < cutoff);
    if (old.length === 0) return this.#swept(sweep, ((oldest[0]?.date ?? cutoff) + 1) * 1000 + TOMBSTONE_AGE_MS);
    const floor = old.reduce((highest, { modSeq }) => Math.max(highest, modSeq), 0);
    await this.#tables.mailboxes.updateOne({ _id }, { $max: { floor } });
    await this.#tables.accounts.updateOne({ _id: accountOf(sweep.account), key: sweep.account }, { $max: { floor } });
    await deleteAll(
      messages,
      old.map((one) => one._id),
    );
    return true;
  }

  /** Done with for now: `due` again at a time, or never. */
  async #swept({ _id, due }: SweepDoc, next: number): Promise<boolean> {
    const { sweeps } = this.#tables;
    if (next === NEVER) await sweeps.deleteOne({ _id, due });
    else await sweeps.updateOne({ _id, due }, { $set: { due: next } });
    return true;
  }

  /** Parts of large commits that never came to their point, or that nobody took away behind it. */
  async #spilled(now: number): Promise<boolean> {
    const filter = { at: { $lt: now - AFTERLIFE_MS } };
    const parts = await this.#tables.commits.find({ filter, sort: { at: 1 }, limit: 20, fields: ['account'] });
    const unused: string[] = [];
    for (const part of parts) if (!(await this.#isOpen(part))) unused.push(part._id);
    await deleteAll(this.#tables.commits, unused);
    return unused.length > 0;
  }

  async #isOpen({ _id, account: key }: Pick<CommitDoc, '_id' | 'account'>): Promise<boolean> {
    const doc = await this.#tables.accounts.findOne({ _id: accountOf(key), key });
    return doc?.log.some((entry) => entry.spill !== undefined && _id.startsWith(`${key}.${entry.spill}.`)) ?? false;
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
