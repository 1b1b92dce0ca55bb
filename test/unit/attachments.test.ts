/** The attachments stage: what it finds, what it says about it, and which parts it splits off. */

import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { test } from 'node:test';
import { type AttachmentFacts, makeAttachmentsStage } from '../../core/filter/attachments.ts';
import type { StageContext, StageResult } from '../../core/filter/stage.ts';
import { type Layout, readRange } from '../../core/mail/layout.ts';
import { MemoryBlobs } from '../support/memory-blobs.ts';

const stage = makeAttachmentsStage();
const sha = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');

async function run(
  message: Buffer,
  blobs = new MemoryBlobs(),
): Promise<{ result: StageResult; facts: AttachmentFacts; blobs: MemoryBlobs }> {
  const { ref, size } = await blobs.put(message);
  const job = { message: { blob: ref, size } };
  const context = {
    job,
    blobs: blobs.asStore(),
    signal: new AbortController().signal,
    now: 0,
  } as unknown as StageContext;
  const result = await stage(context);
  assert.ok(Buffer.byteLength(JSON.stringify(result.facts)) <= 16 * 1024);
  return { result, facts: result.facts as unknown as AttachmentFacts, blobs };
}

/** Bytes that look random and are the same in each run. */
function noise(length: number, seed = 1): Buffer {
  const bytes = Buffer.alloc(length);
  let state = seed;
  for (let i = 0; i < length; i++) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    bytes[i] = state >>> 24;
  }
  return bytes;
}

const lines = (text: string, length: number, eol: string): string =>
  text.replace(new RegExp(`.{${length}}(?=.)`, 'g'), (line) => line + eol);

interface Attached {
  readonly name: string;
  readonly encoded: string;
  readonly type?: string;
  readonly encoding?: string;
}

const mixed = (parts: readonly Attached[]): Buffer =>
  Buffer.from(
    `From: a@b\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\ntext\r\n${parts
      .map(
        ({ name, encoded, type = 'application/octet-stream', encoding = 'base64' }) =>
          `--b\r\nContent-Type: ${type}\r\nContent-Disposition: attachment; filename="${name}"\r\n` +
          `Content-Transfer-Encoding: ${encoding}\r\n\r\n${encoded}\r\n`,
      )
      .join('')}--b--\r\n`,
    'latin1',
  );

test('a plain message: one part, nothing split, no blob written', async () => {
  const blobs = new MemoryBlobs();
  const { result, facts } = await run(Buffer.from('Subject: x\r\n\r\nHello\r\n'), blobs);
  assert.deepEqual(facts, {
    parts: [
      {
        path: '1',
        declared: 'text/plain',
        sniffed: null,
        filename: null,
        sizeBytes: 7,
        sha256: sha(Buffer.from('Hello\r\n')),
        marks: [],
      },
    ],
    partsTotal: 1,
    split: [],
    skeleton: null,
  });
  assert.deepEqual([result.result, result.reasons, blobs.blobs.size, blobs.reads], ['clean', [], 1, 1]);
});

for (const [eol, length] of [
  ['\r\n', 76],
  ['\n', 60],
  ['\r\n', 4],
] as const)
  test(`a base64 part in lines of ${length} characters with ${JSON.stringify(eol)} is split off exactly`, async () => {
    for (const size of [32 * 1024 + 1, 40_000, 57 * 800, 1_300_000]) {
      const bytes = noise(size);
      const message = mixed([{ name: 'x.bin', encoded: lines(bytes.toString('base64'), length, eol) }]);
      const { facts, blobs, result } = await run(message);
      const split = facts.split[0]!;
      assert.equal(result.result, 'split');
      assert.deepEqual([split.ref, split.size, split.lineLength, split.eol], [sha(bytes), size, length, eol]);
      assert.deepEqual(facts.parts[1]!.sha256, split.ref);
      const layout: Layout = [{ t: 'base64', ...split }];
      assert.ok(message.subarray(split.start, split.end).equals(await readRange(blobs, layout)));
    }
  });

test('what encoding again would not give stays in the message, with the same digest', async () => {
  const bytes = noise(50_000);
  const good = lines(bytes.toString('base64'), 76, '\r\n');
  const cases: [string, string][] = [
    ['a longer line', good.replace('\r\n', '')],
    [
      'a line end of another kind',
      `${good.slice(0, 20_000).replace(/\r\n/g, '\r\n')}${good.slice(20_000).replace('\r\n', '\n')}`,
    ],
    ['a blank at a line end', `${good.slice(0, 780)}${good.slice(780).replace('\r\n', ' \r\n')}`],
    [
      'a shorter line in the middle',
      `${good.slice(0, 76 * 300 + 2 * 299 - 4)}\r\n${good.slice(76 * 300 + 2 * 299 - 4)}`,
    ],
    ['no padding', lines(noise(50_000).toString('base64').replace(/=+$/, ''), 76, '\r\n')],
    ['lines of 75', lines(bytes.toString('base64'), 75, '\r\n')],
    ['one line', bytes.toString('base64')],
    ['noise', `${good.slice(0, 30_000)}!${good.slice(30_001)}`],
  ];
  for (const [name, encoded] of cases) {
    const { facts, blobs } = await run(mixed([{ name: 'x.bin', encoded }]));
    assert.deepEqual(facts.split, [], name);
    assert.equal(blobs.blobs.size, 1, name);
    if (name !== 'noise') assert.equal(facts.parts[1]!.sha256, sha(bytes), name);
  }
});

test('bits behind the end of the data that encoding would not set keep a part in the message', async () => {
  const encoded = lines(noise(40_000).toString('base64'), 76, '\r\n');
  assert.match(encoded, /[A-Za-z0-9+/]{2}==$/);
  const last = encoded.at(-3)!;
  const other = String.fromCharCode(last.charCodeAt(0) + 1);
  const { facts } = await run(mixed([{ name: 'x', encoded: `${encoded.slice(0, -3)}${other}==` }]));
  assert.deepEqual(facts.split, []);
});

test('blank lines around the text stay raw; small parts are not split; a long rest becomes a skeleton', async () => {
  const big = lines(noise(60_000).toString('base64'), 76, '\r\n');
  const small = lines(noise(3000).toString('base64'), 76, '\r\n');
  const message = mixed([
    { name: 'a.bin', encoded: `\r\n${big}\r\n\r\n` },
    { name: 'b.bin', encoded: small },
    { name: 'c.txt', encoded: 'word '.repeat(8000), encoding: '8bit', type: 'text/plain' },
  ]);
  const { facts, blobs } = await run(message);
  assert.equal(facts.split.length, 1);
  const { start, end } = facts.split[0]!;
  assert.equal(message.toString('latin1', start, end), big);
  const rest = Buffer.concat([message.subarray(0, start), message.subarray(end)]);
  assert.deepEqual(facts.skeleton, { ref: sha(rest), size: rest.length });
  assert.equal(blobs.blobs.size, 3);
});

test('a large part that cannot be split is hashed as it streams', async () => {
  const bytes = noise(1_500_000);
  const base64 = await run(mixed([{ name: 'a', encoded: lines(bytes.toString('base64'), 75, '\r\n') }]));
  assert.deepEqual([base64.facts.parts[1]!.sha256, base64.facts.parts[1]!.sizeBytes], [sha(bytes), bytes.length]);
  const text = 'ü='.repeat(300_000);
  const quoted = text.replace(/./gs, (c) => (c === '=' ? '=3D' : '=C3=BC')).replace(/.{72}/g, '$&=\r\n');
  const qp = await run(mixed([{ name: 'a', encoded: quoted, encoding: 'quoted-printable' }]));
  assert.equal(qp.facts.parts[1]!.sha256, sha(Buffer.from(text)));
  const plain = await run(mixed([{ name: 'a', encoded: 'x'.repeat(1_200_000), encoding: '7bit' }]));
  assert.equal(plain.facts.parts[1]!.sha256, sha(Buffer.from('x'.repeat(1_200_000))));
});

const zipEntry = (name: string, { flags = 0, packed = 0, unpacked = 0 } = {}): Buffer => {
  const header = Buffer.alloc(30);
  header.writeUInt32LE(0x04034b50, 0);
  header.writeUInt16LE(flags, 6);
  header.writeUInt32LE(packed, 18);
  header.writeUInt32LE(unpacked, 22);
  header.writeUInt16LE(name.length, 26);
  return Buffer.concat([header, Buffer.from(name), Buffer.alloc(packed)]);
};

test('suspicious attachments are named with the reason', async () => {
  const program = Buffer.concat([Buffer.from('MZ'), Buffer.alloc(100)]);
  const cases: [string, Buffer, RegExp][] = [
    ['invoice.pdf.exe', program, /attachment invoice\.pdf\.exe is a program/],
    ['invoice.pdf.exe', program, /named like a document/],
    ['photo.jpg', program, /photo\.jpg is a program under another name/],
    ['script.js', Buffer.from('alert(1)'), /script\.js is a program/],
    ['sheet.xlsm', Buffer.from('x'), /may hold macros/],
    ['evil\u202efdp.exe', Buffer.from('x'), /hides its extension/],
    ['a.zip', zipEntry('run.exe'), /archive a\.zip holds the program run\.exe/],
    [
      'a.zip',
      Buffer.concat([zipEntry('readme.txt', { packed: 10, unpacked: 10 }), zipEntry('b', { flags: 1 })]),
      /a\.zip is encrypted/,
    ],
    ['a.zip', zipEntry('zeros', { packed: 1000, unpacked: 0xf0000000 }), /unpacks to 3840 MiB/],
  ];
  for (const [name, bytes, reason] of cases) {
    const message = mixed([
      { name: `=?utf-8?B?${Buffer.from(name).toString('base64')}?=`, encoded: bytes.toString('base64') },
    ]);
    const { result } = await run(message);
    assert.equal(result.result, 'suspicious', name);
    assert.match(result.reasons.join('\n'), reason);
  }
  const honest = await run(
    mixed([{ name: 'a.zip', encoded: zipEntry('a.txt', { packed: 10, unpacked: 30 }).toString('base64') }]),
  );
  assert.deepEqual([honest.result.result, honest.facts.parts[1]!.marks], ['clean', ['archive']]);
});

test('many parts: 50 are listed within 16 KiB, the names of all are looked at', async () => {
  const parts = Array.from({ length: 300 }, (_, i) => ({ name: `${'n'.repeat(300)}${i}.txt`, encoded: 'QQ==' }));
  const { facts, result } = await run(mixed([...parts, { name: 'last.exe', encoded: 'QQ==' }]));
  assert.ok(facts.parts.length > 20 && facts.parts.length <= 50);
  assert.equal(facts.partsTotal, 302);
  assert.match(result.reasons.join(), /last\.exe/);
});

test('parts of messages in messages have their section numbers', async () => {
  const inner = mixed([{ name: 'deep.bin', encoded: 'QQ==' }]).toString('latin1');
  const message = Buffer.from(
    `Content-Type: multipart/mixed; boundary=outer\r\n\r\n--outer\r\nContent-Type: message/rfc822\r\n\r\n${inner}\r\n--outer--\r\n`,
  );
  const { facts } = await run(message);
  assert.deepEqual(
    facts.parts.map((part) => [part.path, part.filename]),
    [
      ['1.1', null],
      ['1.2', 'deep.bin'],
    ],
  );
});

test('an aborted signal ends the work', async () => {
  const blobs = new MemoryBlobs();
  const { ref, size } = await blobs.put(Buffer.from('x'));
  const context = {
    job: { message: { blob: ref, size } },
    blobs: blobs.asStore(),
    signal: AbortSignal.abort(),
    now: 0,
  };
  await assert.rejects(stage(context as unknown as StageContext), { name: 'AbortError' });
});
