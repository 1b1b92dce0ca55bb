/**
 * Whatever other sessions do and whenever a session may be told, a client that believes its untagged responses has the
 * mailbox as it is: numbers, uids and flags; and it is never told of an expunge when that is not allowed.
 */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { ColumnsCache } from '../../core/imap/columns-cache.ts';
import { MailboxView } from '../../core/imap/mailbox-view.ts';
import { plainRanges } from '../../core/imap/message-set.ts';
import { parseSequenceSet } from '../../core/imap/sequence-set.ts';
import { ImapWriter } from '../../core/imap/writer.ts';
import { flagSet } from '../../core/mail/flags.ts';
import type { Wire } from '../../core/mail/wire.ts';
import { ACCOUNT, MAILBOX, MemoryMailbox } from '../support/memory-mailbox.ts';

interface Known {
  readonly uid: number;
  flags: string;
}

/** A session with a client that keeps a plain list. */
class Client {
  readonly known: Known[] = [];
  readonly #view: MailboxView;
  readonly #box: MemoryMailbox;
  readonly #written: Uint8Array[] = [];
  readonly #out: ImapWriter;
  readonly #qresync: boolean;

  private constructor(box: MemoryMailbox, cache: ColumnsCache, columns: MailboxView['columns'], qresync: boolean) {
    this.#box = box;
    this.#qresync = qresync;
    const wire = { write: (bytes: Uint8Array) => this.#written.push(bytes), drained: async () => {} };
    this.#out = new ImapWriter(wire as unknown as Wire);
    const host = {
      out: this.#out,
      enabled: { condstore: qresync, qresync, utf8: false },
      input: { flush: () => this.#out.flush() },
      commit: async (ops: Parameters<MemoryMailbox['commit']>[0]) => box.commit(ops),
    };
    this.#view = new MailboxView(host, cache, columns, { readOnly: false, mailbox: box.mailbox() });
    this.#fetchNew(this.#view.count);
  }

  static async open(box: MemoryMailbox, cache: ColumnsCache, qresync: boolean): Promise<Client> {
    return new Client(box, cache, (await cache.acquire(ACCOUNT, MAILBOX))!, qresync);
  }

  close(): void {
    this.#view.close();
  }

  async poll(expunge: boolean): Promise<void> {
    await this.#view.poll({ expunge });
    const count = this.#read(expunge);
    if (count !== null) this.#fetchNew(count);
    this.check();
    assert.deepEqual(
      this.known.filter(({ uid }) => this.#box.rows.some((row) => row.uid === uid)).map(({ flags }) => flags),
      this.#box.rows.filter((row) => this.known.some(({ uid }) => uid === row.uid)).map(({ flags }) => flags.join(' ')),
      'flags',
    );
    assert.ok(
      this.#box.rows.every((row) => this.known.some(({ uid }) => uid === row.uid)),
      'all messages are known',
    );
    if (expunge) assert.equal(this.known.length, this.#box.rows.length, 'all expunges are known');
    if (expunge) assert.equal(this.#view.highestModSeq, this.#box.modSeq);
    for (const { uid } of this.known) {
      const untold = this.#box.expunged.get(uid)?.modSeq ?? Number.POSITIVE_INFINITY;
      assert.ok(this.#view.highestModSeq < untold, 'HIGHESTMODSEQ covers an expunge that was not told');
    }
  }

  /** STORE, answered as the command does it. */
  async store(uids: Uint32Array, flag: string, mode: 'add' | 'remove'): Promise<void> {
    const mine = uids.filter((uid) => this.known.some((known) => known.uid === uid));
    const { modSeq, results } = this.#box.commit([
      { t: 'store', mailbox: MAILBOX, uids: mine, mode, flags: flagSet([flag]) },
    ]);
    const result = results[0]!;
    assert.ok(result.ok && result.t === 'store');
    for (const { uid, flags } of result.stored) {
      this.known.find((known) => known.uid === uid)!.flags = flags.join(' ');
    }
    this.#view.own(
      modSeq,
      Uint32Array.from(result.stored, ({ uid }) => uid),
    );
  }

  /** The view's numbers are the list's. */
  check(): void {
    const uids = this.known.map(({ uid }) => uid);
    const { map } = this.#view;
    assert.equal(map.count, uids.length);
    uids.forEach((uid, index) => {
      assert.equal(map.uidAt(index + 1), uid);
      assert.equal(map.seqOf(uid), index + 1);
    });
    assert.equal(map.seqOf(0), 0);
    const inRuns: number[] = [];
    for (const { rows, row, length, seq } of map.runs(2, map.count)) {
      for (let i = 0; i < length; i++) {
        inRuns[seq + i - 2] = rows.uids[row + i]!;
        const shown = rows.table.get(rows.flags[row + i]!).names.join(' ');
        assert.ok(this.#box.flagsEver.get(rows.uids[row + i]!)!.has(shown), `flags ${shown}`);
      }
    }
    assert.deepEqual(inRuns, uids.slice(1));
    assert.deepEqual(
      [...this.#view.liveUids([{ from: 1, to: uids.length }])].filter((uid) => !uids.includes(uid)),
      [],
    );
  }

  /** Applies the responses to the list; gives EXISTS. */
  #read(expungeAllowed: boolean): number | null {
    this.#out.handOver();
    const lines = Buffer.concat(this.#written.splice(0)).toString('latin1').split('\r\n');
    assert.equal(lines.pop(), '');
    let exists: number | null = null;
    for (const line of lines) {
      const [, number, word] = line.split(' ');
      if (word === 'EXPUNGE') {
        assert.ok(expungeAllowed && !this.#qresync, line);
        assert.equal(this.known.splice(Number(number) - 1, 1).length, 1, line);
      } else if (number === 'VANISHED') {
        assert.ok(expungeAllowed && this.#qresync, line);
        for (const { from, to } of plainRanges(parseSequenceSet(Buffer.from(word!), 0).set, 0)) {
          for (let uid = from; uid <= to; uid++) {
            const index = this.known.findIndex((known) => known.uid === uid);
            assert.ok(index >= 0, `${line} names what was never told`);
            this.known.splice(index, 1);
          }
        }
      } else if (word === 'FETCH') {
        const known = this.known[Number(number) - 1];
        assert.ok(known !== undefined, line);
        const uid = /UID (\d+)/.exec(line);
        if (uid !== null) assert.equal(known.uid, Number(uid[1]), line);
        known.flags = /FLAGS \(([^)]*)\)/.exec(line)![1]!.replace(/ ?\\Recent/, '');
      } else if (word === 'EXISTS') {
        assert.equal(exists, null, 'EXISTS twice');
        exists = Number(number);
        assert.ok(exists > this.known.length, `${line} is not news`);
      }
    }
    return exists;
  }

  /** As a client that fetches what is new. */
  #fetchNew(count: number): void {
    for (const { rows, row, length } of this.#view.map.runs(this.known.length + 1, count)) {
      for (let i = row; i < row + length; i++) {
        this.known.push({ uid: rows.uids[i]!, flags: rows.table.get(rows.flags[i]!).names.join(' ') });
      }
    }
    this.#view.recent.add(1, 0);
  }
}

type Step =
  | { readonly t: 'append'; readonly count: number; readonly flag: string }
  | {
      readonly t: 'expunge' | 'flag' | 'store';
      readonly which: number;
      readonly client: number;
      readonly flag: string;
      readonly add: boolean;
    }
  | { readonly t: 'poll'; readonly client: number; readonly expunge: boolean }
  | { readonly t: 'select'; readonly client: number }
  | { readonly t: 'forget' };

const flag = fc.constantFrom('\\Seen', 'work');
const which = fc.nat(15);
const client = fc.nat(2);
const step: fc.Arbitrary<Step> = fc.oneof(
  fc.record({ t: fc.constant('append' as const), count: fc.integer({ min: 1, max: 3 }), flag }),
  fc.record({
    t: fc.constantFrom('expunge' as const, 'flag' as const, 'store' as const),
    which,
    client,
    flag,
    add: fc.boolean(),
  }),
  { weight: 3, arbitrary: fc.record({ t: fc.constant('poll' as const), client, expunge: fc.boolean() }) },
  fc.record({ t: fc.constant('select' as const), client }),
  fc.record({ t: fc.constant('forget' as const) }),
);

/** Messages whose place has its bit set. */
const chosen = (box: MemoryMailbox, bits: number): Uint32Array =>
  Uint32Array.from(
    box.rows.filter((_, index) => ((bits >> (index % 4)) & 1) === 1),
    (row) => row.uid,
  );

test('the view equals a naive list under any interleaving of changes and polls', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 40 }), async (steps) => {
      const box = new MemoryMailbox();
      box.append([]);
      const cache = new ColumnsCache(box.asStore());
      const clients: Client[] = [];
      for (const qresync of [false, true, false]) clients.push(await Client.open(box, cache, qresync));
      for (const one of steps) {
        switch (one.t) {
          case 'append':
            for (let i = 0; i < one.count; i++) box.append(i === 0 ? [one.flag] : []);
            break;
          case 'expunge':
            box.expunge(new Set(chosen(box, one.which)));
            break;
          case 'flag':
            box.store(new Set(chosen(box, one.which)), one.add ? 'add' : 'remove', flagSet([one.flag]));
            break;
          case 'store':
            await clients[one.client]!.store(chosen(box, one.which), one.flag, one.add ? 'add' : 'remove');
            break;
          case 'poll':
            await clients[one.client]!.poll(one.expunge);
            break;
          case 'select':
            clients[one.client]!.close();
            clients[one.client] = await Client.open(box, cache, one.client === 1);
            break;
          case 'forget':
            box.forgetHistory();
        }
        for (const each of clients) each.check();
      }
      for (const each of clients) await each.poll(true);
    }),
    { numRuns: 400 },
  );
});
