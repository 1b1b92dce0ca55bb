/** The gateway against callers who do not keep to the rules, and its promises to those who do. */

import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { readdir, readFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { promisify } from 'node:util';
import { type Answer, type RestRequest, rest } from '../support/rest.ts';
import { newDataDir, removeDataDir, type Server, serverEnvironment, startServer } from '../support/server.ts';

const SIZE_BYTES_MAX = 64 * 1024;
const COMMAND = join(import.meta.dirname, '..', '..', 'bin', 'mailmesh.mjs');

let server: Server;
let admin: string;
let inbox: string;

const call = (path: string, request: RestRequest = {}): Promise<Answer> =>
  rest(server, path, { key: admin, ...request });
const post = (path: string, body: object, headers: Readonly<Record<string, string>> = {}): Promise<Answer> =>
  call(path, { method: 'POST', body, headers });

/** A request as it is written, for bodies that are no JSON of an object. */
async function postText(path: string, body: string, type = 'application/json'): Promise<Answer> {
  return call(path, { method: 'POST', body: Buffer.from(body), headers: { 'content-type': type } });
}

before(async () => {
  const dataDir = await newDataDir();
  server = await startServer(dataDir, { MAILMESH_SIZE_BYTES_MAX: String(SIZE_BYTES_MAX) });
  const made = await promisify(execFile)(
    process.execPath,
    [COMMAND, 'apikey', 'create', 'test', '--scope', 'admin', '--json'],
    { env: serverEnvironment(dataDir) },
  );
  admin = (JSON.parse(made.stdout) as { secret: string }).secret;
  inbox = `/v1/accounts/${server.accounts[0]!.address}/mailboxes/INBOX/messages`;
});

after(async () => {
  await server.kill();
  await removeDataDir(server.dataDir);
});

test('a message goes in and comes out byte for byte, once for each Idempotency-Key', async () => {
  const message = Buffer.from('Subject: raw\r\n\r\nb\xe9\0y\r\n', 'latin1');
  const put = (): Promise<Answer> =>
    call(`${inbox}/raw`, { method: 'POST', body: message, headers: { 'idempotency-key': 'one' } });
  const first = await put();
  assert.equal(first.status, 201);
  const { uid } = first.json<{ uid: number }>();
  assert.deepEqual((await put()).json(), first.json());
  const raw = await call(`${inbox}/${uid}/raw`);
  assert.equal(raw.type, 'message/rfc822');
  assert.deepEqual(raw.body, message);
});

test('a uid beyond 32 bits names no message', async () => {
  for (const uid of [2 ** 32 + 1, 'abc', -1, 1.5]) assert.equal((await call(`${inbox}/${uid}/raw`)).status, 404);
});

test('a message that is too big is told so, whether or not it says its size', async () => {
  const big = Buffer.alloc(SIZE_BYTES_MAX + 1, 'x');
  assert.equal((await call(`${inbox}/raw`, { method: 'POST', body: big })).status, 413);
  const unsaid = new ReadableStream({
    start(controller) {
      controller.enqueue(big);
      controller.close();
    },
  });
  const response = await fetch(`http://127.0.0.1:${server.ports.http}${inbox}/raw`, {
    method: 'POST',
    headers: { authorization: `Bearer ${admin}` },
    body: unsaid,
    duplex: 'half',
  } as RequestInit);
  assert.equal(response.status, 413);
});

test('bodies that are no JSON object, too deep or of another type are refused', async () => {
  const nested = '['.repeat(100_000);
  assert.equal((await postText('/v1/domains', '{"name":')).status, 400);
  assert.equal((await postText('/v1/domains', '[1]')).status, 400);
  assert.equal((await postText('/v1/domains', 'null')).status, 400);
  assert.equal((await postText('/v1/domains', `{"name":${nested}`)).status, 400);
  assert.equal((await postText('/v1/domains', '{"name":"a.example"}', 'text/plain')).status, 415);
  assert.equal((await postText('/v1/domains', JSON.stringify({ name: 'x'.repeat(1024 * 1024) }))).status, 413);
});

test('parameters can not come in by the back door of a prototype', async () => {
  const answer = await postText('/v1/domains', '{"__proto__":{"name":"proto.example"}}');
  assert.equal(answer.status, 422);
});

test('a key is asked for before the body is read', async () => {
  const answer = await rest(server, '/v1/domains', { method: 'POST', body: { name: 'a.example' } });
  assert.equal(answer.status, 401);
  const endless = connect(server.ports.http!, '127.0.0.1');
  endless.write(
    'POST /v1/domains HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 9999\r\n\r\n',
  );
  const [first] = await once(endless, 'data');
  assert.match(String(first), /^HTTP\/1\.1 401 /);
  endless.destroy();
});

test('a request that came to nothing leaves its Idempotency-Key free', async () => {
  const headers = { 'idempotency-key': 'free' };
  assert.equal((await post('/v1/domains', { name: 'bad..name' }, headers)).status, 400);
  assert.equal((await post('/v1/domains', { name: 'bad..name' }, headers)).status, 400);
  assert.equal((await post('/v1/domains', { name: 'good.example' }, headers)).status, 201);
  assert.equal((await post('/v1/domains', { name: 'other.example' }, headers)).status, 409);
});

test("a new key's secret is given once and kept nowhere", async () => {
  const headers = { 'idempotency-key': 'secret' };
  const made = await post('/v1/apikeys', { name: 'reader', scope: 'read' }, headers);
  const { secret } = made.json<{ secret: string }>();
  assert.match(secret, /^mm_/);
  const again = await post('/v1/apikeys', { name: 'reader', scope: 'read' }, headers);
  assert.equal(again.status, 409);
  for (const name of await readdir(server.dataDir))
    if (name.startsWith('directory.db'))
      assert.ok(!(await readFile(join(server.dataDir, name))).includes(secret), `${name} holds the secret`);
});

test('HEAD is GET without a body, and a preflight runs nothing', async () => {
  const head = await call('/healthz', { method: 'HEAD' });
  assert.equal(head.status, 200);
  assert.equal(head.body.length, 0);
  await post('/v1/domains', { name: 'kept.example' });
  const headers = { 'access-control-request-method': 'DELETE', origin: 'https://example.org' };
  const preflight = await call('/v1/domains/kept.example', { method: 'OPTIONS', headers });
  assert.equal(preflight.status, 204);
  assert.equal(preflight.headers.get('access-control-allow-origin'), null);
  assert.equal((await call('/v1/domains/kept.example')).status, 200);
});

test('another method than the path has is 405 and names those it has', async () => {
  const answer = await call('/v1/domains/good.example', { method: 'PUT' });
  assert.equal(answer.status, 405);
  assert.equal(answer.type, 'application/problem+json');
  assert.deepEqual(answer.headers.get('allow')!.split(', ').sort(), ['DELETE', 'GET', 'HEAD', 'OPTIONS', 'PATCH']);
});

test("no key reaches the machine's disk or the mesh's own actions", async () => {
  for (const path of ['/v1/maintenance/backup', '/mailbox/commit', '/gateway/addRoute', '/$node/list'])
    assert.equal((await post(path, { destination: '/tmp/x' })).status, 404, path);
});

test('a message that the parser gives up on is shown by its header', async () => {
  const parts = '--b\r\n\r\nx\r\n'.repeat(5_000);
  const message = `Subject: many\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n${parts}--b--\r\n`;
  const put = await call(`${inbox}/raw`, { method: 'POST', body: Buffer.from(message) });
  const shown = await call(`${inbox}/${put.json<{ uid: number }>().uid}`);
  assert.equal(shown.status, 200);
  assert.equal(shown.json<{ subject: string }>().subject, 'many');
});

test('a cursor that is none of ours is refused', async () => {
  const account = `/v1/accounts/${server.accounts[0]!.address}`;
  const paths = [`${inbox}?cursor=abc`, `${account}/search?query=x&cursor=abc`, '/v1/labels?cursor=1e9'];
  for (const path of paths) assert.equal((await call(path)).status, 400, path);
});
