/**
 * The owner of an account is killed, or stopped and deposed meanwhile, at calls to the database before, at and behind its
 * commit point, under load and with a collector beside it. What was acknowledged is there once, with what was done to it;
 * what was not is there at most once; and in the end no content is left that no message has.
 */

import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { EventEmitter, once } from 'node:events';
import { createInterface } from 'node:readline';
import { type TestContext, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import type { Row } from '../../core/ports/mail-store.ts';
import { ClusterMailStore } from '../../drivers/cluster/mail-store.ts';
import type { Mongo } from '../../drivers/cluster/mongo.ts';
import { append, contentInput, DAY, INBOX, JUNK, TestAccount } from '../contract/mail-store-fixtures.ts';
import { Database, missing, sharedServer } from './cluster-fixture.ts';

const program = fileURLToPath(new URL('./mail-store-child.ts', import.meta.url));
const WRITERS = 4;
/** Every n-th message of a writer is not touched again, flagged, moved or expunged: see the program. */
const KINDS = ['kept', 'flagged', 'moved', 'expunged'] as const;
const LINES_A_ROUND = 12;
const STRIKE_MS = 15_000;

interface Place {
  /** `collection.method`, or any. */
  readonly of?: string;
  readonly number: number;
  readonly when: 'before' | 'after';
}

/** Where an owner is killed. */
const PLACES: readonly Place[] = [
  { of: 'contents.insertMany', number: 15, when: 'before' },
  { of: 'contents.insertMany', number: 20, when: 'after' },
  { of: 'accounts.updateOne', number: 30, when: 'before' },
  { of: 'messages.bulk', number: 4, when: 'after' },
  { of: 'accounts.updateOne', number: 35, when: 'after' },
  { of: 'messages.bulk', number: 2, when: 'before' },
  { of: 'dying.bulk', number: 2, when: 'after' },
  { of: 'mailboxes.bulk', number: 3, when: 'before' },
];

/** Where an owner stands still while it is deposed: before, at and behind its commit point. */
const STILL: readonly Place[] = [
  { of: 'contents.insertMany', number: 15, when: 'after' },
  { of: 'accounts.updateOne', number: 30, when: 'before' },
  { of: 'messages.bulk', number: 2, when: 'before' },
];

/** A process that is the owner for a while. */
class Owner {
  readonly #child: ChildProcess;
  readonly #closed: Promise<unknown>;
  /** It is at the place. */
  readonly struck: Promise<string>;

  constructor(hear: (line: string) => void, orders: object) {
    this.#child = spawn(process.execPath, [program, JSON.stringify(orders)], { stdio: ['ignore', 'pipe', 'inherit'] });
    const input = createInterface({ input: this.#child.stdout! });
    this.#closed = Promise.all([once(this.#child, 'close'), once(input, 'close')]);
    this.struck = new Promise((resolve, reject) => {
      input.on('line', (line) => {
        hear(line);
        if (line.startsWith('at ')) resolve(line);
      });
      input.on('close', () => reject(new Error('it ended before it came to the place')));
      setTimeout(() => reject(new Error('it does not come to the place')), STRIKE_MS).unref();
    });
    this.struck.catch(() => {});
  }

  async ended(): Promise<number | NodeJS.Signals | null> {
    await this.#closed;
    return this.#child.exitCode ?? this.#child.signalCode;
  }

  signal(name: NodeJS.Signals): void {
    this.#child.kill(name);
  }
}

class World {
  readonly database: Database;
  readonly mongo: Mongo;
  readonly store: ClusterMailStore;
  readonly account: TestAccount;
  /** What the owners have said. */
  readonly lines: string[] = [];
  readonly owners: Owner[] = [];
  /** `line`: an owner has said one. */
  readonly #heard = new EventEmitter();

  private constructor(database: Database, mongo: Mongo, store: ClusterMailStore, account: TestAccount) {
    this.database = database;
    this.mongo = mongo;
    this.store = store;
    this.account = account;
  }

  static async create(): Promise<World> {
    const database = await Database.create(await sharedServer());
    const mongo = await database.connect();
    const store = new ClusterMailStore({ mongo });
    await store.open();
    const account = await TestAccount.create(store);
    await store.release(account.id, 'owner');
    return new World(database, mongo, store, account);
  }

  own(round: number, deed: 'SIGKILL' | 'SIGSTOP', { of, number, when }: Place): Owner {
    const hear = (line: string): void => {
      this.lines.push(line);
      this.#heard.emit('line');
    };
    const owner = new Owner(hear, {
      ...{ url: this.database.url, account: this.account.id, owner: `owner ${round}`, round: `r${round}` },
      ...{ writers: WRITERS, at: { number, ...(of === undefined ? {} : { of }) }, when, deed },
    });
    this.owners.push(owner);
    return owner;
  }

  /** The collector comes round while the work goes on, each time when so many lines more were said. */
  async collecting(work: Promise<void>, aheadMs: number): Promise<void> {
    let isOver = false;
    const over = work.finally(() => {
      isOver = true;
      this.#heard.emit('line');
    });
    over.catch(() => {});
    for (let lines = 0; !isOver; ) {
      if (this.lines.length < lines + LINES_A_ROUND) await once(this.#heard, 'line');
      else {
        lines = this.lines.length;
        await this.store.gc(Date.now() + aheadMs, 200);
      }
    }
    await over;
  }

  async close(): Promise<void> {
    for (const owner of this.owners) {
      owner.signal('SIGKILL');
      await owner.ended();
    }
    await this.store.close();
    await this.database.dispose();
  }

  /** Counts, and delivers again what was acknowledged. */
  async judge(t: TestContext): Promise<void> {
    const { store, account } = this;
    account.epoch = (await store.lease(account.id, 'judge', DAY))!.epoch;
    const said = (word: string): string[] =>
      this.lines.flatMap((line) => (line.startsWith(`${word} `) ? [line.slice(word.length + 1)] : []));
    const [flagged, moved, expunged] = ['flagged', 'moved', 'expunged'].map((word) => new Set(said(word)));
    const counts = { acknowledged: 0, stored: 0, doubled: 0, lost: 0, undone: 0, unanswered: 0 };
    const rows = await this.#rowsByKey();
    const known = new Map(said('delivered').map((line) => [line.split(' ')[0]!, line.split(' ').slice(1).map(Number)]));
    counts.acknowledged = known.size;
    for (const [key, list] of rows) {
      counts.stored += list.length;
      if (list.length > 1) counts.doubled++;
      if (!known.has(key)) counts.unanswered++;
    }
    for (const [key, [uid, content]] of known) {
      const [row] = rows.get(key) ?? [];
      const kind = KINDS[Number(key.split('.').at(-1)) % KINDS.length]!;
      if (row === undefined) {
        // Its expunge may have been on its way.
        if (kind !== 'expunged') counts.lost++;
      } else if (
        expunged!.has(key) ||
        (flagged!.has(key) && !row.flags.includes('\\Flagged')) ||
        (moved!.has(key) && row.mailbox !== JUNK) ||
        (kind !== 'moved' && row.mailbox !== INBOX) ||
        row.content !== content
      )
        counts.undone++;
      const again = await account.do(append({ dedupe: key, content: contentInput({ messageId: `<${key}>` }) }));
      assert.deepEqual([again.duplicate, again.uid, again.content], [true, uid, content], key);
    }
    t.diagnostic(JSON.stringify(counts));
    assert.deepEqual([counts.doubled, counts.lost, counts.undone], [0, 0, 0]);
    assert(counts.acknowledged > 0);
    while (await store.gc(Date.now() + 3 * DAY, 1000));
    assert.deepEqual(await store.verify(false), []);
    const used = new Set([...rows.values()].flatMap((list) => list.map(({ content }) => content)));
    const contents = await this.mongo
      .collection<{ readonly _id: string; readonly number: number }>('contents')
      .find({ filter: {}, fields: ['number'] });
    assert.deepEqual(
      contents.map(({ number }) => number).filter((number) => !used.has(number as never)),
      [],
    );
    assert.equal(contents.length, used.size);
  }

  async #rowsByKey(): Promise<Map<string, Row[]>> {
    const { store, account } = this;
    const byKey = new Map<string, Row[]>();
    for (const mailbox of [INBOX, JUNK]) {
      const { uids } = (await store.columns(account.id, mailbox))!;
      const rows = await store.rows(account.id, mailbox, uids);
      const contents = await store.contents(
        account.id,
        rows.map(({ content }) => content),
        ['messageId'],
      );
      for (const [i, row] of rows.entries()) {
        const key = contents[i]!.messageId.slice(1, -1);
        byKey.set(key, [...(byKey.get(key) ?? []), row]);
      }
    }
    return byKey;
  }
}

function crash(name: string, run: (world: World) => Promise<void>): void {
  test(`mail store: ${name}`, { skip: missing }, async (t) => {
    const world = await World.create();
    try {
      await run(world);
      await world.judge(t);
    } finally {
      await world.close();
    }
  });
}

crash('its owner is killed again and again', async (world) => {
  const rounds = async (): Promise<void> => {
    for (const [round, place] of PLACES.entries()) {
      const owner = world.own(round, 'SIGKILL', place);
      await owner.struck;
      assert.equal(await owner.ended(), 'SIGKILL');
    }
  };
  await world.collecting(rounds(), 0);
});

crash('its owner stands still while another one takes over and days go by', async (world) => {
  const rounds = async (): Promise<void> => {
    for (const [round, place] of STILL.entries()) {
      const owner = world.own(round, 'SIGSTOP', place);
      await owner.struck;
      const next = world.own(100 + round, 'SIGKILL', { of: 'accounts.updateOne', number: 12, when: 'after' });
      await next.struck;
      await next.ended();
      owner.signal('SIGCONT');
      assert.equal(await owner.ended(), 0);
      assert.equal(world.lines.at(-1), 'fenced');
    }
  };
  await world.collecting(rounds(), 3 * DAY);
});
