/** What is stored for a recipient: header fields on top, the received bytes, splits only when they are exact. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Assembler, assembleMessage } from '../../core/delivery/assemble.ts';
import { makeAttachmentsStage } from '../../core/filter/attachments.ts';
import type { StageContext } from '../../core/filter/stage.ts';
import type { Verdict } from '../../core/filter/verdict.ts';
import type { AcceptedMessage } from '../../core/mail/accepted.ts';
import { blobRef } from '../../core/mail/ids.ts';
import { type Layout, layoutBlobs, readRange } from '../../core/mail/layout.ts';
import { describeMessage } from '../../core/mime/describe.ts';
import { MemoryBlobs } from '../support/memory-blobs.ts';

const OURS = 'Received: from x by y; Fri, 21 Nov 1997 09:55:06 -0600\r\n';

const verdict = (more: Partial<Verdict>): Verdict => ({
  stage: 'spam',
  result: 'ham',
  score: null,
  reasons: [],
  version: '1',
  durationMs: 1,
  at: 1000,
  headers: [],
  facts: {},
  skipped: false,
  ...more,
});

async function accept(blobs: MemoryBlobs, raw: Buffer, more: Partial<AcceptedMessage> = {}): Promise<AcceptedMessage> {
  const { ref, size } = await blobs.put(raw);
  const envelope = { sender: 'sender@example.org', recipients: [], smtputf8: false, body: null };
  return {
    queueId: 'q1',
    envelope,
    blob: ref,
    size,
    headers: OURS,
    removed: [],
    ...more,
  } as unknown as AcceptedMessage;
}

async function attachmentsVerdict(blobs: MemoryBlobs, message: AcceptedMessage): Promise<Verdict> {
  const context = { job: { message }, blobs: blobs.asStore(), signal: new AbortController().signal, now: 0 };
  const result = await makeAttachmentsStage()(context as unknown as StageContext);
  return verdict({ ...result, stage: 'attachments' });
}

const BYTES = Buffer.alloc(60_000, 'some attachment, ');
const ENCODED = BYTES.toString('base64').replace(/.{76}/g, '$&\r\n');
const withAttachment = (rest: string): Buffer =>
  Buffer.from(
    `Return-Path: <forged@x>\r\nSubject: s\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\n${rest}\r\n--b\r\n` +
      `Content-Transfer-Encoding: base64\r\n\r\n${ENCODED}\r\n--b--\r\n`,
  );
const REMOVED: AcceptedMessage['removed'] = [[0, 25]];

const text = async (blobs: MemoryBlobs, layout: Layout): Promise<string> =>
  Buffer.from(await readRange(blobs, layout)).toString('latin1');

test('header fields in order: Return-Path, Delivered-To, the stages, ours, the message without what was removed', async () => {
  const blobs = new MemoryBlobs();
  const message = await accept(blobs, Buffer.from('A: 1\r\nReturn-Path: <x>\r\nB: 2\r\n\r\nbody\r\n'), {
    removed: [[6, 24]],
  });
  const verdicts = {
    spam: verdict({ headers: ['X-Spam: no\r\n'] }),
    authentication: verdict({ stage: 'authentication', headers: ['Authentication-Results: mx; spf=pass\r\n'] }),
  };
  const { layout, content } = await assembleMessage({ message, verdicts, blobs, recipient: { address: 'bob@here' } });
  const stored = await text(blobs, layout);
  assert.equal(
    stored,
    'Return-Path: <sender@example.org>\r\nDelivered-To: bob@here\r\nAuthentication-Results: mx; spf=pass\r\nX-Spam: no\r\n' +
      `${OURS}A: 1\r\nB: 2\r\n\r\nbody\r\n`,
  );
  assert.deepEqual([content.size, content.origin, content.layout], [stored.length, 'q1', layout]);
});

test('the null reverse-path, UTF-8 addresses, and no way to inject a line', async () => {
  const blobs = new MemoryBlobs();
  const message = await accept(blobs, Buffer.from('\r\nx'), { headers: '' });
  const envelope = { ...message.envelope, sender: '' };
  const { layout } = await assembleMessage({
    message: { ...message, envelope },
    verdicts: {},
    blobs,
    recipient: { address: 'jü@x\r\nEvil: 1' },
  });
  assert.equal(
    Buffer.from(await readRange(blobs, layout)).toString(),
    'Return-Path: <>\r\nDelivered-To: jü@xEvil: 1\r\n\r\nx',
  );
});

for (const [name, rest] of [
  ['a short rest is kept inline', 'short'],
  ['a long rest is kept as a skeleton', 'long text '.repeat(3000)],
])
  test(`split attachments: ${name}, and nothing refers to the received blob`, async () => {
    const blobs = new MemoryBlobs();
    const raw = withAttachment(rest!);
    const message = await accept(blobs, raw, { removed: REMOVED });
    const verdicts = { attachments: await attachmentsVerdict(blobs, message) };
    const { layout, content } = await assembleMessage({ message, verdicts, blobs, recipient: { address: 'a@b' } });
    const stored = await text(blobs, layout);
    assert.ok(stored.endsWith(`${OURS}${raw.toString('latin1', 25)}`));
    assert.ok(layout.some((segment) => segment.t === 'base64'));
    assert.ok(!layoutBlobs(layout).includes(message.blob));
    const described = await describeMessage([Buffer.from(stored, 'latin1')]);
    for (const key of ['size', 'envelope', 'bodystructure', 'structure', 'messageId', 'sentAt'] as const)
      assert.deepEqual(content[key], described[key], key);
  });

test('splits that are wrong in any way are not used', async () => {
  const blobs = new MemoryBlobs();
  const raw = withAttachment('rest');
  const message = await accept(blobs, raw);
  const good = await attachmentsVerdict(blobs, message);
  const [split] = good.facts.split as [Record<string, unknown>];
  const other = await blobs.put(Buffer.alloc(60_000, 'another attachment'));
  const cases: Record<string, Partial<Verdict>> = {
    'other bytes': { facts: { ...good.facts, split: [{ ...split, ref: other.ref }] } },
    'a missing blob': { facts: { ...good.facts, split: [{ ...split, ref: blobRef('0'.repeat(64)) }] } },
    'another length': { facts: { ...good.facts, split: [{ ...split, end: (split.end as number) - 4 }] } },
    'another line length': { facts: { ...good.facts, split: [{ ...split, lineLength: 72 }] } },
    'beyond the end': { facts: { ...good.facts, split: [{ ...split, end: raw.length + 1 }] } },
    overlapping: { facts: { ...good.facts, split: [split, split] } },
    'a wrong skeleton': { facts: { ...good.facts, skeleton: { ref: other.ref, size: 60_000 } } },
    'no list': { facts: { split: 'nonsense' } },
    skipped: { skipped: true },
  };
  for (const [name, more] of Object.entries(cases)) {
    const verdicts = { attachments: { ...good, ...more } };
    const { layout } = await assembleMessage({ message, verdicts, blobs, recipient: { address: 'a@b' } });
    assert.ok((await text(blobs, layout)).endsWith(raw.toString('latin1')), name);
    assert.deepEqual(layoutBlobs(layout), [message.blob], name);
  }
  const late = await assembleMessage({
    message,
    verdicts: { attachments: good },
    blobs,
    recipient: { address: 'a@b' },
    now: 13 * 3600 * 1000 + 1000,
  });
  assert.deepEqual(layoutBlobs(late.layout), [message.blob]);
});

test('a missing received blob is an error', async () => {
  const message = await accept(new MemoryBlobs(), withAttachment('x'));
  await assert.rejects(
    assembleMessage({ message, verdicts: {}, blobs: new MemoryBlobs(), recipient: { address: 'a@b' } }),
  );
});

test('further recipients get the same message under their own address without reading it again', async () => {
  const blobs = new MemoryBlobs();
  const message = await accept(blobs, withAttachment('x'), { removed: REMOVED });
  const assembler = new Assembler({
    message,
    verdicts: { attachments: await attachmentsVerdict(blobs, message) },
    blobs,
  });
  await assembler.assemble({ address: 'a@b' });
  const reads = blobs.reads;
  for (const address of ['a@b', 'someone.else@a.longer.example', 'x']) {
    const { layout, content } = await assembler.assemble({ address });
    assert.equal(blobs.reads, reads);
    const stored = Buffer.from(await text(blobs, layout), 'latin1');
    blobs.reads = reads;
    const described = await describeMessage([stored]);
    for (const key of ['size', 'envelope', 'bodystructure', 'structure'] as const)
      assert.deepEqual(content[key], described[key]);
    assert.match(stored.toString(), new RegExp(`^Return-Path: <sender@example.org>\r\nDelivered-To: ${address}\r\n`));
  }
});
