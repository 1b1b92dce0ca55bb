/** The mailmesh command: arguments, help, exit codes, tables and JSON, against a node in memory. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { COMMANDS } from '../../bin/mailmesh.ts';
import type { DirectoryAccount } from '../../core/ports/directory.ts';
import type { MessageRecord } from '../../core/ports/queue.ts';
import type { AccountView } from '../../mixins/contracts.ts';
import { FakeNode, run } from './cli-fake.ts';

const alice = {
  id: 'alice-id' as DirectoryAccount['id'],
  address: 'alice@mail.localhost',
  enabled: true,
  quotaBytes: 5 * 2 ** 30,
  quotaMessages: null,
  createdAt: 1_790_000_000_000,
  rev: 1,
  spam: { allow: ['@good.example'], block: [] },
  usage: null,
} satisfies AccountView;

test('no command is a mistake, --help and --version are not', async () => {
  const node = new FakeNode();
  assert.equal((await run(node, [])).code, 2);
  assert.equal((await run(node, ['--help'])).code, 0);
  assert.match((await run(node, ['--version'])).out, /^\d+\.\d+\.\d+\n$/);
});

test('every command and every verb has help with at least one example that it accepts', async () => {
  const node = new FakeNode();
  for (const name of Object.keys(COMMANDS)) {
    const { command } = await COMMANDS[name]!.load();
    assert.equal(command.name, name);
    assert.equal((await run(node, [name, '--help'])).code, 0, name);
    for (const verb of command.verbs) {
      const { code, out } = await run(node, [name, ...(verb.name === '' ? [] : [verb.name]), '--help']);
      assert.equal(code, 0);
      assert(verb.examples.length > 0 && verb.examples.every((example) => example.includes(`mailmesh ${name}`)), out);
      assert.match(out, /Examples:\n {2}\S/);
    }
  }
  assert.deepEqual(node.calls, []);
});

test('unknown commands, verbs and options, and missing arguments are exit code 2 with one line', async () => {
  const node = new FakeNode();
  for (const [argv, wanted] of [
    [['acount', 'list'], /no command "acount"; account\?/],
    [['constructor'], /no command "constructor"/],
    [['account'], /account wants one of: add, list/],
    [['account', 'frobnicate'], /not "frobnicate"/],
    [['account', 'show'], /account show wants ADDRESS/],
    [['account', 'show', 'a', 'b'], /account show wants ADDRESS, not: a b/],
    [['account', 'list', '--frob'], /account list: .*--frob/],
    [['alias', 'add', 'a@b'], /wants ADDRESS ACCOUNT…/],
    [['account', 'add', 'a@b'], /--password-stdin/],
    [['account', 'set', 'a@b'], /name something to change/],
    [['account', 'set', 'a@b', '--quota', 'big'], /--quota: "big"/],
    [['apikey', 'create', '--scope', 'root'], /--scope admin or --scope read/],
    [['queue', 'list', '--state', 'lost'], /one of queued, done/],
    [['trace'], /trace wants ID/],
  ] as const) {
    const { code, out, err } = await run(node, argv);
    assert.equal(code, 2, argv.join(' '));
    assert.equal(out, '');
    assert.match(err, wanted);
    assert.match(err, /^mailmesh: [^\n]*\n$/);
  }
  assert.deepEqual(node.calls, []);
});

test('a wrong option of the server is told line by line before anything is opened', async () => {
  const { code, err } = await run(new FakeNode(), ['account', 'list'], {
    env: { MAILMESH_SMTP_PORT: 'x', MAILMESH_FOO: '1' },
  });
  assert.equal(code, 1);
  assert.match(err, /^mailmesh: MAILMESH_FOO: "1": .*\nmailmesh: MAILMESH_SMTP_PORT: "x": a port.*\n$/);
});

test('account add takes the first line of standard input as the password, and the quota', async () => {
  const node = new FakeNode();
  node.answers = { 'account.create': () => alice };
  const ran = await run(node, ['account', 'add', 'alice@mail.localhost', '--password-stdin', '--quota', '5G'], {
    stdin: 'pass word \nsecond line\n',
  });
  assert.deepEqual(ran, { code: 0, out: 'Added alice@mail.localhost (alice-id).\n', err: '' });
  assert.deepEqual(node.calls, [
    ['account.create', { address: 'alice@mail.localhost', password: 'pass word ', quotaBytes: 5 * 2 ** 30 }],
  ]);
  assert.equal(node.stopped, 1);
});

test('an empty password is refused', async () => {
  const node = new FakeNode();
  const { code, err } = await run(node, ['account', 'add', 'a@b', '--password-stdin'], { stdin: '\nx' });
  assert.equal(code, 2);
  assert.match(err, /holds no password/);
});

test('account list reads every page and prints a table, or JSON', async () => {
  const node = new FakeNode();
  node.answers = {
    'account.list': ({ cursor }) =>
      cursor === undefined
        ? { items: [alice], cursor: 'next' }
        : { items: [{ ...alice, address: 'bob@mail.localhost', enabled: false, quotaBytes: null }], cursor: null },
  };
  const { out } = await run(node, ['account', 'list']);
  assert.deepEqual(out.split('\n').slice(0, 3), [
    'ADDRESS               ENABLED  USED  MESSAGES  QUOTA    CREATED',
    'alice@mail.localhost  yes      -            0  5.0 GiB  2026-09-21 14:13:20',
    'bob@mail.localhost    no       -            0  none     2026-09-21 14:13:20',
  ]);
  const json = JSON.parse((await run(node, ['account', 'list', '--json'])).out) as AccountView[];
  assert.deepEqual(
    json.map(({ address }) => address),
    ['alice@mail.localhost', 'bob@mail.localhost'],
  );
});

test('account set changes only what is named', async () => {
  const node = new FakeNode();
  node.answers = { 'account.get': () => alice, 'account.update': () => alice };
  const set = async (...flags: string[]): Promise<unknown> => {
    node.calls.length = 0;
    assert.equal((await run(node, ['account', 'set', alice.address, ...flags], { stdin: 'new\n' })).code, 0);
    return node.calls.at(-1)![1];
  };
  const account = alice.address;
  assert.deepEqual(await set('--quota', 'none'), { account, quotaBytes: null });
  assert.deepEqual(await set('--disable'), { account, enabled: false });
  assert.deepEqual(await set('--password-stdin'), { account, password: 'new' });
  assert.deepEqual(await set('--block', 'X@Y.example, @z'), {
    account,
    spam: { allow: ['@good.example'], block: ['x@y.example', '@z'] },
  });
});

test('what the mesh refuses is one line and exit code 1, and the node is stopped', async () => {
  const node = new FakeNode();
  const { code, out, err } = await run(node, ['account', 'show', 'nobody@mail.localhost']);
  assert.deepEqual([code, out, err], [1, '', 'mailmesh: Not found (account nobody@mail.localhost)\n']);
  assert.equal(node.stopped, 1);
});

test('a fault of ours is shown with its stack and exit code 1', async () => {
  const node = new FakeNode();
  node.answers = {
    'domain.list': () => {
      throw new TypeError('boom');
    },
  };
  const { code, err } = await run(node, ['domain', 'list']);
  assert.equal(code, 1);
  assert.match(err, /please report it\nTypeError: boom\n {4}at /);
});

test('a data folder in use is one line', async () => {
  const start = async (): Promise<never> => {
    throw Object.assign(new Error('the data folder ./data is in use by another process'), { code: 'DATA_IN_USE' });
  };
  const ran = await run(new FakeNode(), ['account', 'list'], { start });
  assert.deepEqual([ran.code, ran.err], [1, 'mailmesh: the data folder ./data is in use by another process\n']);
});

test('domains, aliases, keys, models and the queue call their actions', async () => {
  const node = new FakeNode();
  const domain = { name: 'example.org', catchAll: null, createdAt: 0 };
  const alias = { address: 'team@example.org', accounts: [alice.id], createdAt: 0 };
  const model = {
    version: 3,
    id: 'f'.repeat(64),
    state: 'active',
    reason: 'x',
    createdAt: 0,
    sizeBytes: 1,
    metrics: {},
  };
  node.answers = {
    'domain.create': () => domain,
    'domain.update': () => domain,
    'domain.remove': () => ({ removed: true }),
    'alias.create': () => alias,
    'alias.update': () => alias,
    'alias.remove': () => ({ removed: true }),
    'apikey.create': () => ({ id: 'k', name: 'n', scope: 'read', createdAt: 0, revoked: false, secret: 's3cret' }),
    'apikey.revoke': () => ({ revoked: true }),
    'model.activate': () => model as never,
    'model.retrain': () => ({ model: null, outcome: 'nothing to learn' }),
    'queue.retry': () => ({ jobs: 2 }),
    'queue.drop': () => ({ dropped: true }),
  };
  const lines: string[] = [];
  for (const argv of [
    ['domain', 'add', 'example.org', '--catch-all', 'alice@mail.localhost'],
    ['domain', 'set', 'example.org', '--catch-all', 'none'],
    ['domain', 'remove', 'example.org'],
    ['alias', 'add', 'team@example.org', 'a@b', 'c@d'],
    ['alias', 'set', 'team@example.org', 'a@b'],
    ['alias', 'remove', 'team@example.org'],
    ['apikey', 'create', 'n', '--scope', 'read'],
    ['apikey', 'revoke', 'k'],
    ['model', 'activate', '3', '--why', 'because'],
    ['model', 'retrain'],
    ['queue', 'retry', 'q', '--stage', 'spam'],
    ['queue', 'drop', 'q'],
  ]) {
    const { code, out, err } = await run(node, argv);
    assert.equal(code, 0, `${argv.join(' ')}: ${err}`);
    lines.push(out);
  }
  const strip = ([action, params]: (typeof node.calls)[number]) => [action, { ...(params as object), who: undefined }];
  const who = undefined;
  // Asked for names to show only.
  const changes = node.calls.filter(([action]) => action !== 'account.get');
  assert.deepEqual(changes.map(strip), [
    ['domain.create', { name: 'example.org', who }],
    ['domain.update', { name: 'example.org', catchAll: 'alice@mail.localhost', who }],
    ['domain.update', { name: 'example.org', catchAll: null, who }],
    ['domain.remove', { name: 'example.org', who }],
    ['alias.create', { address: 'team@example.org', accounts: ['a@b', 'c@d'], who }],
    ['alias.update', { address: 'team@example.org', accounts: ['a@b'], who }],
    ['alias.remove', { address: 'team@example.org', who }],
    ['apikey.create', { name: 'n', scope: 'read', who }],
    ['apikey.revoke', { id: 'k', who }],
    ['model.activate', { model: '3', why: 'because', who }],
    ['model.retrain', { who }],
    ['queue.retry', { id: 'q', stage: 'spam', who }],
    ['queue.drop', { id: 'q', why: 'dropped by the operator', who }],
  ]);
  assert.match(lines[6]!, /secret +s3cret/);
  assert.equal(lines[10], '2 jobs made ready.\n');
});

test('verify ends with 1 while damage remains, and names it', async () => {
  const node = new FakeNode();
  const damage = (repaired: boolean) => ({ what: 'pack 3', detail: 'checksum at 100', repaired });
  for (const [damages, code] of [
    [[], 0],
    [[damage(true)], 0],
    [[damage(true), damage(false)], 1],
  ] as const) {
    node.answers = { 'maintenance.verify': () => ({ blobs: 10, damages }) };
    const ran = await run(node, ['verify']);
    assert.equal(ran.code, code);
    assert.match(ran.out, damages.length === 0 ? /blobs {2}10\nNo damage found/ : /pack 3 {2}checksum at 100/);
  }
});

const client = {
  session: 's1',
  address: '192.0.2.1',
  port: 5,
  helo: 'mx\u001b[31m.example',
  protocol: 'ESMTPS',
  tls: { version: 'TLSv1.3', cipher: 'x' },
  account: null,
  user: null,
};
const record = {
  queueId: 'q1',
  state: 'queued',
  accepted: {
    queueId: 'q1',
    acceptedAt: 1000,
    envelope: { sender: 'a@b', recipients: [{ address: 'alice@mail.localhost' }] },
    client,
    size: 2048,
    messageId: '<1@x>',
    subject: 'Hello',
  },
  refused: null,
  jobs: [
    { stage: 'spam', needs: [], state: 'waiting', attempts: 2, dueAt: 1_790_000_005_000, lastError: 'model gone' },
    { stage: 'placement', needs: ['spam'], state: 'blocked', attempts: 0, dueAt: 0, lastError: null },
  ],
  verdicts: {
    authentication: {
      stage: 'authentication',
      result: 'pass',
      score: null,
      reasons: ['SPF pass'],
      version: '7',
      durationMs: 12,
      at: 1500,
      skipped: false,
    },
  },
  deliveries: [
    { recipient: 'alice@mail.localhost', at: 2000, outcome: 'delivered', mailbox: 'INBOX', uid: 4, detail: '' },
  ],
  finishedAt: null,
} as unknown as MessageRecord;

test('trace shows the way step by step, without control characters of the mail', async () => {
  const node = new FakeNode();
  node.answers = { 'trace.find': () => ({ items: [record], cursor: null }) };
  const { out } = await run(node, ['trace', 'q1']);
  assert.deepEqual(out.split('\n'), [
    'q1: queued',
    '  1970-01-01 00:00:01  accepted',
    '                         from 192.0.2.1:5 as "mx\ufffd[31m.example" by ESMTPS, TLSv1.3 (session s1)',
    '                         sender <a@b>, recipients <alice@mail.localhost>',
    '                         2.0 KiB, Message-ID <1@x>, subject "Hello"',
    '  +500ms               authentication: pass',
    '                         SPF pass',
    '                         by 7 in 12ms',
    '  +1s                  delivered <alice@mail.localhost> into INBOX, uid 4',
    '  now                  spam waits until 2026-09-21 14:13:25 (5s), tried 2 times: model gone',
    '  now                  placement waits for spam',
    '',
  ]);
});

test('trace of an unknown message is exit code 1; queue list shows what is open and why', async () => {
  const node = new FakeNode();
  node.answers = {
    'trace.find': () => ({ items: [], cursor: null }),
    'queue.list': ({ state }) => ({ items: state === 'queued' ? [record] : [], cursor: null }),
    'queue.show': () => record,
  };
  assert.equal((await run(node, ['trace', 'x'])).code, 1);
  assert.match((await run(node, ['queue', 'list'])).out, /q1 .*spam waiting +2026-09-21 14:13:25 +model gone/);
  assert.match((await run(node, ['queue', 'show', 'q1'])).out, /placement waits for spam/);
});

test('nodes: what is wrong with the servers of the mesh is told below the table', async () => {
  const node = new FakeNode();
  const status = {
    ...{ id: 'core', host: 'h', version: '1', services: ['imap'], state: 'ready' as const, waitingFor: [], upMs: 1000 },
    ...{ cpu: 0, memoryBytes: 1, connections: 0, leases: 0, model: 1, format: 1, trouble: null },
  };
  const trouble = 'NATS at nats:4222 is away';
  node.answers = { 'nodes.list': () => ({ items: [status, { ...status, id: 'edge', trouble }], cursor: null }) };
  const { code, out } = await run(node, ['nodes']);
  assert.equal(code, 0);
  assert.match(out, /^core +ready +1 /m);
  assert.match(out, /^edge +ready \* +1 /m);
  assert.ok(out.endsWith(`\n* edge: ${trouble}\n`), out);
});
