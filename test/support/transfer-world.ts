/** Stores with a bit of everything in them, and a picture of stores that leaves out what a transfer gives new names to. */

import { createHash, randomBytes } from 'node:crypto';
import { accountId, type BlobRef, contentId, mailboxId, modelId } from '../../core/mail/ids.ts';
import { layoutSize, readRange } from '../../core/mail/layout.ts';
import type { ContentInput, Mailbox, Op } from '../../core/ports/mail-store.ts';
import type { Label } from '../../core/ports/sample-store.ts';
import type { Stores } from '../../mixins/stores.ts';
import { account, credential, NOW } from '../contract/directory-fixture.ts';
import { message, plan, verdict } from '../contract/queue-fixture.ts';

export type TestStores = Omit<Stores, 'close' | 'resolver' | 'locks' | 'mesh' | 'search'>;

export const ALICE = account('alice', { spam: { allow: ['@good.example'], block: [] }, quotaBytes: 10 ** 9 });
export const BOB = account('bob', { enabled: false });
const INBOX = mailboxId('inbox00000000000');
const WORK = mailboxId('work000000000000');
const ARTEFACT = Buffer.from('a model '.repeat(500));

const label = (key: string, sample: string, more: Partial<Label> = {}): Label => ({
  ...{ key, account: ALICE.id, sample, label: 'spam', source: 'move', sender: 's', previous: 'ham', score: 0.5 },
  ...{ model: 'm', schema: 1, weight: 1, at: NOW },
  ...more,
});

/** A message of `size` bytes, half of it an attachment that others share. */
async function content(stores: TestStores, n: number, size: number): Promise<ContentInput> {
  const head = Buffer.from(`Message-ID: <${n}@example.org>\r\n\r\n`);
  const body = createHash('sha512')
    .update(String(n))
    .digest('hex')
    .repeat(Math.ceil(size / 128))
    .slice(0, size);
  const own = await put(stores, Buffer.from(body));
  const shared = await put(stores, Buffer.from(`attachment ${n % 3} `.repeat(300)));
  const layout = [
    { t: 'bytes' as const, bytes: head },
    { t: 'blob' as const, ref: own.ref, start: 0, end: own.size },
    { t: 'base64' as const, ref: shared.ref, size: shared.size, lineLength: 76, eol: '\r\n' as const },
  ];
  return {
    ...{
      layout,
      size: layoutSize(layout),
      envelope: Buffer.from(`("Subject ${n}")`),
      origin: n % 2 === 0 ? `q${n}` : '',
    },
    ...{ bodystructure: Buffer.from('("TEXT" "PLAIN")'), structure: Uint8Array.from([n & 255, 1, 2]) },
    ...{ messageId: `<${n}@example.org>`, sentAt: 1_700_000_000 + n },
  };
}

const put = (stores: TestStores, bytes: Uint8Array) => stores.blobs.put(bytes);

export async function fill(stores: TestStores): Promise<void> {
  const { directory, mail, queue, samples, models } = stores;
  await directory.addDomain({ name: 'example.org', catchAll: null, createdAt: NOW });
  await directory.addAccount(ALICE, credential('YQ=='));
  await directory.addAccount(BOB, credential('Yg=='));
  await directory.addAlias({ address: 'both@example.org', accounts: [BOB.id, ALICE.id], createdAt: NOW + 1 });
  await directory.setCatchAll('example.org', BOB.id);
  await directory.addApiKey({ id: 'k', name: 'key', scope: 'read', hash: 'h', createdAt: NOW, revoked: true });
  for (const { id, quotaBytes, quotaMessages } of [ALICE, BOB]) {
    await mail.createAccount({
      ...{ account: id, quotaBytes, quotaMessages },
      mailboxes: [
        { id: INBOX, name: 'INBOX', role: 'inbox' },
        { id: WORK, name: 'Työ/Projekti', role: null },
      ],
    });
    const { epoch } = (await mail.lease(id, 'test', 60_000))!;
    const commit = (...ops: Op[]) => mail.commit(id, epoch, ops);
    const numbers = Array.from({ length: id === ALICE.id ? 230 : 3 }, (_, n) => n);
    const contents = await Promise.all(numbers.map((n) => content(stores, n, n === 7 ? 1_500_000 : 300)));
    const appends = numbers.map(
      (n): Op => ({
        ...{ t: 'append', mailbox: n % 5 === 0 ? WORK : INBOX, content: contents[n]!, quota: 'enforce' },
        flags: n % 3 === 0 ? ['\\Seen', '$Label1'] : n % 4 === 0 ? ['\\Flagged'] : [],
        internalDate: 1_600_000_000 + n * 60,
      }),
    );
    for (let at = 0; at < appends.length; at += 50) await commit(...appends.slice(at, at + 50));
    await commit({ t: 'claimRecent', mailbox: INBOX });
    await commit({ t: 'copy', from: INBOX, uids: Uint32Array.of(1, 2, 3), to: WORK });
    await commit({ t: 'copy', from: WORK, uids: Uint32Array.of(1), to: WORK });
    await commit({ t: 'expunge', mailbox: INBOX, uids: Uint32Array.of(2, 40), onlyDeleted: false });
    await commit(
      {
        t: 'append',
        mailbox: INBOX,
        content: await content(stores, 1000, 10),
        flags: [],
        internalDate: 1,
        quota: 'ignore',
      },
      { t: 'subscribe', name: 'INBOX', subscribed: true },
      { t: 'subscribe', name: 'gone/elsewhere', subscribed: true },
    );
    const [row] = await mail.findByMessageId(id, '<1@example.org>');
    const payload = { key: `${row!.content}:9:0`, content: row!.content, wish: 'ham', source: 'move', at: NOW };
    await commit({ t: 'outbox', topic: 'feedback', key: `${id}:${payload.key}`, payload });
    await mail.release(id, 'test');
    if (id !== ALICE.id) continue;
    const sample = `${id}/${row!.content}`;
    await samples.remember({ key: sample, schema: 1, features: new Uint8Array([1, 2]), at: NOW });
    await samples.append([
      label('a', sample),
      label('gone', 'q3', { account: BOB.id }),
      label('b', sample, { label: 'ham' }),
    ]);
  }
  await samples.remember({ key: 'q2', schema: 1, features: new Uint8Array([3]), at: NOW });
  await samples.remember({ key: 'q4', schema: 1, features: new Uint8Array([4]), at: NOW });
  await samples.append([label('c', 'q2')]);
  await samples.forgetUser(BOB.id);
  const open = (await put(stores, Buffer.from('an open message'))).ref;
  const done = (await put(stores, Buffer.from('a finished message'))).ref;
  await queue.accept(message(1, { blob: done }), plan(['delivery']));
  const [job] = await queue.claim('delivery', { max: 1, leaseMs: 60_000, now: NOW + 10 });
  await queue.settle(job!, verdict('delivery'));
  await queue.accept(message(2, { blob: open }), plan(['spam'], ['delivery', 'spam']));
  const info = { parent: null, schema: 1, trainedTo: 0, createdAt: NOW, metrics: { auc: 0.5 } };
  const first = await models.put(ARTEFACT, info);
  await models.activate(first.id, 'test', 'first', NOW);
  const second = await models.put(Buffer.concat([ARTEFACT, randomBytes(4)]), {
    ...info,
    parent: first.id,
    trainedTo: 4,
  });
  await models.activate(second.id, 'test', 'better', NOW);
  const third = await models.put(Buffer.from('worse'), { ...info, parent: second.id });
  await models.reject(third.id, 'test', 'worse', NOW);
}

const hash = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex').slice(0, 16);

async function messagesOf({ mail, blobs }: TestStores, id: typeof ALICE.id, mailbox: Mailbox): Promise<unknown[]> {
  const columns = (await mail.columns(id, mailbox.id))!;
  const ids = Array.from(columns.contents, (content) => contentId(content));
  const fields = ['layout', 'size', 'envelope', 'bodystructure', 'structure', 'messageId', 'sentAt', 'origin'] as const;
  const contents = await mail.contents(id, ids, fields);
  return Promise.all(
    contents.map(async (content, i) => ({
      bytes: hash(await readRange(blobs, content!.layout)),
      ...{ size: content!.size, rowSize: columns.sizes[i], messageId: content!.messageId, sentAt: content!.sentAt },
      parts: hash(Buffer.concat([content!.envelope, content!.bodystructure, content!.structure])),
      ...{ origin: content!.origin, flags: columns.flagSets[columns.flags[i]!], date: columns.dates[i] },
      isRecent: columns.uids[i]! >= mailbox.recentUid,
    })),
  );
}

/** The Message-ID in the place of a content's id. */
async function nameOf({ mail }: TestStores, sample: string): Promise<string> {
  const [id = '', content] = sample.split('/');
  if (content === undefined) return sample;
  const [found] = await mail.contents(accountId(id), [contentId(Number(content))], ['messageId']);
  return `${id}/${found?.messageId}`;
}

export async function pictureOf(stores: TestStores): Promise<Record<string, unknown>> {
  const { directory, mail, queue, samples, models } = stores;
  const accounts = await directory.accounts(null, 100);
  const outbox = await mail.outbox('feedback', 1000);
  return {
    domains: await directory.domains(),
    accounts,
    credentials: await Promise.all(accounts.map(({ id }) => directory.credential(id))),
    aliases: await directory.aliases(null, 100),
    keys: await directory.apiKeys(),
    mail: await Promise.all(
      (await mail.accounts(null, 100)).map(async (id) => {
        const { usedBytes, usedMessages, quotaBytes, quotaMessages } = (await mail.account(id))!;
        const mailboxes = await mail.mailboxes(id);
        return {
          ...{ id, usedBytes, usedMessages, quotaBytes, quotaMessages },
          subscriptions: await mail.subscriptions(id),
          mailboxes: await Promise.all(
            mailboxes.map(async (mailbox) => ({
              ...{
                id: mailbox.id,
                name: mailbox.name,
                role: mailbox.role,
                total: mailbox.total,
                unseen: mailbox.unseen,
              },
              messages: await messagesOf(stores, id, mailbox),
            })),
          ),
        };
      }),
    ),
    outbox: await Promise.all(
      outbox.map(async ({ account: id, payload }) => {
        const { content, wish } = payload as { content: number; wish: string };
        return [await nameOf(stores, `${id}/${content}`), wish];
      }),
    ),
    // To the millisecond it depends on whose clock is asked.
    queue: (await queue.list({ limit: 100 })).map((record) => ({ ...record, finishedAt: record.finishedAt !== null })),
    queued: (await stores.queue.liveBlobs([])).size,
    labels: await Promise.all(
      (await samples.labels({ after: 0, limit: 100 })).map(async ({ key: _key, ...rest }) => ({
        ...rest,
        sample: await nameOf(stores, rest.sample),
      })),
    ),
    samples: await Promise.all(
      (await samples.samples(0, 100)).map(async (one) => [await nameOf(stores, one.sample), [...one.features]]),
    ),
    unlabelled: (await samples.unlabelled(10)).map(({ key }) => key),
    lastSeq: (await samples.stats()).lastSeq,
    models: await Promise.all(
      (await models.list()).map(async ({ id, version, state, parent, trainedTo, metrics }) => ({
        ...{ id: modelId(id), version, state, parent, trainedTo, metrics },
        artefact: hash(await models.load(id)),
      })),
    ),
  };
}

/** Blobs that a store has of those that another's messages need. */
export async function refsOf({ mail }: TestStores): Promise<readonly BlobRef[]> {
  const refs = new Set<BlobRef>();
  for (const id of await mail.accounts(null, 100))
    for (const mailbox of await mail.mailboxes(id)) {
      const columns = (await mail.columns(id, mailbox.id))!;
      const ids = Array.from(columns.contents, (content) => contentId(content));
      for (const content of await mail.contents(id, ids, ['layout']))
        for (const segment of content!.layout) if (segment.t !== 'bytes') refs.add(segment.ref);
    }
  return [...refs];
}
