/**
 * Stores as a release left them: a scenario of everything that is kept, made once by that release and then recorded, and what
 * every later program must still find in it and do with it. A node that runs all services is asked, so what is read is what
 * users and operators would see.
 */

import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { createReadStream, globSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { createTransport } from 'nodemailer';
import { loadConfig } from '../../core/config/load.ts';
import type { QueueId } from '../../core/mail/ids.ts';
import { type Artefact, decodeArtefact, encodeArtefact } from '../../core/spam/artefact.ts';
import { noSquares } from '../../core/spam/learner.ts';
import { Weights } from '../../core/spam/model.ts';
import type { Result } from '../../mixins/contracts.ts';
import { type Node, startNode } from '../../mixins/node.ts';
import { seedModel } from '../../mixins/seed-model.ts';
import type { Stores } from '../../mixins/stores.ts';
import { verdict } from '../contract/queue-fixture.ts';
import { eventually, fetchSource, imapClient } from './clients.ts';
import { rest } from './rest.ts';
import type { Login, Server } from './server.ts';

interface Message {
  readonly account: string;
  readonly mailbox: string;
  readonly uid: number;
  readonly flags: readonly string[];
  readonly sha256: string;
}

/** What was found when it was recorded. */
export interface Expected {
  readonly logins: readonly Login[];
  readonly key: string;
  readonly messages: readonly Message[];
  readonly search: { readonly query: string; readonly found: readonly string[]; readonly indexed: number };
  readonly labels: readonly string[];
  readonly models: readonly string[];
  /** Message-IDs of what was under way. */
  readonly open: readonly string[];
  readonly dead: { readonly id: QueueId; readonly messageId: string };
  readonly refused: QueueId;
}

const FOLDER = join(import.meta.dirname, '..', 'recorded');

/** Files of the recorded stores of one kind, of each format that there was; that of `RECORD` included. */
export function recordings(kind: 'mesh' | 'machine'): readonly string[] {
  const names = globSync(`${kind}-*.jsonl`, { cwd: FOLDER });
  const asked = process.env.RECORD === undefined ? [] : [`${kind}-${process.env.RECORD}.jsonl`];
  return [...new Set([...names, ...asked])].sort().map((name) => join(FOLDER, name));
}

/** Whether this file is to be made, and not only read. */
export const isToBeMade = (file: string): boolean => file.endsWith(`-${process.env.RECORD}.jsonl`);

export async function* linesOf<T>(file: string): AsyncGenerator<T> {
  for await (const line of createInterface({ input: createReadStream(file) })) yield JSON.parse(line) as T;
}

type Environment = Readonly<Record<string, string>>;

export interface RecordedWorld {
  /** Options of its nodes. */
  readonly environment: Environment;
  open(): Promise<Stores>;
}

const OFF = ['SUBMISSION', 'SUBMISSIONS', 'LMTP', 'IMAPS', 'POP3', 'POP3S'];
const OPTIONS: Environment = {
  ...Object.fromEntries(OFF.map((name) => [`MAILMESH_${name}_PORT`, 'off'])),
  ...Object.fromEntries(['SMTP', 'IMAP', 'HTTP'].map((name) => [`MAILMESH_${name}_PORT`, '0'])),
  ...{ MAILMESH_INSECURE_AUTH: 'true', MAILMESH_LOG_LEVEL: 'silent', MAILMESH_DRAIN_TIMEOUT_MS: '2s' },
};
/** Messages wait behind the first stage. */
const HALF = 'mailbox,smtp,authentication,message,folder,account';
const WORD = 'pelargoniums';
const UNDER_WAY = 5;
const MESSAGES = 7;

const sha256 = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');

async function start(world: RecordedWorld, more: Environment = {}): Promise<Node> {
  const config = loadConfig({ ...OPTIONS, ...world.environment, ...more });
  return startNode(config, { roles: 'all', stores: await world.open() });
}

const serverOf = (node: Node) =>
  ({ ports: Object.fromEntries(node.listeners.map(({ name, port }) => [name, port])) }) as unknown as Server;

function raw(id: string, subject: string, body: string): string {
  const head = ['From: Carol <carol@client.example>', 'To: alice@mail.localhost', `Subject: ${subject}`];
  return [...head, `Message-ID: <${id}@client.example>`, 'Date: Tue, 24 Nov 2026 10:00:00 +0000', body].join('\r\n');
}

/** @param bytes of the attachment, the same for each `name` */
function withAttachment(id: string, name: string, bytes: number): string {
  const blocks = Array.from({ length: Math.ceil(bytes / 64) }, (_, n) =>
    createHash('sha512').update(`${name} ${n}`).digest(),
  );
  const lines = Buffer.concat(blocks)
    .subarray(0, bytes)
    .toString('base64')
    .match(/.{1,76}/g)!;
  return raw(
    id,
    `with ${name}`,
    [
      ...['MIME-Version: 1.0', 'Content-Type: multipart/mixed; boundary=b', '', '--b', 'Content-Type: text/plain', ''],
      ...['See there.', '--b', `Content-Type: application/octet-stream; name=${name}`],
      ...['Content-Transfer-Encoding: base64', '', ...lines, '--b--', ''],
    ].join('\r\n'),
  );
}

const text = (id: string, subject: string, body: string): string => raw(id, subject, `\r\n${body}\r\n`);

async function send(node: Node, to: string, message: string): Promise<void> {
  const transport = createTransport({
    host: '127.0.0.1',
    port: serverOf(node).ports.smtp!,
    tls: { rejectUnauthorized: false },
  });
  await transport.sendMail({ envelope: { from: 'carol@client.example', to: [to] }, raw: message });
  transport.close();
}

async function append(node: Node, account: string, mailbox: string, message: string, flags: readonly string[]) {
  const bytes = Buffer.from(message, 'latin1');
  const { blob, sizeBytes } = await node.putBlob(
    (async function* () {
      yield bytes;
    })(),
  );
  const dedupe = `recorded ${sha256(bytes)}`;
  return node.call('message.append', { account, mailbox, blob, sizeBytes, flags, dedupe, internalDate: 1_700_000_000 });
}

type Summary = Result<'message.list'>['items'][number];

async function listed(node: Node, logins: readonly Login[]): Promise<(Summary & { readonly account: string })[]> {
  const all: (Summary & { account: string })[] = [];
  for (const { address: account } of logins)
    for (const { name } of (await node.call('folder.list', { account })).items)
      for (const item of (await node.call('message.list', { account, mailbox: name, limit: 1000 })).items)
        all.push({ ...item, account });
  return all;
}

async function bytesOf(
  node: Node,
  { account, mailbox, uid }: Pick<Message, 'account' | 'mailbox' | 'uid'>,
): Promise<Buffer> {
  const pieces: Uint8Array[] = [];
  for await (const piece of node.readMessage(account, mailbox, uid)) pieces.push(piece);
  return Buffer.concat(pieces);
}

const found = async (node: Node, account: string): Promise<readonly string[]> => {
  const { items } = await node.call('message.search', { account, query: WORD });
  return items.map(({ messageId }) => messageId).sort();
};

/** A model of few weights, which is small. */
async function smallModel(parent: Artefact['parent'], bias: number): Promise<Uint8Array> {
  const { artefact: seed } = await seedModel();
  const weights = new Weights();
  weights.biases.fill(bias);
  for (const group of weights.groups) group[7] = 0.25;
  return encodeArtefact({ ...seed, squares: noSquares(), weights, parent, trainedTo: 0 });
}

async function putModels({ models }: Stores): Promise<void> {
  const at = Date.now();
  const bytes = await smallModel(null, -1);
  const info = {
    parent: null,
    schema: decodeArtefact(bytes).schema,
    trainedTo: 0,
    createdAt: at,
    metrics: { auc: 0.5 },
  };
  const first = await models.put(bytes, info);
  await models.activate(first.id, 'operator', 'recorded', at);
  const second = await models.put(await smallModel(first.id, -2), { ...info, parent: first.id });
  await models.reject(second.id, 'gate', 'no better', at);
}

const modelsOf = async (node: Node): Promise<readonly string[]> =>
  (await node.call('model.list', {})).items.map(
    ({ id, version, state, parent }) => `${version} ${id} ${state} ${parent}`,
  );

const labelsOf = async (node: Node): Promise<readonly string[]> =>
  (await node.call('model.labels', {})).items.map(({ key, label }) => `${key} ${label}`).sort();

/**
 * Makes it all, in empty stores.
 * @param largeBytes of the largest attachment
 * @param beforeEnd called while the second node still runs, with what is expected
 */
export async function makeRecorded(
  world: RecordedWorld,
  largeBytes: number,
  beforeEnd: (expected: Expected) => Promise<void>,
): Promise<Expected> {
  const empty = await world.open();
  await putModels(empty);
  await empty.close();
  const whole = await start(world);
  const logins = whole.firstStart!.accounts;
  const [alice, bob] = logins.map(({ address }) => address) as [string, string];
  await whole.call('alias.create', { address: 'team@mail.localhost', accounts: [alice, bob] });
  const { secret: key } = await whole.call('apikey.create', { name: 'recorded', scope: 'read' });
  await whole.call('folder.create', { account: alice, name: 'Projects/Työ' });
  await append(whole, alice, 'INBOX', text('plain', 'plain', `Water the ${WORD} & the \xc3\xa4pfel.\r\n.dot\r\n\r\n`), [
    '\\Seen',
  ]);
  await append(whole, alice, 'Projects/Työ', withAttachment('kept', 'shared.bin', 6_000), ['\\Flagged', '$Work']);
  await append(whole, alice, 'Projects/Työ', withAttachment('large', 'large.bin', largeBytes), []);
  await append(whole, bob, 'INBOX', 'Subject: bare line ends\n\nno CR\n\x00\xff end', ['\\Answered']);
  await send(whole, 'team@mail.localhost', withAttachment('sent', 'shared.bin', 6_000));
  await send(whole, alice, text('spam', 'cheap pills', 'cheap pills online'));
  const both = async () => ((await listed(whole, logins)).length === MESSAGES ? true : undefined);
  await eventually('the messages that were sent', both);
  const find = async (node: Node, messageId: string) =>
    (await listed(node, logins)).find(
      (one) => one.account === alice && one.messageId === `<${messageId}@client.example>`,
    )!;
  const mark = async (node: Node, messageId: string) => {
    const { mailbox, uid } = await find(node, messageId);
    await node.call('message.label', { account: alice, mailbox, uid, label: mailbox === 'Junk' ? 'ham' : 'spam' });
  };
  await mark(whole, 'spam');
  const labels = await eventually('a label', async () => {
    const all = await labelsOf(whole);
    return all.length > 0 ? all : undefined;
  });
  const indexed = await eventually('an index of all messages', async () => {
    const { searchDocuments = 0 } = await whole.call('maintenance.stats', {});
    return searchDocuments >= MESSAGES ? searchDocuments : undefined;
  });
  const hits = await found(whole, alice);
  assert.deepEqual(hits, ['<plain@client.example>']);
  const models = await modelsOf(whole);
  await whole.stop();

  const half = await start(world, { MAILMESH_SERVICES: HALF });
  const { queue } = half.context.stores;
  const underWay: string[] = [];
  for (let n = 1; n <= UNDER_WAY; n++) {
    underWay.push(`<open-${n}@client.example>`);
    await send(half, n % 2 === 0 ? 'team@mail.localhost' : alice, text(`open-${n}`, `open ${n}`, `text ${n}`));
  }
  await assert.rejects(send(half, 'nobody@mail.localhost', text('nobody', 'x', 'x')));
  // Nobody takes it up: it stays in the outbox.
  await mark(half, 'plain');
  await eventually('messages behind the first stage', async () => {
    const records = await queue.list({ states: ['queued'], limit: 100 });
    const isBehind = records.every(({ jobs }) =>
      jobs.some(({ stage, state }) => stage === 'authentication' && state === 'done'),
    );
    return isBehind ? true : undefined;
  });
  const now = Date.now();
  const jobs = await queue.claim('attachments', { max: UNDER_WAY - 1, leaseMs: 2_000, now });
  assert.equal(jobs.length, UNDER_WAY - 1);
  await queue.fail(jobs[1]!, 'no answer', now + 1_000);
  await queue.fail(jobs[2]!, 'not to be read', null);
  await queue.settle(jobs[3]!, verdict('attachments'));
  const [refused] = await queue.list({ states: ['refused'], limit: 10 });
  const messages: Message[] = [];
  for (const { account, mailbox, uid, flags } of await listed(half, logins))
    messages.push({
      account,
      mailbox,
      uid,
      flags: [...flags].sort(),
      sha256: sha256(await bytesOf(half, { account, mailbox, uid })),
    });
  const { messageId } = jobs[2]!.message;
  const expected: Expected = {
    ...{ logins, key, messages, labels, models, refused: refused!.queueId },
    search: { query: WORD, found: hits, indexed },
    open: underWay.filter((id) => id !== messageId),
    dead: { id: jobs[2]!.queueId, messageId },
  };
  await beforeEnd(expected);
  await half.stop();
  return expected;
}

/** Starts a node on what was recorded, and holds against `expected` what it does. */
export async function checkRecorded(
  world: RecordedWorld,
  expected: Expected,
  started: (node: Node) => Promise<void> = async () => {},
) {
  const node = await start(world);
  try {
    await started(node);
    assert.equal(node.firstStart, null);
    assert.ok((await node.call('maintenance.stats', {})).searchDocuments! >= expected.search.indexed);
    const { logins, messages } = expected;
    const [alice] = logins as readonly [Login, ...Login[]];
    const before = await listed(node, logins);
    for (const message of messages) {
      assert.equal(sha256(await bytesOf(node, message)), message.sha256, `${message.mailbox} ${message.uid}`);
      const one = before.find(
        ({ account, mailbox, uid }) =>
          account === message.account && mailbox === message.mailbox && uid === message.uid,
      );
      assert.deepEqual([...(one?.flags ?? [])].sort(), message.flags);
    }
    const client = await imapClient(serverOf(node), alice, { plain: true });
    for (const { account, mailbox, uid, sha256: hash } of messages)
      if (account === alice.address) assert.equal(sha256(await fetchSource(client, mailbox, uid)), hash);
    client.close();
    assert.equal((await rest(serverOf(node), '/v1/accounts', { key: expected.key })).status, 200);
    assert.deepEqual(await found(node, alice.address), expected.search.found);
    assert.deepEqual(await modelsOf(node), expected.models);
    const active = expected.models.find((one) => one.includes(' active '))!;
    assert.equal(active.split(' ')[1], (await node.call('spam.running', {})).model);

    const copies = async (id: string): Promise<number> =>
      (await listed(node, logins)).filter((one) => one.account === alice.address && one.messageId === id).length;
    const allThere = async (ids: readonly string[]) => {
      for (const id of ids)
        await eventually(`${id} delivered`, async () => ((await copies(id)) > 0 ? true : undefined));
    };
    await allThere(expected.open);
    assert.equal(await copies(expected.dead.messageId), 0);
    assert.equal((await node.call('queue.show', { id: expected.dead.id })).state, 'dead');
    assert.equal((await node.call('queue.show', { id: expected.refused })).state, 'refused');
    await node.call('queue.retry', { id: expected.dead.id });
    await allThere([expected.dead.messageId]);
    // What the outbox held is labelled too.
    const labels = await eventually('the label of the outbox', async () => {
      const all = await labelsOf(node);
      return all.length > expected.labels.length ? all : undefined;
    });
    for (const label of expected.labels) assert.ok(labels.includes(label), label);
    assert.equal(labels.length, expected.labels.length + 1);
    await eventually('an empty queue', async () =>
      (await node.context.stores.queue.list({ states: ['queued', 'dead'], limit: 1 })).length === 0 ? true : undefined,
    );
    for (const id of [...expected.open, expected.dead.messageId]) assert.equal(await copies(id), 1, id);
    const { damage } = await node.call('maintenance.verify', { repair: false });
    assert.deepEqual(damage, []);
  } finally {
    await node.stop();
  }
}
