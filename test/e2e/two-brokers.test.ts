/** Two nodes with a transporter between them: actions, errors and hints cross it, and nothing relies on shared objects. */

import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { after, before, test } from 'node:test';
import { Errors, ServiceBroker, type ServiceSchema } from 'moleculer';
import { loadConfig } from '../../core/config/load.ts';
import { deliveryPlan } from '../../core/filter/stages.ts';
import { ClientError, Fault, Fenced, MailError, TemporaryError } from '../../core/mail/errors.ts';
import type { MailboxHint } from '../../core/mail/hints.ts';
import { type AccountId, type MailboxId, queueId, type SessionId } from '../../core/mail/ids.ts';
import { readLayout } from '../../core/mail/layout.ts';
import { Throttle } from '../../core/sasl/throttle.ts';
import { DirectoryAuthenticator } from '../../mixins/authenticator.ts';
import { attachContext, type NodeContext } from '../../mixins/context.ts';
import { type ActionName, call, type Params, type Result } from '../../mixins/contracts.ts';
import { HintHub } from '../../mixins/hint-hub.ts';
import { MAILBOX_CHANGED } from '../../mixins/hints.ts';
import { createLog } from '../../mixins/log.ts';
import { Mesh } from '../../mixins/mesh.ts';
import { createMetrics } from '../../mixins/metrics.ts';
import { Intake } from '../../mixins/pace.ts';
import { Readiness } from '../../mixins/readiness.ts';
import { openStores, type Stores } from '../../mixins/storage.ts';
import { storeBlob } from '../../mixins/store-blob.ts';
import { TlsKeeper } from '../../mixins/tls-keeper.ts';
import { brokerOptions } from '../../moleculer.config.ts';
import { contentInput, uids } from '../contract/mail-store-fixtures.ts';
import { eventually } from '../support/clients.ts';
import { newDataDir, removeDataDir } from '../support/server.ts';

const OWNERS = ['hints', 'mailbox', 'domain', 'account', 'folder', 'message', 'alias', 'queue', 'model', 'trainer'];
const FILTERS = ['hints', 'authentication', 'attachments', 'spam', 'placement', 'delivery'];

const failing: ServiceSchema = {
  name: 'failing',
  actions: {
    client: () => Promise.reject(new ClientError('overQuota', { account: 'a', bytes: 7 })),
    temporary: () => Promise.reject(new TemporaryError('diskFull')),
    fenced: () => Promise.reject(new Fenced({ epoch: 3 })),
    fault: () => Promise.reject(new Fault('a bug of ours', { at: 'here' })),
    plain: () => Promise.reject(new TypeError('x is not a function')),
  },
};

let dataDir: string;
let stores: Stores;
/** Has the accounts. */
let near: ServiceBroker;
/** Has the filters, and asks. */
let far: ServiceBroker;
let farContext: NodeContext;

async function node(name: string, services: readonly string[], more: readonly ServiceSchema[] = []) {
  const config = loadConfig({ MAILMESH_DATA_DIR: dataDir, MAILMESH_LOG_LEVEL: 'silent' });
  const metrics = createMetrics();
  const log = createLog(config);
  // The others' packets come by a transporter of the broker's own; hints are its events then.
  const broker = new ServiceBroker({ ...brokerOptions(config, name, null), transporter: 'Fake' });
  const context: NodeContext = {
    config,
    version: '0',
    stores,
    log,
    metrics,
    hints: new HintHub(() => undefined),
    hintBus: null,
    mesh: new Mesh(broker, { connected: null }),
    services: [],
    api: [],
    intake: new Intake(),
    tls: new TlsKeeper(config, () => undefined),
    authenticator: new DirectoryAuthenticator(
      { directory: stores.directory, domain: config.domain, metrics, log, now: Date.now },
      new Throttle({ failuresFree: 5, firstWaitMs: 1, waitMaxMs: 1 }),
    ),
    readiness: new Readiness(),
    doorsOpen: Promise.resolve(),
    now: Date.now,
  };
  attachContext(broker, context);
  for (const service of services) {
    const module = (await import(`../../services/${service}.service.ts`)) as { service: ServiceSchema };
    broker.createService(module.service);
  }
  for (const service of more) broker.createService(service);
  await broker.start();
  return { broker, context };
}

before(async () => {
  dataDir = await newDataDir();
  stores = await openStores(loadConfig({ MAILMESH_DATA_DIR: dataDir }), Date.now);
  ({ broker: near } = await node('near', OWNERS, [failing]));
  ({ broker: far, context: farContext } = await node('far', FILTERS));
  await far.waitForServices([...OWNERS, 'failing']);
  // A node that has just started is heard of with its next heartbeat.
  await eventually('both nodes to hear hints', () =>
    near.registry.events.getAllEndpoints(MAILBOX_CHANGED).length === 2 ? true : undefined,
  );
});
after(async () => {
  await far.stop();
  await near.stop();
  await stores.close();
  await removeDataDir(dataDir);
});

const ask = <A extends ActionName>(action: A, params: Params<A>): Promise<Result<A>> => call(far, action, params);

async function thrown(action: string): Promise<Error> {
  try {
    await far.call(action);
  } catch (error) {
    return error as Error;
  }
  throw new Error(`${action} did not throw`);
}

let account: AccountId;
let inbox: MailboxId;
let archive: MailboxId;

test('accounts are made and read from the other node as they are on their own', async () => {
  await ask('domain.create', { name: 'mail.localhost' });
  const made = await ask('account.create', { address: 'alice@mail.localhost', password: 'secret words' });
  account = made.id;
  assert.deepEqual(
    await ask('account.get', { account: made.address }),
    await call(near, 'account.get', { account: made.address }),
  );
  const { items } = await ask('folder.list', { account: made.address });
  assert.deepEqual(items, (await call(near, 'folder.list', { account: made.address })).items);
  inbox = items.find(({ name }) => name === 'INBOX')!.id;
  archive = items.find(({ name }) => name === 'Archive')!.id;
});

test('commits cross with the types of their bytes and uids, and so do their results', async () => {
  const hints: MailboxHint[] = [];
  const stop = farContext.hints.of(account)((hint) => hints.push(hint));
  const bytes = new Uint8Array(randomBytes(300));
  const content = contentInput({ layout: [{ t: 'bytes', bytes }], envelope: new Uint8Array([1, 2, 3]) });
  const append = {
    t: 'append',
    mailbox: inbox,
    content,
    flags: ['\\Seen', '[[DT]]1'],
    internalDate: 1,
    quota: 'enforce',
  } as const;
  const commit = (ops: Params<'mailbox.commit'>['ops'], through = far) =>
    call(through, 'mailbox.commit', { account, ops, session: 'test', by: 'user' });
  const { results } = await commit([append, append, append]);
  assert.ok(results.every((result) => result.ok));
  const stored = await commit([
    { t: 'store', mailbox: inbox, uids: uids(1, 2), mode: 'add', flags: ['\\Flagged'] },
    { t: 'copy', from: inbox, uids: uids(1), to: archive },
    { t: 'move', from: inbox, uids: uids(2), to: archive },
  ]);
  const local = await commit(
    [
      { t: 'store', mailbox: inbox, uids: uids(1), mode: 'add', flags: ['\\Answered'] },
      { t: 'copy', from: inbox, uids: uids(1), to: archive },
      { t: 'move', from: inbox, uids: uids(3), to: archive },
    ],
    near,
  );
  stored.results.forEach((result, i) => {
    const other = local.results[i]!;
    assert.deepEqual(Object.keys(result), Object.keys(other));
    for (const [name, value] of Object.entries(result))
      assert.equal(
        Object.getPrototypeOf(value),
        Object.getPrototypeOf((other as unknown as Record<string, unknown>)[name]),
        name,
      );
  });
  const rows = await stores.mail.rows(account, inbox, uids(1));
  assert.deepEqual([...rows[0]!.flags].sort(), ['[[DT]]1', '\\Answered', '\\Flagged', '\\Seen']);
  const [found] = await stores.mail.contents(account, [rows[0]!.content], ['layout', 'envelope']);
  const pieces: Uint8Array[] = [];
  for await (const piece of readLayout(stores.blobs, found!.layout)) pieces.push(piece);
  assert.ok(Buffer.concat(pieces).equals(bytes));
  assert.deepEqual([...found!.envelope], [1, 2, 3]);
  await eventually('hints of all three commits', () => (hints.length === 3 ? true : undefined));
  assert.deepEqual(
    hints.map(({ modSeq }) => typeof modSeq),
    hints.map(() => 'number'),
  );
  stop();
});

test('errors of ours are themselves again on the other side', async () => {
  const client = await thrown('failing.client');
  assert.ok(client instanceof ClientError && client instanceof MailError);
  assert.deepEqual([client.reply, client.facts], ['overQuota', { account: 'a', bytes: 7 }]);
  const temporary = await thrown('failing.temporary');
  assert.ok(temporary instanceof TemporaryError && !(temporary instanceof Fenced));
  assert.equal(temporary.reply, 'diskFull');
  const fenced = await thrown('failing.fenced');
  assert.ok(fenced instanceof Fenced && fenced instanceof TemporaryError);
  assert.deepEqual(fenced.facts, { epoch: 3 });
  const fault = await thrown('failing.fault');
  assert.ok(fault instanceof Fault);
  assert.deepEqual([fault.message, fault.facts], ['a bug of ours', { at: 'here' }]);
  const plain = await thrown('failing.plain');
  assert.ok(!(plain instanceof MailError));
  assert.equal(plain.message, 'x is not a function');
  await assert.rejects(ask('account.get', { account: 'nobody@mail.localhost' }), (error) => {
    assert.ok(error instanceof ClientError);
    assert.equal(error.reply, 'notFound');
    return true;
  });
  await assert.rejects(ask('account.get', {} as never), (error) => {
    assert.ok(error instanceof Errors.ValidationError);
    assert.match(JSON.stringify(error.data), /account/);
    return true;
  });
});

test('mail goes the whole way when filters and mailboxes are on different nodes', async () => {
  const text = `From: x@client.example\r\nSubject: \xe4\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\ntext\r\n--b\r\nContent-Type: application/pdf\r\nContent-Transfer-Encoding: base64\r\n\r\n${`${'QUJD'.repeat(19)}\r\n`.repeat(1000)}--b--\r\n`;
  const bytes = Buffer.from(text, 'latin1');
  const { blob, sizeBytes } = await storeBlob(
    stores.blobs,
    (async function* () {
      yield bytes;
    })(),
    1e9,
  );
  const id = queueId(Date.now(), randomBytes(7));
  await stores.queue.accept(
    {
      queueId: id,
      acceptedAt: Date.now(),
      envelope: {
        sender: 'x@client.example',
        recipients: [{ address: 'alice@mail.localhost', account, subaddress: '' }],
        smtputf8: false,
        body: null,
      },
      client: {
        session: 's' as SessionId,
        address: '127.0.0.1',
        port: 1,
        helo: 'client.example',
        protocol: 'ESMTP',
        tls: null,
        account: null,
        user: null,
      },
      blob,
      size: sizeBytes,
      headers: 'Received: from client.example\r\n',
      removed: [],
      messageId: '<two-brokers@client.example>',
      subject: '',
    },
    deliveryPlan(),
  );
  const record = await eventually('delivered message', async () => {
    const found = await stores.queue.show(id);
    return found?.state === 'done' ? found : undefined;
  });
  assert.deepEqual(
    Object.values(record.verdicts).filter(({ skipped }) => skipped),
    [],
  );
  const { mailbox, uid } = record.deliveries[0]!;
  const { items } = await ask('folder.list', { account: 'alice@mail.localhost' });
  const [row] = await stores.mail.rows(account, items.find(({ name }) => name === mailbox)!.id, uids(uid!));
  const [content] = await stores.mail.contents(account, [row!.content], ['layout']);
  const pieces: Uint8Array[] = [];
  for await (const piece of readLayout(stores.blobs, content!.layout)) pieces.push(piece);
  assert.ok(Buffer.concat(pieces).subarray(-bytes.length).equals(bytes));
});
