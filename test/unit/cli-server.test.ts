/** start, backup, restore and doctor: what they print, what they refuse, and that a signal drains. */

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { chmod, mkdir, mkdtemp, readdir, readFile, rm, stat, symlink, writeFile } from 'node:fs/promises';
import { type AddressInfo, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { checkCertificate, judgeCertificate } from '../../bin/doctor/certificate.ts';
import { checkDataFolder } from '../../bin/doctor/data-folder.ts';
import { isLocalName, publishedState, wantedRecords } from '../../bin/doctor/dns-records.ts';
import { checkPorts } from '../../bin/doctor/ports.ts';
import { checkServers } from '../../bin/doctor/servers.ts';
import { firstLines } from '../../bin/welcome.ts';
import { loadConfig } from '../../core/config/load.ts';
import { selfSigned } from '../../mixins/self-signed.ts';
import { FakeNode, run } from './cli-fake.ts';

const LISTENERS = [
  { name: 'smtp', host: '127.0.0.1', port: 2525, tls: false },
  { name: 'submissions', host: '127.0.0.1', port: 2465, tls: true },
  { name: 'imaps', host: '127.0.0.1', port: 2993, tls: true },
  { name: 'http', host: '127.0.0.1', port: 8080, tls: false },
];
const ACCOUNTS = [
  { address: 'alice@mail.localhost', password: 'pw-of-alice' },
  { address: 'bob@mail.localhost', password: 'pw-of-bob' },
];

async function withFolder(body: (folder: string) => Promise<void>): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), 'mailmesh-cli-'));
  try {
    await body(folder);
  } finally {
    await rm(folder, { recursive: true });
  }
}

/** Starts, signals once it has printed, and gives the result. */
async function startAndStop(node: FakeNode, argv: readonly string[] = []): ReturnType<typeof run> {
  const signals = ['SIGTERM', 'SIGINT', 'SIGHUP'] as const;
  try {
    const ran = run(node, ['start', ...argv]);
    while (process.listenerCount('SIGTERM') === 0) await new Promise(setImmediate);
    // Terminal, npm and the door each pass one Ctrl-C on: it is still one.
    process.emit('SIGTERM', 'SIGTERM');
    process.emit('SIGTERM', 'SIGTERM');
    return await ran;
  } finally {
    for (const signal of signals) process.removeAllListeners(signal);
  }
}

test('start prints addresses, passwords once, and one line each to try; a signal drains it', async () => {
  const node = new FakeNode();
  node.listeners = LISTENERS;
  node.firstStart = { accounts: ACCOUNTS };
  const { code, out, err } = await startAndStop(node);
  assert.equal(code, 0);
  assert.equal(node.stopped, 1);
  assert.match(err, /SIGTERM: draining, at most 30 s/);
  assert.match(out, /SMTP {8}127\.0\.0\.1:2525/);
  assert.match(out, /alice@mail\.localhost {2}pw-of-alice\n {2}bob@mail\.localhost {4}pw-of-bob\n/);
  assert.match(out, /swaks --server 127\.0\.0\.1:2525 .*--to alice@mail\.localhost/);
  assert.match(out, /curl -k --user 'alice@mail\.localhost:pw-of-alice' 'imaps:\/\/127\.0\.0\.1:2993\/INBOX'/);
  assert.match(out, /Incoming {2}127\.0\.0\.1 port 2993, SSL\/TLS\n {2}Outgoing {2}127\.0\.0\.1 port 2465, SSL\/TLS/);
});

test('a later start shows no passwords; --json prints one line', async () => {
  const node = new FakeNode();
  node.listeners = LISTENERS;
  assert.doesNotMatch((await startAndStop(node)).out, /passwords are shown/);
  const { out } = await startAndStop(node, ['--json']);
  const { ready, listeners, firstStart } = JSON.parse(out) as Record<string, unknown>;
  assert.deepEqual([ready, listeners, firstStart], [true, LISTENERS, null]);
});

test('listeners on every address are shown as ones that can be connected to', () => {
  const listeners = LISTENERS.map((listener) => ({ ...listener, host: '::' }));
  const lines = firstLines({
    config: loadConfig({}),
    node: { id: 'n', services: [] },
    firstStart: null,
    listeners,
    readyMs: 800,
  });
  assert.match(lines, /swaks --server \[::1\]:2525/);
  assert.match(lines, /Incoming {2}::1 port 2993/);
});

test('a start that fails says in one line what would be right', async () => {
  const cases: [object, RegExp][] = [
    [
      { code: 'EADDRINUSE', port: 2525, listener: 'smtp', address: '127.0.0.1' },
      /^mailmesh: port 2525 \(smtp\) on 127\.0\.0\.1 is in use: .*MAILMESH_SMTP_PORT[^\n]*\n$/,
    ],
    [{ code: 'EACCES', port: 25, listener: 'smtp' }, /^mailmesh: port 25 \(smtp\) may not be opened[^\n]*\n$/],
    [{ code: 'EADDRNOTAVAIL', port: 25, listener: 'smtp' }, /^mailmesh: MAILMESH_BIND: "127\.0\.0\.1"[^\n]*\n$/],
    [{ code: 'DATA_IN_USE', message: 'the data folder is in use' }, /^mailmesh: the data folder is in use\n$/],
  ];
  for (const [properties, wanted] of cases) {
    const start = () => Promise.reject(Object.assign(new Error('x'), properties));
    const { code, out, err } = await run(new FakeNode(), ['start'], { start });
    assert.deepEqual([code, out], [1, '']);
    assert.match(err, wanted);
  }
});

test('a role or service that is none is asked for wrongly, by the name of its option', async () => {
  const mesh = { MAILMESH_MONGO_URL: 'mongodb://127.0.0.1:1/x', MAILMESH_NATS_URL: 'nats://127.0.0.1:1' };
  const role = await run(new FakeNode(), ['start', '--role', 'edgy'], { env: mesh });
  assert.deepEqual([role.code, role.err.split('\n').length], [2, 2]);
  assert.match(role.err, /^mailmesh: --role: "edgy": one or several, .* of all, edge,/);
  assert.match(
    (await run(new FakeNode(), ['start', '--services', 'smtp,x'], { env: mesh })).err,
    /--services: "smtp,x"/,
  );
  const environment = await run(new FakeNode(), ['start'], { env: { ...mesh, MAILMESH_ROLE: 'edgy' } });
  assert.deepEqual([environment.code, environment.err.startsWith('mailmesh: MAILMESH_ROLE: "edgy"')], [1, true]);
});

test('backup asks for an empty folder and gives the mesh its whole path', async () => {
  await withFolder(async (folder) => {
    const node = new FakeNode();
    node.answers = { 'maintenance.backup': () => ({ files: 3 }) };
    const destination = join(folder, 'new', 'backup');
    const { code, out } = await run(node, ['backup', destination]);
    assert.equal(code, 0);
    assert.match(out, /^Copied to .*\nfiles {2}3\n$/);
    assert.deepEqual(node.calls, [['maintenance.backup', { destination }]]);
    await writeFile(join(destination, 'x'), '');
    assert.match((await run(node, ['backup', destination])).err, /is not empty/);
  });
});

test('restore copies a backup into an empty or missing data folder, private to its owner', async () => {
  await withFolder(async (folder) => {
    const source = join(folder, 'backup');
    await mkdir(join(source, 'packs', 'a'), { recursive: true });
    await writeFile(join(source, 'directory.db'), 'database');
    await writeFile(join(source, 'packs', 'a', '1.pack'), 'pack');
    const dataDir = join(folder, 'data');
    const env = { MAILMESH_DATA_DIR: dataDir };
    const { code, out, err } = await run(new FakeNode(), ['restore', source], { env });
    assert.equal(code, 0, err);
    assert.match(out, /^Restored 2 files, 12 B/);
    assert.equal(await readFile(join(dataDir, 'packs', 'a', '1.pack'), 'utf8'), 'pack');
    assert.equal((await stat(dataDir)).mode & 0o777, 0o700);
    assert.deepEqual((await readdir(folder)).sort(), ['backup', 'data']);
    const again = await run(new FakeNode(), ['restore', source], { env });
    assert.equal(again.code, 1);
    assert.match(again.err, /is not empty/);
  });
});

test('restore refuses what is no backup and leaves nothing behind', async () => {
  await withFolder(async (folder) => {
    const env = { MAILMESH_DATA_DIR: join(folder, 'data') };
    await mkdir(join(folder, 'a'));
    await writeFile(join(folder, 'a', 'x.txt'), '');
    assert.match((await run(new FakeNode(), ['restore', join(folder, 'a')], { env })).err, /is no backup/);
    await writeFile(join(folder, 'a', 'x.db'), '');
    await symlink('/etc', join(folder, 'a', 'link'));
    assert.match(
      (await run(new FakeNode(), ['restore', join(folder, 'a')], { env })).err,
      /neither a file nor a folder/,
    );
    assert.equal((await run(new FakeNode(), ['restore', join(folder, 'none')], { env })).code, 1);
    assert.deepEqual(await readdir(folder), ['a']);
  });
});

test('a backup of the other mode, one that was cut off, and what is none are refused by name, and left as they are', async () => {
  await withFolder(async (folder) => {
    const machine = { MAILMESH_DATA_DIR: join(folder, 'data') };
    const mesh = { ...machine, MAILMESH_MONGO_URL: 'mongodb://127.0.0.1:1/x', MAILMESH_NATS_URL: 'nats://127.0.0.1:1' };
    const refused = async (files: readonly string[], argv: readonly string[], env: Record<string, string>) => {
      const source = await mkdtemp(join(folder, 'source-'));
      for (const file of files) await writeFile(join(source, file), '');
      const { code, err } = await run(new FakeNode(), [...argv, source], { env });
      assert.equal(code, 1, err);
      assert.equal(err.trim().split('\n').length, 1, err);
      assert.deepEqual(await readdir(source), files);
      return err;
    };
    const ofMesh = ['directory.db', 'mail-store.bson'];
    assert.match(await refused(ofMesh, ['restore'], machine), /is the backup of a mesh: .*export --to/);
    assert.match(await refused(ofMesh, ['import', '--from'], mesh), /is the backup of a mesh: .*mailmesh restore/);
    assert.match(await refused(['directory.db'], ['restore'], mesh), /is the backup of one machine: .*import --from/);
    assert.match(await refused([], ['restore'], mesh), /is no backup of Mailmesh/);
    assert.match(await refused([], ['import', '--from'], mesh), /is no data folder of Mailmesh/);
    assert.match(await refused(['letter.txt'], ['export', '--to'], mesh), /is not empty, and no data folder/);
    const cut = ['directory.db', 'unfinished'];
    for (const [argv, env] of [
      [['restore'], machine],
      [['restore'], mesh],
      [['import', '--from'], mesh],
    ] as const)
      assert.match(await refused(cut, argv, env), /a backup that was cut off/);
  });
});

test('doctor: a port is free, ours or taken', async () => {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const others = Object.fromEntries(
    ['SUBMISSION', 'SUBMISSIONS', 'LMTP', 'IMAP', 'IMAPS', 'POP3', 'POP3S'].map((name) => [
      `MAILMESH_${name}_PORT`,
      '0',
    ]),
  );
  const config = loadConfig({ ...others, MAILMESH_SMTP_PORT: String(port), MAILMESH_HTTP_PORT: 'off' });
  const states = async (running: boolean) =>
    (await checkPorts(config, running)).filter(({ check }) => /smtp|http/.test(check)).map(({ status }) => status);
  assert.deepEqual(await states(false), ['fail', 'info']);
  assert.deepEqual(await states(true), ['ok', 'info']);
  server.close();
  await once(server, 'close');
  assert.deepEqual(await states(false), ['ok', 'info']);
  assert.deepEqual(await states(true), ['warn', 'info']);
});

test('doctor: a node of a mesh is asked for what it runs, and for the servers that it needs', async () => {
  const mesh = { MAILMESH_MONGO_URL: 'mongodb://127.0.0.1:1/x', MAILMESH_NATS_URL: 'nats://127.0.0.1:1' };
  const config = loadConfig({
    ...mesh,
    MAILMESH_SERVICES: 'pop3',
    MAILMESH_TLS_CERT: '/none',
    MAILMESH_TLS_KEY: '/none',
  });
  const names = (await checkPorts(config, false)).map(({ check }) => /\((\w+)\)/.exec(check)?.[1]);
  assert.deepEqual(names, ['pop3', 'pop3s', 'http', undefined]);
  assert.equal((await checkCertificate(config, 0))[0]!.status, 'fail');
  const filter = loadConfig({
    ...mesh,
    MAILMESH_ROLE: 'filter',
    MAILMESH_TLS_CERT: '/none',
    MAILMESH_TLS_KEY: '/none',
  });
  assert.equal((await checkCertificate(filter, 0))[0]!.status, 'info');
  const servers = await checkServers(config);
  assert.deepEqual(
    servers.map(({ check, status }) => [check, status]),
    [
      ['MongoDB', 'fail'],
      ['NATS', 'fail'],
    ],
  );
  for (const { detail } of servers) assert.match(detail, /^(MongoDB|NATS) at 127\.0\.0\.1:1\S* cannot be reached/);
  assert.deepEqual(await checkServers(loadConfig({})), []);
});

test('doctor: dates, names and key of a certificate', () => {
  const DAY = 86_400_000;
  const now = Date.UTC(2027, 0, 1);
  const pair = selfSigned('mx.example.org', ['localhost'], now);
  const [cert, key] = [Buffer.from(pair.cert), Buffer.from(pair.key)];
  const other = Buffer.from(selfSigned('x.example.org', [], now).key);
  const states = (...args: Parameters<typeof judgeCertificate>) =>
    Object.fromEntries(judgeCertificate(...args).map(({ check, status }) => [check, status]));
  const good = states(cert, key, 'mx.example.org', now + DAY);
  assert.deepEqual(good, { 'TLS dates': 'ok', 'TLS names': 'ok', 'TLS key': 'ok', 'TLS issuer': 'info' });
  assert.equal(states(cert, key, 'other.example.org', now + DAY)['TLS names'], 'fail');
  assert.equal(states(cert, other, 'mx.example.org', now + DAY)['TLS key'], 'fail');
  assert.equal(states(cert, key, 'mx.example.org', now + 100 * 365 * DAY)['TLS dates'], 'fail');
  assert.equal(states(cert, key, 'mx.example.org', now - 10 * DAY)['TLS dates'], 'fail');
  assert.deepEqual(states(Buffer.from('x'), key, 'a', now), { 'TLS certificate': 'fail' });
});

test('doctor: permissions and clock of the data folder', async () => {
  await withFolder(async (folder) => {
    const config = loadConfig({ MAILMESH_DATA_DIR: folder });
    const states = async (now: number) =>
      Object.fromEntries((await checkDataFolder(config, now)).map(({ check, status }) => [check, status]));
    await chmod(folder, 0o700);
    const now = Date.now();
    assert.deepEqual({ ...(await states(now)), disk: '' }, { permissions: 'ok', disk: '', clock: 'ok' });
    await chmod(folder, 0o755);
    assert.equal((await states(now)).permissions, 'fail');
    await writeFile(join(folder, 'x'), '');
    assert.equal((await states(now - 3_600_000)).clock, 'warn');
    assert.equal((await states(0)).clock, 'fail');
    const missing = loadConfig({ MAILMESH_DATA_DIR: join(folder, 'a', 'b') });
    assert.equal((await checkDataFolder(missing, now))[0]!.status, 'info');
  });
});

test('doctor: records to publish, and whether the world sees them', async () => {
  const config = loadConfig({
    MAILMESH_DOMAIN: 'example.org',
    MAILMESH_HOSTNAME: 'mx.example.org',
    MAILMESH_POP3S_PORT: 'off',
  });
  const records = wantedRecords(config);
  const find = (type: string, name = 'example.org') => records.find((one) => one.type === type && one.name === name)!;
  assert.equal(find('MX').value, '10 mx.example.org.');
  assert.equal(find('SRV', '_imaps._tcp.example.org').value, '0 1 2993 mx.example.org.');
  assert.equal(find('SRV', '_pop3s._tcp.example.org'), undefined);
  const none = () => Promise.reject(Object.assign(new Error(), { code: 'ENOTFOUND' }));
  const dns = {
    resolveMx: async () => [{ exchange: 'MX.example.org' }],
    resolveTxt: async () => [['google-site'], ['v=spf1 ', '-all']],
    resolveSrv: none,
    resolve4: none,
    resolve6: async () => ['2001:db8::1'],
  };
  const state = (type: string, name?: string) => publishedState(find(type, name), config, dns);
  assert.equal(await state('MX'), 'yes');
  assert.equal(await state('TXT'), 'yes');
  assert.equal(await state('TXT', '_dmarc.example.org'), 'no');
  assert.equal(await state('SRV', '_imaps._tcp.example.org'), 'no');
  assert.equal(await state('A/AAAA', 'mx.example.org'), 'yes');
  const other = { ...dns, resolveMx: async () => [{ exchange: 'mail.other.net' }] };
  assert.equal(await publishedState(find('MX'), config, other), 'other');
  const down = { ...dns, resolveMx: () => Promise.reject(Object.assign(new Error(), { code: 'ETIMEOUT' })) };
  assert.equal(await publishedState(find('MX'), config, down), 'unknown');
  assert.equal(await publishedState(find('MX'), loadConfig({}), down), 'local');
  assert.deepEqual(['mail.localhost', 'localhost', 'a.test', 'example.org', 'mylocal'].map(isLocalName), [
    ...[true, true, true, false, false],
  ]);
});
