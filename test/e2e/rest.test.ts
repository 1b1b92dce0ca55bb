/** The REST API is what its own OpenAPI document says: routes, keys and scopes, answers, problems, pages, repeated requests. */

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { mailmeshJson } from '../support/cli.ts';
import { arrived, eventually, fetchSource, withImap } from '../support/clients.ts';
import { type Schema, schemaErrors } from '../support/json-schema.ts';
import { LineClient } from '../support/line-client.ts';
import { type Answer, type RestRequest, rest } from '../support/rest.ts';
import { type Login, newDataDir, removeDataDir, type Server, startServer } from '../support/server.ts';

interface Parameter {
  readonly name: string;
  readonly in: 'path' | 'query' | 'header';
  readonly required: boolean;
  readonly schema: Schema;
}
interface Operation {
  readonly operationId?: string;
  readonly security: readonly { readonly apiKey?: readonly string[] }[];
  readonly parameters?: readonly Parameter[];
  readonly responses: Readonly<Record<string, { readonly content?: Readonly<Record<string, { schema?: Schema }>> }>>;
}
interface Document {
  readonly openapi: string;
  readonly info: { readonly title: string; readonly version: string };
  readonly paths: Readonly<Record<string, Readonly<Record<string, Operation>>>>;
  readonly components: { readonly schemas: Readonly<Record<string, Schema>>; readonly securitySchemes: object };
}

interface AliasPage {
  readonly items: readonly { readonly address: string }[];
  readonly cursor: string | null;
}

const PROBLEM = { type: 'object', required: ['type', 'title', 'status'], additionalProperties: true } as const;

let dataDir: string;
let server: Server;
let alice: Login;
let document: Document;
let admin: string;
let reader: string;

const newKey = async (scope: string): Promise<string> =>
  (await mailmeshJson<{ secret: string }>(dataDir, ['apikey', 'create', scope, '--scope', scope])).secret;

before(async () => {
  dataDir = await newDataDir();
  server = await startServer(dataDir);
  alice = server.accounts[0]!;
  document = (await rest(server, '/openapi.json')).json<Document>();
  admin = await newKey('admin');
  reader = await newKey('read');
});
after(async () => {
  assert.equal(await server.stop(), 0);
  await removeDataDir(dataDir);
});

const call = (method: string, path: string, body?: object, more: RestRequest = {}): Promise<Answer> =>
  rest(server, path, { method, key: admin, ...(body === undefined ? {} : { body }), ...more });

/** The answer's problem, checked for its form. */
function problem(answer: Answer, status: number): Record<string, unknown> {
  assert.equal(answer.status, status, answer.body.toString());
  assert.equal(answer.type, 'application/problem+json');
  const said = answer.json();
  assert.deepEqual(schemaErrors(said, PROBLEM, document.components.schemas), []);
  assert.equal(said.status, status);
  assert.match(String(said.type), /^urn:mailmesh:problem:[a-z-]+$/);
  return said;
}

const operations = (): { method: string; path: string; operation: Operation }[] =>
  Object.entries(document.paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]) => ({ method: method.toUpperCase(), path, operation })),
  );

async function deliver(id: string): Promise<string> {
  const lmtp = await LineClient.open(server.ports.lmtp!);
  await lmtp.reply();
  await lmtp.smtp('LHLO client.example');
  await lmtp.smtp('MAIL FROM:<x@client.example>');
  await lmtp.smtp(`RCPT TO:<${alice.address}>`);
  await lmtp.smtp('DATA');
  const reply = await lmtp.smtp(
    `From: "X" <x@client.example>\r\nTo: ${alice.address}\r\nMessage-ID: ${id}\r\nSubject: =?utf-8?Q?Gr=C3=BC=C3=9Fe?=\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Type: text/plain\r\n\r\nneedle in the text\r\n--b\r\nContent-Type: application/pdf; name=a.pdf\r\nContent-Disposition: attachment; filename=a.pdf\r\n\r\n%PDF-1.4\r\n--b--\r\n.`,
  );
  lmtp.close();
  await withImap(server, alice, (imap) => arrived(imap, 'INBOX', id));
  return /Accepted ([0-9a-z]+)/.exec(reply)![1]!;
}

test('the document is a sound OpenAPI 3.1 description', async () => {
  assert.match(document.openapi, /^3\.1\.\d+$/);
  assert.ok(document.info.title !== '' && document.info.version !== '');
  const ids = operations().flatMap(({ operation }) => operation.operationId ?? []);
  assert.equal(new Set(ids).size, ids.length, 'each operationId once');
  assert.ok(ids.length > 30);
  for (const { method, path, operation } of operations()) {
    const name = `${method} ${path}`;
    const inPath = [...path.matchAll(/\{(\w+)\}/g)].map(([, one]) => one);
    const declared = (operation.parameters ?? []).filter((one) => one.in === 'path');
    assert.deepEqual(declared.map((one) => one.name).sort(), inPath.sort(), name);
    for (const one of declared) assert.equal(one.required, true, name);
    assert.ok(Array.isArray(operation.security), `${name} says which keys it takes`);
    assert.ok(Object.keys(operation.responses).length > 0, name);
    for (const { content } of Object.values(operation.responses))
      for (const { schema } of Object.values(content ?? {}))
        if (schema !== undefined)
          assert.doesNotMatch(
            schemaErrors(null, schema, document.components.schemas).join(),
            /not there|not checked/,
            name,
          );
  }
  const page = await rest(server, '/');
  assert.equal(page.type, 'text/html');
  for (const id of ids) assert.ok(page.body.includes(id) || page.body.includes(document.info.title), id);
});

test('every reading operation answers what it describes', { timeout: 60_000 }, async (t) => {
  const queueId = await deliver('<rest-1@client.example>');
  await deliver('<rest-2@client.example>');
  await call('POST', '/v1/aliases', { address: 'team@mail.localhost', accounts: [alice.address] });
  await withImap(server, alice, async (imap) => {
    const lock = await imap.getMailboxLock('INBOX');
    await imap.messageMove('2', 'Junk');
    lock.release();
  });
  await eventually('label', async () => {
    const { items } = (await call('GET', '/v1/labels')).json<{ items: unknown[] }>();
    return items.length > 0 ? true : undefined;
  });
  const values: Readonly<Record<string, string>> = {
    account: alice.address,
    mailbox: 'INBOX',
    uid: '1',
    address: 'team@mail.localhost',
    name: 'mail.localhost',
    model: '1',
    query: 'needle',
    'queue.show id': queueId,
    'trace.find id': '<rest-1@client.example>',
  };
  let checked = 0;
  for (const { method, path, operation } of operations()) {
    if (method !== 'GET' || operation.operationId === undefined) continue;
    const filledIn = (name: string): string => {
      const value = values[`${operation.operationId} ${name}`] ?? values[name];
      assert.notEqual(value, undefined, `this test has no ${name} for ${operation.operationId}`);
      return encodeURIComponent(value!);
    };
    const query = (operation.parameters ?? [])
      .filter((one) => one.in === 'query' && one.required)
      .map(({ name }) => `${name}=${filledIn(name)}`)
      .join('&');
    const filled = path.replace(/\{(\w+)\}/g, (_, name: string) => filledIn(name)) + (query === '' ? '' : `?${query}`);
    const key = operation.security[0]?.apiKey?.[0] === 'admin' ? admin : reader;
    const answer = await rest(server, filled, { key });
    assert.equal(answer.status, 200, `${filled}: ${answer.body}`);
    const content = operation.responses['200']!.content!;
    assert.ok(answer.type in content, `${filled} answers ${answer.type}`);
    const schema = content[answer.type]!.schema;
    if (schema === undefined) continue;
    const value = answer.json();
    assert.deepEqual(schemaErrors(value, schema, document.components.schemas), [], filled);
    if ('items' in value) assert.ok((value.items as unknown[]).length > 0, `${filled} has nothing to check`);
    checked++;
  }
  t.diagnostic(`${checked} operations`);
  assert.ok(checked >= 18);
});

test('what is made, changed and removed is described too', async () => {
  const responseOf = (method: string, path: string, status: string): Schema =>
    document.paths[path]![method.toLowerCase()]!.responses[status]!.content!['application/json']!.schema!;
  const cases: readonly (readonly [method: string, route: string, path: string, status: number, body?: object])[] = [
    ['POST', '/v1/domains', '/v1/domains', 201, { name: 'made.example' }],
    [
      'POST',
      '/v1/accounts',
      '/v1/accounts',
      201,
      { address: 'eve@made.example', password: 'a long password', quotaBytes: 1_000_000, quotaMessages: null },
    ],
    [
      'PATCH',
      '/v1/accounts/{account}',
      '/v1/accounts/eve@made.example',
      200,
      { quotaBytes: null, spam: { allow: ['@example.org'], block: [] } },
    ],
    [
      'PATCH',
      '/v1/domains/{name}',
      '/v1/domains/made.example',
      200,
      { name: 'made.example', catchAll: 'eve@made.example' },
    ],
    ['POST', '/v1/aliases', '/v1/aliases', 201, { address: 'all@made.example', accounts: ['eve@made.example'] }],
    [
      'PATCH',
      '/v1/aliases/{address}',
      '/v1/aliases/all@made.example',
      200,
      { accounts: ['eve@made.example', alice.address] },
    ],
    ['POST', '/v1/accounts/{account}/mailboxes', '/v1/accounts/eve@made.example/mailboxes', 201, { name: 'Made' }],
    ['POST', '/v1/apikeys', '/v1/apikeys', 201, { name: 'made', scope: 'read' }],
    ['POST', '/v1/maintenance/verify', '/v1/maintenance/verify', 200, { repair: false }],
    ['POST', '/v1/maintenance/collect', '/v1/maintenance/collect', 200],
    ['POST', '/v1/models-retrain', '/v1/models-retrain', 200, { who: 'test' }],
    ['POST', '/v1/models/{model}/activate', '/v1/models/1/activate', 200, { who: 'test', why: 'test' }],
    ['DELETE', '/v1/accounts/{account}/mailboxes/{mailbox}', '/v1/accounts/eve@made.example/mailboxes/Made', 200],
    ['DELETE', '/v1/aliases/{address}', '/v1/aliases/all@made.example', 200],
    ['PATCH', '/v1/domains/{name}', '/v1/domains/made.example', 200, { catchAll: null }],
    ['DELETE', '/v1/accounts/{account}', '/v1/accounts/eve@made.example', 200],
    ['DELETE', '/v1/domains/{name}', '/v1/domains/made.example', 200],
  ];
  for (const [method, route, path, status, body] of cases) {
    const given = body ?? (method === 'POST' ? {} : undefined);
    const answer = await call(method, path, given);
    assert.equal(answer.status, status, `${method} ${path}: ${answer.body}`);
    assert.deepEqual(
      schemaErrors(answer.json(), responseOf(method, route, String(status)), document.components.schemas),
      [],
      `${method} ${path}`,
    );
  }
});

test('without a key 401, with too small a one 403, on every route that wants one', async () => {
  for (const { method, path, operation } of operations()) {
    const scope = operation.security[0]?.apiKey?.[0];
    if (scope === undefined) {
      if (!path.includes('{')) assert.equal((await rest(server, path, { method })).status, 200, path);
      continue;
    }
    const filled = path.replace(/\{\w+\}/g, '1');
    const body = method === 'GET' || method === 'DELETE' ? {} : { body: {} };
    for (const key of [undefined, 'wrong', 'x'.repeat(300)]) {
      const answer = await rest(server, filled, { method, key, ...body });
      problem(answer, 401);
      assert.match(answer.headers.get('www-authenticate')!, /^Bearer/);
    }
    if (scope === 'admin') problem(await rest(server, filled, { method, key: reader, ...body }), 403);
  }
});

test('mistakes are told as RFC 9457 problems', async () => {
  problem(await call('GET', '/v1/nowhere'), 404);
  problem(await call('GET', '/v1/accounts/nobody@mail.localhost'), 404);
  problem(await call('GET', `/v1/accounts/${alice.address}/mailboxes/INBOX/messages/4000000000`), 404);
  problem(await call('GET', `/v1/accounts/${alice.address}/mailboxes/INBOX/messages/0`), 422);
  problem(await call('POST', '/v1/accounts', { address: 'not an address', password: 'x' }), 400);
  problem(await call('POST', '/v1/domains', { name: 'mail.localhost' }), 409);
  problem(await call('GET', '/v1/queue?limit=0'), 422);
  problem(await call('GET', '/v1/queue?limit=1000000'), 422);
  const strict = problem(await call('POST', '/v1/domains', { name: 'x.example', nmae: 1 }), 422);
  assert.match(JSON.stringify(strict.errors), /nmae/);
  const broken = await fetch(`http://127.0.0.1:${server.ports.http}/v1/domains`, {
    method: 'POST',
    headers: { authorization: `Bearer ${admin}`, 'content-type': 'application/json' },
    body: '{"name":',
  });
  assert.equal(broken.status, 400);
  assert.equal(broken.headers.get('content-type')!.split(';')[0], 'application/problem+json');
  const long = await call('POST', '/v1/domains', { name: 'x'.repeat(2_000_000) });
  problem(long, 413);
});

test('pages follow each other by cursor, without gaps and doubles', async () => {
  const names = Array.from({ length: 25 }, (_, i) => `page${String(i).padStart(2, '0')}@mail.localhost`);
  for (const address of names) await call('POST', '/v1/aliases', { address, accounts: [alice.address] });
  const seen: string[] = [];
  let cursor: string | null = null;
  let pages = 0;
  do {
    const path: string = `/v1/aliases?limit=7${cursor === null ? '' : `&cursor=${encodeURIComponent(cursor)}`}`;
    const page: AliasPage = (await call('GET', path)).json();
    assert.ok(page.items.length <= 7);
    seen.push(...page.items.map(({ address }) => address));
    cursor = page.cursor;
    pages++;
  } while (cursor !== null);
  assert.ok(pages >= 4);
  assert.equal(new Set(seen).size, seen.length);
  for (const name of names) assert.ok(seen.includes(name), name);
});

test('a request repeated with its Idempotency-Key makes one thing and gets one answer', async () => {
  const account = { address: 'once@mail.localhost', password: 'a long password' };
  const headers = { 'idempotency-key': 'key-1' };
  const answers = await Promise.all([1, 2, 3].map(() => call('POST', '/v1/accounts', account, { headers })));
  const made = answers.filter(({ status }) => status === 201);
  assert.ok(made.length >= 1);
  for (const { status } of answers) assert.ok(status === 201 || status === 409, String(status));
  const later = await call('POST', '/v1/accounts', account, { headers });
  assert.equal(later.status, 201);
  assert.deepEqual(later.json(), made[0]!.json());
  problem(await call('POST', '/v1/accounts', { ...account, address: 'other@mail.localhost' }, { headers }), 409);
  problem(await call('POST', '/v1/accounts', account), 409);
});

test('messages are put and read byte for byte', async () => {
  const bytes = Buffer.from([...Array(256).keys()].flatMap((i) => [i, i === 13 ? 10 : 65]));
  const message = Buffer.concat([Buffer.from('Subject: raw\r\nMessage-ID: <raw@client.example>\r\n\r\n'), bytes]);
  const box = `/v1/accounts/${alice.address}/mailboxes/Archive/messages`;
  const headers = { 'idempotency-key': 'raw-1' };
  const put = await rest(server, `${box}/raw`, { method: 'POST', key: admin, body: message, headers });
  assert.equal(put.status, 201, put.body.toString());
  const { uid } = put.json<{ uid: number }>();
  const again = await rest(server, `${box}/raw`, { method: 'POST', key: admin, body: message, headers });
  assert.deepEqual(again.json(), put.json());
  const got = await rest(server, `${box}/${uid}/raw`, { key: reader });
  assert.equal(got.type, 'message/rfc822');
  assert.ok(got.body.equals(message));
  await withImap(server, alice, async (imap) => assert.ok((await fetchSource(imap, 'Archive', uid)).equals(message)));
  const view = (await call('GET', `${box}/${uid}`)).json<{ subject: string; messageId: string }>();
  assert.deepEqual([view.subject, view.messageId], ['raw', '<raw@client.example>']);
  problem(
    await rest(server, `/v1/accounts/${alice.address}/mailboxes/Nowhere/messages/raw`, {
      method: 'POST',
      key: admin,
      body: message,
    }),
    404,
  );
  problem(await rest(server, `${box}/99/raw`, { key: reader }), 404);
});

test('a parsed view shows headers, text and attachments; a label by API moves the message', async () => {
  await deliver('<view@client.example>');
  const box = `/v1/accounts/${alice.address}/mailboxes`;
  const { items } = (await call('GET', `${box}/INBOX/messages`)).json<{
    items: { uid: number; messageId: string; subject: string }[];
  }>();
  const found = items.find(({ messageId }) => messageId === '<view@client.example>')!;
  assert.equal(found.subject, 'Grüße');
  const view = (await call('GET', `${box}/INBOX/messages/${found.uid}`)).json<{
    text: string;
    attachments: { filename: string; contentType: string }[];
  }>();
  assert.match(view.text, /needle in the text/);
  assert.deepEqual(
    view.attachments.map(({ filename, contentType }) => [filename, contentType]),
    [['a.pdf', 'application/pdf']],
  );
  const labelled = await call('POST', `${box}/INBOX/messages/${found.uid}/label`, { label: 'spam' });
  assert.equal(labelled.status, 200, labelled.body.toString());
  await withImap(server, alice, (imap) => arrived(imap, 'Junk', '<view@client.example>'));
  await eventually('label by API', async () => {
    const page = (await call('GET', `/v1/labels?account=${alice.address}`)).json<{ items: { source: string }[] }>();
    return page.items.some(({ source }) => source === 'api') ? true : undefined;
  });
});

test('health, readiness and metrics are there for probes without a key', async () => {
  for (const path of ['/healthz', '/readyz']) assert.equal((await rest(server, path)).status, 200);
  const metrics = await rest(server, '/metrics');
  assert.equal(metrics.type, 'text/plain');
  const lines = metrics.body.toString().trimEnd().split('\n');
  for (const line of lines) assert.match(line, /^(|#.*|[a-zA-Z_:][\w:]*(\{[^}]*\})? [-+.\w]+( \d+)?)$/);
  for (const name of [
    'messages_accepted_total',
    'deliveries_total',
    'stage_seconds_count',
    'queue_jobs',
    'queue_oldest_seconds',
    'connections',
    'store_bytes',
    'delivery_seconds_bucket',
  ])
    assert.ok(
      lines.some((line) => line.startsWith(`mailmesh_${name}`)),
      name,
    );
});
