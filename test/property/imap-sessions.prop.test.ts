/**
 * Clients that work on one mailbox at the same time: each believes what it is told, and in the end all have the same
 * list with the same flags, which is the mailbox. Commands run side by side through the whole engine.
 */

import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import fc from 'fast-check';
import { makeImapEngine } from '../../core/imap/engine.ts';
import { type ImapStores, ImapWorld, openImapStores, PASSWORD } from '../support/imap-world.ts';
import { exampleMessage } from '../support/messages.ts';
import { TestConnection } from '../support/test-connection.ts';

let stores: Promise<ImapStores> | undefined;
after(async () => (await stores)?.close());

interface Known {
  uid: number | null;
  flags: string | null;
}

class Client {
  readonly list: Known[] = [];
  readonly #connection: TestConnection;
  readonly #qresync: boolean;
  #tags = 0;

  constructor(world: ImapWorld, qresync: boolean) {
    this.#connection = new TestConnection(makeImapEngine(world.env), { tls: true });
    this.#qresync = qresync;
  }

  async start(): Promise<void> {
    await this.#connection.line();
    await this.command(`LOGIN alice "${PASSWORD}"`);
    if (this.#qresync) await this.command('ENABLE QRESYNC');
    await this.command('SELECT INBOX');
    await this.learn();
  }

  end(): void {
    this.#connection.end();
  }

  /** Asks for what is not known of the messages. */
  async learn(): Promise<void> {
    if (this.list.some((one) => one.uid === null || one.flags === null)) await this.command('FETCH 1:* (UID FLAGS)');
  }

  async command(text: string): Promise<void> {
    const tag = `t${++this.#tags}`;
    await this.#connection.send(`${tag} ${text}\r\n`);
    const holds = /^(FETCH|STORE|SEARCH)/.test(text);
    for (;;) {
      const line = await this.#connection.line();
      assert.ok(line !== null, `closed by ${text}`);
      if (line.startsWith(`${tag} `)) {
        assert.match(line, /^t\d+ (OK|NO \[EXPUNGEISSUED\])/, text);
        return;
      }
      this.#take(line, holds);
    }
  }

  /** `what` of one of the client's messages by number or uid, or nothing when it has none. */
  async of(which: number, what: (number: number, uid: number) => string): Promise<void> {
    if (this.list.length === 0) return;
    const index = which % this.list.length;
    await this.command(what(index + 1, this.list[index]!.uid ?? 1));
  }

  /** What EXISTS has announced may vanish before its uid was asked for: then it is one of those without a uid. */
  #indexOf(uid: number): number {
    const index = this.list.findIndex((one) => one.uid === uid);
    return index >= 0 ? index : this.list.findIndex((one) => one.uid === null);
  }

  #take(line: string, holds: boolean): void {
    const [, number, word] = line.split(' ');
    if (word === 'EXPUNGE' || number === 'VANISHED') assert.ok(!holds, line);
    if (word === 'EXISTS') {
      const count = Number(number);
      assert.ok(count >= this.list.length, line);
      while (this.list.length < count) this.list.push({ uid: null, flags: null });
    } else if (word === 'EXPUNGE') {
      assert.equal(this.list.splice(Number(number) - 1, 1).length, 1, line);
    } else if (number === 'VANISHED') {
      for (const range of word!.split(',')) {
        const [from = 0, to = from] = range.split(':').map(Number);
        for (let uid = from; uid <= to; uid++) {
          const index = this.#indexOf(uid);
          assert.ok(index >= 0, `${line}: not known`);
          this.list.splice(index, 1);
        }
      }
    } else if (word === 'FETCH') {
      const known = this.list[Number(number) - 1];
      assert.ok(known !== undefined, line);
      const uid = /UID (\d+)/.exec(line);
      if (uid !== null) {
        assert.ok(known.uid === null || known.uid === Number(uid[1]), `${line}, but it was ${known.uid}`);
        known.uid = Number(uid[1]);
      }
      const flags = /FLAGS \(([^)]*)\)/.exec(line);
      if (flags !== null) known.flags = flags[1]!.replace(/ ?\\Recent/, '');
    }
  }
}

interface Step {
  readonly client: number;
  readonly what: 'store' | 'silent' | 'expunge' | 'move' | 'copy' | 'fetch' | 'seen' | 'noop' | 'uidfetch' | 'deliver';
  readonly which: number;
  readonly flag: string;
  readonly sign: string;
}

const step: fc.Arbitrary<Step> = fc.record({
  client: fc.nat(2),
  what: fc.constantFrom('store', 'silent', 'expunge', 'move', 'copy', 'fetch', 'seen', 'noop', 'uidfetch', 'deliver'),
  which: fc.nat(20),
  flag: fc.constantFrom('\\Deleted', '\\Flagged', 'work'),
  sign: fc.constantFrom('+', '-'),
});

async function perform(world: ImapWorld, client: Client, { what, which, flag, sign }: Step): Promise<void> {
  let silent = 1;
  switch (what) {
    case 'store':
      await client.of(which, (number) => `STORE ${number}:* ${sign}FLAGS (${flag})`);
      break;
    case 'silent':
      await client.of(which, (_, uid) => {
        silent = uid;
        return `UID STORE ${uid} ${sign}FLAGS.SILENT (${flag})`;
      });
      // A client that stores silently reckons for itself; asking is the simplest way to do so.
      await client.command(`UID FETCH ${silent} (FLAGS)`);
      break;
    case 'expunge':
      await client.command('EXPUNGE');
      break;
    case 'move':
      await client.of(which, (_, uid) => `UID MOVE ${uid} Trash`);
      break;
    case 'copy':
      await client.of(which, (number) => `COPY ${number} INBOX`);
      break;
    case 'fetch':
      await client.of(which, (number) => `FETCH ${number}:* (FLAGS ENVELOPE)`);
      break;
    case 'seen':
      await client.of(which, (number) => `FETCH ${number} BODY[TEXT]<0.4>`);
      break;
    case 'uidfetch':
      await client.of(which, (_, uid) => `UID FETCH ${uid}:* (UID FLAGS)`);
      break;
    case 'noop':
      await client.command('NOOP');
      break;
    case 'deliver':
      await world.deliver('INBOX', exampleMessage(which + 1));
  }
  await client.learn();
}

test('sessions that work at the same time all end with the mailbox as it is', { timeout: 60_000 }, async () => {
  stores ??= openImapStores();
  const opened = await stores;
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 5, maxLength: 30 }), async (steps) => {
      const world = await ImapWorld.open(opened);
      for (let n = 1; n <= 4; n++) await world.deliver('INBOX', exampleMessage(n));
      const clients = [false, true, false].map((qresync) => new Client(world, qresync));
      for (const client of clients) await client.start();
      await Promise.all(
        clients.map(async (client, number) => {
          for (const one of steps) if (one.client === number) await perform(world, client, one);
        }),
      );
      for (const client of clients) {
        await client.command('NOOP');
        await client.learn();
        client.end();
      }
      assert.deepEqual(
        world.logged.filter(({ event }) => event === 'imap.fault'),
        [],
      );
      const columns = (await world.env.store.columns(world.account, await world.mailboxId('INBOX')))!;
      const stored = Array.from(columns.uids, (uid, row) => ({
        uid,
        flags: columns.flagSets[columns.flags[row]!]!.join(' '),
      }));
      for (const client of clients) assert.deepEqual(client.list, stored);
    }),
    { numRuns: 40 },
  );
});
