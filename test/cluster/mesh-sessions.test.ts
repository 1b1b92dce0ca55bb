/**
 * Sessions on several nodes over the same accounts: changes are pushed to all, are seen by the next command when every
 * hint is lost, a maildrop is one session's, and handing accounts over costs no command.
 */

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { call } from '../../mixins/contracts.ts';
import { serversMissing } from '../support/cluster-servers.ts';
import { LineClient } from '../support/line-client.ts';
import { allSee, MeshWorld, type WorldNode } from './mesh-world.ts';

const skip = await serversMissing();
const options = { skip };
const DOMAIN = 'mail.localhost';
const PUSHES = 60;
const MESSAGE = 'Subject: x\r\n\r\ntext\r\n';

let world: MeshWorld;
let one: WorldNode;
let two: WorldNode;
let writers: WorldNode[];

before(async () => {
  if (skip !== false) return;
  world = await MeshWorld.open();
  [one, two, ...writers] = (await Promise.all([
    world.node('one', 'imap,pop3,domain,account'),
    world.node('two', 'imap,pop3'),
    world.node('writer-a', 'mailbox'),
    world.node('writer-b', 'mailbox'),
  ])) as [WorldNode, WorldNode, ...WorldNode[]];
  await allSee([one, two, ...writers], 'mailbox', 2);
  await call(one.broker, 'domain.create', { name: DOMAIN });
});
after(() => world?.close());

const portOf = (node: WorldNode, name: string): number =>
  node.listeners.find((listener) => listener.name === name)!.port;

async function newAccount(name: string): Promise<string> {
  const address = `${name}@${DOMAIN}`;
  await call(one.broker, 'account.create', { address, password: 'secret' });
  return address;
}

class Imap {
  readonly #client: LineClient;
  #tag = 0;

  private constructor(client: LineClient) {
    this.#client = client;
  }

  static async open(node: WorldNode, address: string): Promise<Imap> {
    const imap = new Imap(await LineClient.open(portOf(node, 'imap')));
    await imap.#client.line();
    await imap.ok(`LOGIN ${address} secret`);
    return imap;
  }

  async send(text: string): Promise<void> {
    await this.#client.write(text);
  }

  async line(): Promise<string> {
    return (await this.#client.line()) ?? assert.fail('the connection has ended');
  }

  /** Lines up to the tagged one, which must be OK. */
  async ok(command: string): Promise<string[]> {
    const tag = `t${++this.#tag}`;
    await this.send(`${tag} ${command}\r\n`);
    const lines: string[] = [];
    for (;;) {
      const line = await this.line();
      lines.push(line);
      if (!line.startsWith(`${tag} `)) continue;
      assert.match(line, /^t\d+ OK/, `${command}: ${line}`);
      return lines;
    }
  }

  append(): Promise<string[]> {
    return this.ok(`APPEND INBOX {${MESSAGE.length}+}\r\n${MESSAGE}`);
  }

  /** Lines up to one that matches. */
  async until(pattern: RegExp): Promise<string> {
    for (;;) {
      const line = await this.line();
      if (pattern.test(line)) return line;
    }
  }

  close(): void {
    this.#client.socket.destroy();
  }
}

test('IDLE on one node is told what is done through another, within 100 ms of its answer', options, async () => {
  const address = await newAccount('idler');
  const writing = await Imap.open(one, address);
  const idling = await Imap.open(two, address);
  await idling.ok('SELECT INBOX');
  await idling.send('i IDLE\r\n');
  await idling.until(/^\+ /);
  const tookMs: number[] = [];
  for (let i = 1; i <= PUSHES; i++) {
    const told = idling.until(new RegExp(`^\\* ${i} EXISTS$`)).then(() => performance.now());
    await writing.append();
    const answered = performance.now();
    tookMs.push((await told) - answered);
  }
  tookMs.sort((a, b) => a - b);
  const [median, worst] = [tookMs[PUSHES / 2]!, tookMs[Math.floor(PUSHES * 0.99)]!];
  console.log(`pushed after ${median.toFixed(1)} ms at the median, ${worst.toFixed(1)} ms at p99`);
  assert.ok(worst < 100);
  writing.close();
  idling.close();
});

test('when every hint is lost, what was done elsewhere is seen by the next command', options, async () => {
  const address = await newAccount('unhinted');
  const nodes = [one, two, ...writers];
  for (const node of nodes) node.context.hintBus!.publish = () => undefined;
  try {
    const [here, there] = [await Imap.open(one, address), await Imap.open(two, address)];
    await here.ok('SELECT INBOX');
    await there.ok('SELECT INBOX');
    for (let i = 1; i <= 20; i++) {
      await here.append();
      assert.ok((await there.ok('NOOP')).includes(`* ${i} EXISTS`));
    }
    await there.ok('STORE 11:12 +FLAGS (\\Flagged)');
    assert.match((await here.ok('FETCH 11 (FLAGS)'))[0]!, /^\* 11 FETCH .*\\Flagged/);
    await there.ok('STORE 11 -FLAGS (\\Flagged)');
    assert.equal((await here.ok('UID SEARCH FLAGGED'))[0], '* SEARCH 12');
    await there.ok('STORE 1:10 +FLAGS (\\Seen)');
    assert.ok((await here.ok('NOOP')).some((line) => /^\* 10 FETCH \(.*\\Seen/.test(line)));
    const lines = await here.ok('FETCH 1:* (FLAGS)');
    assert.equal(lines.filter((line) => line.includes('\\Seen')).length, 10);
    await here.ok('MOVE 1:5 Archive');
    assert.equal((await there.ok('NOOP')).filter((line) => line.endsWith(' EXPUNGE')).length, 5);
    assert.ok((await there.ok('STATUS Archive (MESSAGES)')).includes('* STATUS "Archive" (MESSAGES 5)'));
    await here.ok('CREATE New');
    assert.ok((await there.ok('LIST "" New')).some((line) => line.startsWith('* LIST ')));
    const pop3 = await LineClient.open(portOf(two, 'pop3'));
    for (const command of ['', `USER ${address}\r\n`, 'PASS secret\r\n', 'STAT\r\n']) {
      await pop3.write(command);
      const line = await pop3.line();
      assert.match(line ?? '', command.startsWith('STAT') ? /^\+OK 15 / : /^\+OK/);
    }
    pop3.socket.destroy();
    here.close();
    there.close();
  } finally {
    for (const node of nodes) delete (node.context.hintBus as { publish?: unknown }).publish;
  }
});

test('a maildrop is open in one POP3 session of all nodes', options, async () => {
  const address = await newAccount('maildrop');
  const login = async (node: WorldNode): Promise<{ client: LineClient; line: string | undefined }> => {
    const client = await LineClient.open(portOf(node, 'pop3'));
    await client.line();
    await client.write(`USER ${address}\r\n`);
    await client.line();
    await client.write('PASS secret\r\n');
    return { client, line: await client.line() };
  };
  const first = await login(one);
  assert.match(first.line!, /^\+OK/);
  const second = await login(two);
  assert.match(second.line!, /^-ERR \[IN-USE\]/);
  await first.client.write('QUIT\r\n');
  await first.client.line();
  for (;;) {
    const { client, line } = await login(two);
    client.socket.destroy();
    // The lock is given back behind the goodbye.
    if (line!.startsWith('+OK')) break;
    assert.match(line!, /IN-USE/);
  }
  second.client.socket.destroy();
});

test(
  'while a node that writes mailboxes is drained, sessions stay connected and no command fails',
  options,
  async () => {
    const addresses = await Promise.all(Array.from({ length: 8 }, (_, i) => newAccount(`drain${i}`)));
    const sessions = await Promise.all(addresses.map((address, i) => Imap.open(i % 2 === 0 ? one : two, address)));
    await Promise.all(sessions.map((session) => session.ok('SELECT INBOX')));
    let stopped = false;
    const counts = sessions.map(async (session) => {
      let appended = 0;
      while (!stopped) {
        await session.append();
        appended++;
        await session.ok('STORE 1 +FLAGS (\\Flagged)');
        await session.ok('STORE 1 -FLAGS (\\Flagged)');
        await session.ok('COPY 1 Archive');
      }
      return appended;
    });
    const third = await world.node('writer-c', 'mailbox');
    await allSee([one, two], 'mailbox', 3);
    await world.stop(third);
    stopped = true;
    const appended = await Promise.all(counts);
    assert.ok(appended.every((count) => count > 0));
    for (const [i, session] of sessions.entries()) {
      for (const mailbox of ['INBOX', 'Archive']) {
        const lines = await session.ok(`STATUS ${mailbox} (MESSAGES)`);
        assert.equal(lines.at(-2), `* STATUS "${mailbox}" (MESSAGES ${appended[i]})`);
      }
      session.close();
    }
  },
);
