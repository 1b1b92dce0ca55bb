/** The command's way to a running server (the control socket) or, without one, to a node of its own; bars and tables. */

import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { ControlClient, connect, listMessages } from '../../bin/client.ts';
import { CommandError } from '../../bin/errors.ts';
import { displayWidth, formatSize, formatSpan, printable } from '../../bin/format.ts';
import { Progress } from '../../bin/progress.ts';
import { facts, table } from '../../bin/table.ts';
import { loadConfig } from '../../core/config/load.ts';
import { controlPath } from '../../mixins/control-path.ts';
import { FakeNode, run } from './cli-fake.ts';

type Handler = (request: IncomingMessage, response: ServerResponse) => void;

async function withServer(handler: Handler, body: (dataDir: string) => Promise<void>): Promise<void> {
  const dataDir = await mkdtemp(join(tmpdir(), 'mailmesh-client-'));
  const server: Server = createServer(handler).listen(controlPath(dataDir));
  await once(server, 'listening');
  try {
    await body(dataDir);
  } finally {
    server.closeAllConnections();
    server.close();
    await rm(dataDir, { recursive: true });
  }
}

const clientOf = (dataDir: string): ControlClient => new ControlClient(controlPath(dataDir));

async function read(stream: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const pieces: Uint8Array[] = [];
  for await (const piece of stream) pieces.push(Buffer.from(piece));
  return Buffer.concat(pieces);
}

test('a call goes to the running server as JSON, and the node of this process is not started', async () => {
  const handler: Handler = async (request, response) => {
    if (request.url === '/control/ping') return void response.writeHead(404).end();
    assert.equal(`${request.method} ${request.url}`, 'POST /control/call');
    const asked = JSON.parse(String(await read(request))) as { action: string; params: unknown };
    assert.deepEqual(asked, { action: 'domain.get', params: { name: 'example.org' } });
    response.end(JSON.stringify({ result: { name: 'example.org', catchAll: null, createdAt: 0 } }));
  };
  await withServer(handler, async (dataDir) => {
    const node = new FakeNode();
    const ran = await run(node, ['domain', 'show', 'example.org', '--json'], {
      env: { MAILMESH_DATA_DIR: dataDir },
      start: () => assert.fail('started'),
    });
    assert.deepEqual([ran.code, ran.err], [0, '']);
    assert.equal((JSON.parse(ran.out) as { name: string }).name, 'example.org');
  });
});

test('without a server the node of this process works, and is stopped', async () => {
  const node = new FakeNode();
  const config = loadConfig({ MAILMESH_DATA_DIR: join(tmpdir(), 'mailmesh-none') });
  const client = await connect(config, async (given, options) => {
    assert.deepEqual([options.roles, given.logLevel], ['offline', 'warn']);
    return node;
  });
  assert.equal(client.running, false);
  await client.close();
  assert.equal(node.stopped, 1);
});

test('a socket that a killed server left is no server', async () => {
  await withServer(
    () => {},
    async (dataDir) => {
      const orphan = createServer().listen(join(dataDir, 'x.sock'));
      await once(orphan, 'listening');
      orphan.close();
      const client = await connect(
        loadConfig({ MAILMESH_DATA_DIR: join(dataDir, 'none') }),
        async () => new FakeNode(),
      );
      assert.equal(client.running, false);
    },
  );
});

test('a problem document becomes one line: its detail, else its title, else the status', async () => {
  const bodies = ['{"title":"Not Found","detail":"no account x"}', '{"title":"Not Found"}', 'oops', '{}'];
  const wanted = ['no account x', 'Not Found', 'the server answered 404: oops', 'the server answered 404'];
  let n = 0;
  await withServer(
    (_, response) => void response.writeHead(404, { 'content-type': 'application/problem+json' }).end(bodies[n]),
    async (dataDir) => {
      for (n = 0; n < bodies.length; n++)
        await assert.rejects(clientOf(dataDir).call('queue.depth', {}), (error: unknown) => {
          assert(error instanceof CommandError);
          assert.equal(error.message, wanted[n]);
          return true;
        });
    },
  );
});

test('a blob is streamed up, a message streamed down', async () => {
  const bytes = Buffer.alloc(3_000_000, 'mail');
  const handler: Handler = async (request, response) => {
    const url = new URL(request.url!, 'http://control');
    if (request.method === 'POST') {
      const body = await read(request);
      const blob = createHash('sha256').update(body).digest('hex');
      return void response.end(JSON.stringify({ blob, sizeBytes: body.length }));
    }
    assert.deepEqual(Object.fromEntries(url.searchParams), { account: 'a&b', mailbox: 'Été/x', uid: '7' });
    response.end(bytes);
  };
  await withServer(handler, async (dataDir) => {
    const client = clientOf(dataDir);
    async function* pieces(): AsyncGenerator<Uint8Array> {
      for (let at = 0; at < bytes.length; at += 100_000) yield bytes.subarray(at, at + 100_000);
    }
    const blob = createHash('sha256').update(bytes).digest('hex');
    assert.deepEqual(await client.putBlob(pieces()), { blob, sizeBytes: bytes.length });
    assert((await read(client.readMessage('a&b', 'Été/x', 7))).equals(bytes));
  });
});

test('a refusal while the blob is still being sent is what is told', async () => {
  const handler: Handler = (request, response) => {
    request.once('data', () => {
      response.writeHead(413).end('{"detail":"Message exceeds the size limit"}', () => request.destroy());
    });
  };
  await withServer(handler, async (dataDir) => {
    async function* endless(): AsyncGenerator<Uint8Array> {
      for (let i = 0; i < 2000; i++) yield Buffer.alloc(65_536);
    }
    await assert.rejects(clientOf(dataDir).putBlob(endless()), /Message exceeds the size limit/);
  });
});

test('a source that fails while it is sent is told, and a server that dies while it answers too', async () => {
  await withServer(
    (request, response) => {
      if (request.method === 'POST') return void request.resume();
      response.writeHead(200, { 'content-length': '100' });
      response.write('half');
      setImmediate(() => response.destroy());
    },
    async (dataDir) => {
      async function* broken(): AsyncGenerator<Uint8Array> {
        yield Buffer.alloc(10);
        throw new Error('disk gone');
      }
      await assert.rejects(clientOf(dataDir).putBlob(broken()), /disk gone/);
      await assert.rejects(read(clientOf(dataDir).readMessage('a', 'INBOX', 1)), /aborted|broke/);
    },
  );
});

test('a server that is killed while it works is told of in words', async () => {
  const handler: Handler = (request, response) => {
    if (request.url === '/control/ping') return void response.writeHead(404).end();
    request.socket.destroy();
  };
  await withServer(handler, async (dataDir) => {
    const ran = await run(new FakeNode(), ['migrate'], { env: { MAILMESH_DATA_DIR: dataDir } });
    assert.deepEqual([ran.code, ran.err], [1, 'mailmesh: the server ended before it answered\n']);
  });
});

test('all pages of a mailbox are listed', async () => {
  const node = new FakeNode();
  for (let uid = 1; uid <= 5; uid++) {
    const { blob } = await node.putBlob([Buffer.from(String(uid))] as unknown as AsyncIterable<Uint8Array>);
    node.mailboxes.get('INBOX')!.push({ uid, blob, flags: [], internalDate: null });
  }
  const client = await connect(loadConfig({ MAILMESH_DATA_DIR: join(tmpdir(), 'mailmesh-none') }), async () => node);
  const uids: number[] = [];
  for await (const { uid } of listMessages(client, 'alice-id', 'INBOX')) uids.push(uid);
  assert.deepEqual(uids, [5, 4, 3, 2, 1]);
});

test('what no node of the mesh does is done by the command itself; on one machine it is told', async () => {
  const handler: Handler = (request, response) => {
    if (request.url === '/control/ping') return void response.writeHead(404).end();
    response.writeHead(421).end(JSON.stringify({ title: 'no node that is up does nodes.list' }));
  };
  await withServer(handler, async (dataDir) => {
    const machine = { MAILMESH_DATA_DIR: dataDir };
    const mesh = { ...machine, MAILMESH_MONGO_URL: 'mongodb://unused', MAILMESH_NATS_URL: 'nats://unused' };
    const node = new FakeNode();
    node.answers = { 'nodes.list': () => ({ items: [], cursor: null }) };
    const done = await run(node, ['nodes', '--json'], { env: mesh });
    assert.deepEqual([done.code, done.out, done.err, node.stopped], [0, '[]\n', '', 1]);
    const told = await run(node, ['nodes'], { env: machine, start: () => assert.fail('started') });
    assert.deepEqual([told.code, told.err], [1, 'mailmesh: no node that is up does nodes.list\n']);
  });
});

test("the control socket's name fits into a socket address, however deep the data folder", () => {
  assert.equal(controlPath('/srv/mail'), '/srv/mail/control.sock');
  const deep = controlPath(`/srv/${'x'.repeat(200)}`);
  assert(Buffer.byteLength(deep) <= 103, deep);
  assert.notEqual(deep, controlPath(`/srv/${'x'.repeat(201)}`));
});

test('the bar shows share, rate and time left; without a terminal there is a line every 5 s', () => {
  let now = 0;
  let written = '';
  const total = { unit: 'bytes', count: 1000, done: 200 } as const;
  const make = (isTTY: boolean) =>
    new Progress({
      label: 'Importing',
      total,
      now: () => now,
      stream: {
        isTTY,
        write: (text: string) => {
          written += text;
        },
      },
    });
  const bar = make(true);
  now = 2000;
  bar.add(4, 400);
  assert.equal(written, '\r\u001b[KImporting: [##############..........] 60 %, 4 messages, 400 B, 2/s, 2s left');
  written = '';
  assert.equal(bar.end(), 2000);
  assert.equal(written, '\r\u001b[K');

  [written, now] = ['', 0];
  const plain = make(false);
  for (now = 0; now <= 12_000; now += 1000) plain.add(1, 10);
  assert.equal(written.split('\n').length, 3);
  assert.match(written, /^Importing: 26 %, 6 messages, 60 B, 1\/s, 1m 2s left\n/);
});

test('tables keep to one line a row, are aligned for wide characters and let no control through', () => {
  assert.equal(
    table(
      ['name', 'n'],
      [
        ['日本', 5],
        ['a\u001b[2J\nb', 10],
        [null, 0],
      ],
    ),
    ['NAME      N', '日本      5', 'a\ufffd[2J\ufffdb  10', '-         0'].join('\n'),
  );
  assert.equal(table(['a'], []), 'A');
  assert.equal(
    facts([
      ['x', true],
      ['long', ''],
    ]),
    'x     yes\nlong  -',
  );
  assert.equal(displayWidth('e\u0301한'), 3);
  assert.equal(printable('a\u202eb\u0000'), 'a\ufffdb\ufffd');
});

test('sizes and spans for people', () => {
  assert.deepEqual([0, 1023, 1536, 150 * 1024, 5 * 2 ** 30].map(formatSize), [
    '0 B',
    '1023 B',
    '1.5 KiB',
    '150 KiB',
    '5.0 GiB',
  ]);
  assert.deepEqual([5, 999, 1000, 61_000, 3_600_000, 90_061_000].map(formatSpan), [
    '5ms',
    '999ms',
    '1s',
    '1m 1s',
    '1h',
    '1d 1h',
  ]);
});
