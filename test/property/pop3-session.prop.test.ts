/** Goal: a whole session gives the same replies in any chunking, no input breaks it, and only QUIT deletes. */

import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import fc from 'fast-check';
import { makePop3Engine } from '../../core/pop3/engine.ts';
import { type Line, LineReader } from '../../core/pop3/line-reader.ts';
import { type ImapStores, openImapStores, PASSWORD } from '../support/imap-world.ts';
import { Pop3World } from '../support/pop3-world.ts';
import { TestConnection } from '../support/test-connection.ts';

let opened: Promise<ImapStores> | undefined;
after(async () => (await opened)?.close());

const LOGIN = Buffer.from(`\0alice\0${PASSWORD}`).toString('base64');

/** Pieces of sessions: some right, some wrong, some hostile. */
const piece = fc.oneof(
  fc.constantFrom(
    'USER alice\r\n',
    `PASS ${PASSWORD}\r\n`,
    `USER alice\r\nPASS ${PASSWORD}\r\n`,
    'PASS wrong\r\n',
    `AUTH PLAIN ${LOGIN}\r\n`,
    `AUTH PLAIN\r\n${LOGIN}\r\n`,
    'AUTH SCRAM-SHA-256\r\n*\r\n',
    'AUTH PLAIN\r\n',
    'CAPA\r\n',
    'STLS\r\n',
    'UTF8\r\n',
    'STAT\r\n',
    'LIST\r\n',
    'LIST 2\n',
    'UIDL\r\n',
    'uidl 1\r\n',
    'RETR 1\r\n',
    'RETR 3\r\n',
    'RETR 2\r\nRETR 1\r\n',
    'TOP 1 0\r\n',
    'TOP 2 3\r\n',
    'DELE 1\r\n',
    'DELE 3\r\n',
    'RSET\r\n',
    'NOOP\r\n',
    'LIST 0\r\n',
    'RETR\r\n',
    `${'x'.repeat(300)}\r\n`,
    `${'y'.repeat(13_000)}\r\n`,
    '\0\xff\xfe\r\n',
    'GARBAGE IN THE WAY\r\n',
    '\r',
    ' ',
  ),
  fc.string({ unit: fc.integer({ min: 0, max: 255 }).map((code) => String.fromCharCode(code)), maxLength: 20 }),
);
const parts = fc.array(piece, { maxLength: 25 });

async function makeWorld(): Promise<Pop3World> {
  opened ??= openImapStores();
  const world = await Pop3World.open(await opened);
  await world.mail.deliver('INBOX', 'Subject: one\r\n\r\n.\r\na\r\n');
  await world.mail.deliver('INBOX', 'Subject: two\r\n\r\nb\n.c');
  await world.mail.deliver('INBOX', Buffer.from('Subject: drei \xc3\xbc\r\n\r\nd\r\n', 'latin1'));
  return world;
}

async function play(world: Pop3World, tls: boolean, session: Buffer, step: number): Promise<string> {
  const connection = new TestConnection(makePop3Engine(world.env), { tls });
  await connection.send(session, step);
  const { closed } = connection;
  if (!closed) connection.end();
  assert.equal(world.locked, false, 'the lock is free');
  assert.equal(world.mail.listeners, 0, 'nobody listens any more');
  return `${connection.rest()}${closed ? '<closed>' : ''}`;
}

test('a session is the same in any chunking, and nothing is thrown or deleted', async () => {
  const world = await makeWorld();
  await fc.assert(
    fc.asyncProperty(fc.boolean(), parts, fc.integer({ min: 1, max: 60 }), async (tls, some, step) => {
      const session = Buffer.from(some.join(''), 'latin1');
      // What is sent behind STLS in plaintext is lost, so how much that is must not depend on the chunks.
      const whole = await play(world, tls, session, Number.POSITIVE_INFINITY);
      assert.equal(await play(world, tls, session, step), whole);
      assert.match(whole, /^(?:[^\r]*\r\n)*(?:<closed>)?$/);
    }),
    { numRuns: 150 },
  );
  assert.deepEqual(
    world.mail.logged.filter(({ event }) => event === 'pop3.fault'),
    [],
  );
  const columns = await world.env.store.columns(world.mail.account, await world.mail.mailboxId('INBOX'));
  assert.equal(columns?.uids.length, 3);
});

test('garbage of any kind gets only replies, and never an exception out of feed', async () => {
  const world = await makeWorld();
  await fc.assert(
    fc.asyncProperty(fc.array(fc.uint8Array({ maxLength: 200 }), { maxLength: 10 }), async (chunks) => {
      const connection = new TestConnection(makePop3Engine(world.env), { tls: true });
      for (const chunk of chunks) await connection.engine.feed(chunk);
      connection.end();
      assert.match(connection.rest(), /^\+OK [^\r\n]*\r\n(?:-ERR [^\r\n]*\r\n)*$/);
    }),
    { numRuns: 300 },
  );
});

test('lines are the same in any chunking', () => {
  fc.assert(
    fc.property(parts, fc.array(fc.integer({ min: 1, max: 50 }), { minLength: 1, maxLength: 5 }), (some, sizes) => {
      const bytes = Buffer.from(some.join(''), 'latin1');
      const read = (step: (index: number) => number): Line[] => {
        const reader = new LineReader(500);
        const lines: Line[] = [];
        for (let at = 0, i = 0; at < bytes.length; i++) {
          reader.push(bytes.subarray(at, at + step(i)));
          at += step(i);
          for (let line = reader.next(); line !== null; line = reader.next()) lines.push(line);
        }
        return lines;
      };
      const whole = read(() => bytes.length);
      assert.deepEqual(
        read((i) => sizes[i % sizes.length]!),
        whole,
      );
      assert.equal(whole.length, bytes.toString('latin1').split('\n').length - 1);
    }),
  );
});
