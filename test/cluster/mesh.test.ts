/**
 * A mesh as its users run it: processes of several roles beside a real NATS and a MongoDB-compatible server. Mail goes the
 * whole way, any node serves any account, nodes are added, drained and killed, and the command works with and without them.
 */

import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { MongoClient } from 'mongodb';
import type { NodeStatus } from '../../mixins/contracts.ts';
import { freePort } from '../support/child-server.ts';
import { mailmesh } from '../support/cli.ts';
import { arrived, eventually, fetchSource, imapClient, messageIds, sender, withImap } from '../support/clients.ts';
import {
  type ClusterServer,
  mongoServer,
  natsBytes,
  natsServer,
  serversMissing,
  withDatabase,
} from '../support/cluster-servers.ts';
import { rest } from '../support/rest.ts';
import { type Login, newDataDir, removeDataDir, type Server, startServer } from '../support/server.ts';

const skip = await serversMissing();
const options = { skip, timeout: 180_000 };
const DOMAIN = 'mail.localhost';
const DELAY_MS_MAX = 10_000;

let mongo: ClusterServer;
let nats: ClusterServer;
/** Port where NATS says what it has carried. */
let monitor: number;
let root: string;
let env: Record<string, string>;
const running = new Map<string, Server>();

async function folderOf(name: string): Promise<string> {
  const folder = join(root, name);
  await mkdir(folder, { recursive: true });
  return folder;
}

async function start(name: string, role: string): Promise<Server> {
  const server = await startServer(await folderOf(name), { ...env, MAILMESH_ROLE: role, MAILMESH_NODE_ID: name });
  running.set(name, server);
  return server;
}

async function end(name: string, how: 'stop' | 'kill'): Promise<void> {
  const server = running.get(name)!;
  running.delete(name);
  await server[how]();
}

const command = async (folder: string, argv: readonly string[], input?: string) =>
  mailmesh(await folderOf(folder), argv, { env, ...(input === undefined ? {} : { input }) });

async function status(server: Server): Promise<number> {
  return (await rest(server, '/readyz')).status;
}

const nodes = async (folder: string): Promise<NodeStatus[]> => {
  const { out, err } = await command(folder, ['nodes', '--json']);
  assert.equal(err, '');
  return JSON.parse(out) as NodeStatus[];
};

before(async () => {
  if (skip !== false) return;
  monitor = await freePort();
  [mongo, nats, root] = await Promise.all([mongoServer(), natsServer({ args: ['-m', String(monitor)] }), newDataDir()]);
  env = {
    MAILMESH_MONGO_URL: withDatabase(mongo.url, `mesh-${randomBytes(4).toString('hex')}`),
    MAILMESH_NATS_URL: nats.url,
    MAILMESH_LOG_LEVEL: 'warn',
    MAILMESH_DRAIN_TIMEOUT_MS: '5s',
  };
});
after(async () => {
  if (skip !== false) return;
  await Promise.all([...running.values()].map((server) => server.stop()));
  await Promise.all([mongo.close(), nats.close()]);
  await removeDataDir(root);
});

const login: Login = { address: `alice@${DOMAIN}`, password: 'correct horse' };
let edge: Server;
let second: Server;
let gateway: Server;
let key: string;

test('the command makes the first accounts while no node runs at all', options, async () => {
  for (const argv of [
    ['domain', 'add', DOMAIN],
    ['account', 'add', login.address, '--password-stdin'],
  ]) {
    const { code, err } = await command('offline', argv, `${login.password}\n`);
    assert.equal(code, 0, err);
  }
  const { out } = await command('offline', ['nodes']);
  assert.equal(out, 'No node runs.\n');
});

test('nodes of all roles, started at once, find each other and say what they run', options, async () => {
  [edge, second, gateway] = (await Promise.all([
    start('edge-1', 'edge'),
    start('edge-2', 'edge'),
    start('gateway', 'gateway'),
    start('mailbox-1', 'mailbox'),
    start('mailbox-2', 'mailbox'),
    start('filter', 'filter,trainer'),
  ])) as [Server, Server, Server, ...Server[]];
  for (const server of running.values())
    await eventually('a ready node', async () => ((await status(server)) === 200 ? true : undefined));
  // Each knows of the others as soon as it has heard of them.
  const listed = await eventually('six nodes', async () => {
    const { code, out } = await command('edge-1', ['nodes', '--json']);
    return code === 0 && JSON.parse(out).length === 6 ? (JSON.parse(out) as NodeStatus[]) : undefined;
  });
  assert.deepEqual(
    listed.map(({ id, state }) => `${id} ${state}`),
    ['edge-1 ready', 'edge-2 ready', 'filter ready', 'gateway ready', 'mailbox-1 ready', 'mailbox-2 ready'],
  );
  assert.deepEqual(listed[4]!.services, ['mailbox', 'maintenance', 'search']);
  assert.ok(listed.every(({ version, upMs, memoryBytes }) => version !== '' && upMs > 0 && memoryBytes! > 0));
  const { out } = await command('gateway', ['apikey', 'create', 'test', '--scope', 'read', '--json']);
  key = (JSON.parse(out) as { secret: string }).secret;
  const answer = await rest(gateway, '/v1/nodes', { key });
  assert.equal(answer.status, 200);
  assert.equal(answer.json<{ items: unknown[] }>().items.length, 6);
});

test(
  'mail taken by one edge is read on another, byte for byte, and UIDs and flags are the same on both',
  options,
  async () => {
    const messageId = '<first@client.example>';
    const text = `${'x'.repeat(70)}\n`.repeat(4_000);
    await sender(edge, 'smtp').sendMail({
      from: 'bob@client.example',
      to: login.address,
      messageId,
      subject: 'Hi',
      text,
    });
    await withImap(second, login, async (client) => {
      const uid = await arrived(client, 'INBOX', messageId);
      const source = (await fetchSource(client, 'INBOX', uid)).toString();
      assert.equal(source.split('\r\n').filter((line) => /^x{70}$/.test(line)).length, 4_000);
      await client.mailboxOpen('INBOX');
      await client.messageFlagsAdd(String(uid), ['\\Flagged'], { uid: true });
      await withImap(edge, login, async (other) => {
        await other.mailboxOpen('INBOX');
        const found = await other.fetchOne(String(uid), { flags: true }, { uid: true });
        assert.ok(found !== false && found.flags!.has('\\Flagged'));
      });
    });
  },
);

test('a body never crosses NATS: not when it is taken in, filtered, stored, read or appended', options, async (t) => {
  if (!nats.own) return t.skip('NATS_URL names a server that does not say what it carries');
  const BODY_BYTES = 3_000_000;
  const content = randomBytes(BODY_BYTES);
  const id = (name: string): string => `<${name}@bytes.example>`;
  const fill = { from: 'bob@client.example', to: login.address, attachments: [{ filename: 'x.bin', content }] };
  const before = await natsBytes(monitor);
  const begun = performance.now();
  for (const [name, server] of [
    ['one', edge],
    ['two', second],
  ] as const)
    await sender(server, 'smtp').sendMail({ ...fill, messageId: id(name) });
  let read = 0;
  for (const server of [edge, second])
    await withImap(server, login, async (client) => {
      for (const name of ['one', 'two']) {
        const source = await fetchSource(client, 'INBOX', await arrived(client, 'INBOX', id(name)));
        read += source.length;
        if (name === 'one') await client.append('Archive', source);
      }
    });
  assert.ok(read > 4 * BODY_BYTES, 'every body was read whole from either node');
  const carried = (await natsBytes(monitor)) - before;
  // What nodes tell each other without any mail is among it.
  const allowed = BODY_BYTES / 4;
  t.diagnostic(`${carried} bytes over NATS in ${Math.round(performance.now() - begun)} ms for ${read} bytes read`);
  assert.ok(carried < allowed, `${carried} bytes over NATS`);
  return undefined;
});

test(
  'a node that writes mailboxes is killed: accounts are served again within 10 s, nothing is lost or doubled',
  options,
  async () => {
    const client = await imapClient(edge, login);
    await client.mailboxOpen('INBOX');
    const appended: string[] = [];
    let stopped = false;
    let longestMs = 0;
    const load = (async () => {
      for (let i = 0; !stopped; i++) {
        const messageId = `<load-${i}@client.example>`;
        const began = performance.now();
        await client.append('INBOX', `Message-ID: ${messageId}\r\nSubject: ${i}\r\n\r\ntext\r\n`);
        longestMs = Math.max(longestMs, performance.now() - began);
        appended.push(messageId);
      }
    })();
    await eventually('some messages', () => (appended.length > 20 ? true : undefined));
    const owner = (await nodes('gateway')).find(({ leases }) => (leases ?? 0) > 0)!.id;
    await end(owner, 'kill');
    const before = appended.length;
    await eventually('messages behind the kill', () => (appended.length > before + 20 ? true : undefined));
    stopped = true;
    await load;
    console.log(`killed ${owner}: the longest command took ${Math.round(longestMs)} ms`);
    assert.ok(longestMs < DELAY_MS_MAX, `${longestMs} ms`);
    await client.noop();
    const there = [...(await messageIds(client, 'INBOX')).values()].filter((id) => id.startsWith('<load-'));
    assert.deepEqual(there.sort(), [...appended].sort());
    client.close();
    await start(owner, 'mailbox');
  },
);

test('nodes that write mailboxes are stopped in turn: no command fails, and none takes long', options, async () => {
  const clients = await Promise.all([imapClient(edge, login), imapClient(second, login)]);
  for (const client of clients) await client.mailboxOpen('INBOX');
  let stopped = false;
  let longestMs = 0;
  let commands = 0;
  const loads = clients.map(async (client) => {
    while (!stopped) {
      const began = performance.now();
      await client.messageFlagsAdd('1', ['\\Flagged']);
      await client.messageFlagsRemove('1', ['\\Flagged']);
      longestMs = Math.max(longestMs, performance.now() - began);
      commands += 2;
    }
  });
  for (const name of ['mailbox-1', 'mailbox-2']) {
    await eventually('both nodes', async () =>
      (await nodes('gateway')).filter(({ services }) => services.includes('mailbox')).length === 2 ? true : undefined,
    );
    await end(name, 'stop');
    await start(name, 'mailbox');
  }
  stopped = true;
  await Promise.all(loads);
  console.log(`drained two nodes: ${commands} commands, two at a time took at most ${Math.round(longestMs)} ms`);
  assert.ok(longestMs < 3_000, `${longestMs} ms`);
  for (const client of clients) client.close();
});

test(
  'while the database is away nodes are not ready and mail is answered 451; then it goes on by itself',
  options,
  async () => {
    if (!mongo.own) return;
    await mongo.stop();
    await eventually('nodes that say that they are not ready', async () =>
      (await status(edge)) === 503 ? true : undefined,
    );
    const send = (messageId: string) =>
      sender(edge, 'smtp').sendMail({ from: 'bob@client.example', to: login.address, messageId, text: 'x' });
    await assert.rejects(
      send('<away@client.example>'),
      (error: { responseCode?: number }) => error.responseCode === 451,
    );
    await mongo.start();
    await eventually('a ready node', async () => ((await status(edge)) === 200 ? true : undefined));
    await send('<back@client.example>');
    await withImap(edge, login, (client) => arrived(client, 'INBOX', '<back@client.example>'));
  },
);

test(
  'while NATS is away those who only take mail in are ready and take it, and those who serve readers are not',
  options,
  async () => {
    if (!nats.own) return;
    const [intake, access] = await Promise.all([start('intake', 'intake'), start('access', 'access')]);
    const isReady = (server: Server, code: number) =>
      eventually(`${code} of /readyz`, async () => ((await status(server)) === code ? true : undefined));
    await Promise.all([isReady(intake, 200), isReady(access, 200)]);
    await nats.stop();
    await isReady(access, 503);
    assert.equal(await status(intake), 200);
    const messageId = '<without-nats@client.example>';
    const mail = { from: 'bob@client.example', to: login.address, messageId, text: 'x' };
    await sender(intake, 'smtp').sendMail(mail);
    assert.equal(await status(intake), 200);
    await nats.start();
    await isReady(access, 200);
    await withImap(access, login, (client) => arrived(client, 'INBOX', messageId));
    await Promise.all([end('intake', 'stop'), end('access', 'stop')]);
    // Ready again before others ask for what goes by NATS.
    for (const server of running.values()) await isReady(server, 200);
  },
);

test('work that is done elsewhere is asked for anywhere: training, the search index, upkeep', options, async () => {
  const trained = await command('edge-1', ['model', 'retrain', '--json']);
  assert.equal(trained.code, 0, trained.err);
  assert.deepEqual(JSON.parse(trained.out), { model: null, outcome: 'there are no labels yet' });
  const stats = await eventually('indexed messages', async () => {
    const found = (await rest(gateway, '/v1/stats', { key })).json<Record<string, number>>();
    return found.searchDocuments! > 0 ? found : undefined;
  });
  assert.ok(stats.messages! > 20 && stats.accounts === 1);
  const migrated = await command('edge-2', ['migrate', '--json']);
  assert.deepEqual([JSON.parse(migrated.out).format, JSON.parse(migrated.out).nodes], [1, running.size]);
  const verified = await command('filter', ['verify', '--json']);
  assert.deepEqual([verified.code, JSON.parse(verified.out).problems], [0, 0], verified.out);
});

test('an installation of one machine is taken into the mesh, again without effect, and back', options, async () => {
  const machine = await folderOf('machine');
  const single = await startServer(machine);
  const [carol] = single.accounts as [Login];
  const messageId = '<single@client.example>';
  await sender(single, 'smtp').sendMail({ from: 'x@client.example', to: carol.address, messageId, text: 'x' });
  await withImap(single, carol, (client) => arrived(client, 'INBOX', messageId));
  const busy = await command('gateway', ['import', '--from', machine]);
  assert.match(busy.err, /in use by another process/);
  await single.stop();
  const fresh = { ...env, MAILMESH_MONGO_URL: withDatabase(mongo.url, `taken-${randomBytes(4).toString('hex')}`) };
  const run = async (argv: readonly string[], more: Record<string, string> = fresh) => {
    const { code, out, err } = await mailmesh(await folderOf('taken'), [...argv, '--json'], { env: more });
    assert.equal(code, 0, err);
    return JSON.parse(out) as Record<string, unknown>;
  };
  const first = await run(['import', '--from', machine]);
  assert.deepEqual([first.accounts, first.messages, first.messagesKnown], [2, 1, 0]);
  const again = await run(['import', '--from', machine]);
  assert.deepEqual([again.accounts, again.messages, again.messagesKnown], [2, 1, 1]);
  const taken = await startServer(await folderOf('taken'), fresh);
  await withImap(taken, carol, (client) => arrived(client, 'INBOX', messageId));
  // A backup of the mesh, put into another database; and everything back into a folder of one machine.
  const copy = join(root, 'backup');
  await run(['backup', copy]);
  await taken.stop();
  const other = { ...env, MAILMESH_MONGO_URL: withDatabase(mongo.url, `restored-${randomBytes(4).toString('hex')}`) };
  const restored = await run(['restore', copy], other);
  assert.deepEqual([restored.accounts, restored.messages, restored.damagedCount], [2, 1, 0]);
  const refused = await mailmesh(await folderOf('taken'), ['restore', copy], { env: other });
  assert.deepEqual([refused.code, refused.err.includes('the mesh has accounts')], [1, true], refused.err);
  // As if it had been killed while it made the accounts.
  const client = await MongoClient.connect(other.MAILMESH_MONGO_URL);
  await client.db().collection<{ _id: string }>('meta').insertOne({ _id: 'restore' });
  const resumed = await run(['restore', copy], other);
  assert.deepEqual([resumed.accounts, resumed.messages, resumed.damagedCount], [2, 1, 0]);
  assert.equal(await client.db().collection<{ _id: string }>('meta').findOne({ _id: 'restore' }), null);
  await client.close();
  const verified = await run(['verify'], other);
  assert.equal(verified.problems, 0);
  const back = join(root, 'back');
  await run(['export', '--to', back], other);
  const home = await startServer(back);
  await withImap(home, carol, (client) => arrived(client, 'INBOX', messageId));
  await home.stop();
});

test(
  'a node that takes mail is all that is up: commands work all the same, and say nothing else',
  options,
  async () => {
    const few = { ...env, MAILMESH_MONGO_URL: withDatabase(mongo.url, `few-${randomBytes(4).toString('hex')}`) };
    const folder = await folderOf('few');
    const only = await startServer(folder, { ...few, MAILMESH_SERVICES: 'smtp', MAILMESH_NODE_ID: 'few' });
    try {
      const seen = await mailmesh(folder, ['nodes', '--json'], { env: few });
      assert.deepEqual([seen.code, seen.err], [0, '']);
      assert.deepEqual(
        (JSON.parse(seen.out) as NodeStatus[]).map(({ id, services }) => [id, services]),
        [['few', ['smtp']]],
      );
      const added = await mailmesh(folder, ['domain', 'add', 'few.example'], { env: few });
      assert.deepEqual([added.code, added.err], [0, '']);
    } finally {
      await only.stop();
    }
  },
);

test('a second node of one name ends in one line, and the first goes on', options, async () => {
  const { code, err } = await mailmesh(await folderOf('again'), ['start'], {
    env: { ...env, MAILMESH_ROLE: 'filter', MAILMESH_NODE_ID: 'edge-1' },
  });
  assert.equal(code, 1);
  assert.match(err, /there is a node edge-1 in the mesh: set another MAILMESH_NODE_ID/);
  assert.equal(await status(edge), 200);
});

test('servers that can not be used are refused in one line', options, async () => {
  const failed = async (more: Record<string, string>) => {
    const { code, err } = await mailmesh(await folderOf('wrong'), ['start'], { env: { ...env, ...more } });
    assert.equal(code, 1);
    assert.equal(err.trim().split('\n').length, 1, err);
    return err;
  };
  assert.match(
    await failed({ MAILMESH_MONGO_URL: 'mongodb://127.0.0.1:1/x' }),
    /MongoDB at 127.0.0.1:1\/x cannot be reached/,
  );
  assert.match(await failed({ MAILMESH_ROLE: 'everything' }), /MAILMESH_ROLE/);
});
