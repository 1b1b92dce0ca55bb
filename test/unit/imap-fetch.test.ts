/** FETCH over the whole engine: bodies byte for byte, clients that read slowly, and messages that are damaged or gone. */

import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import fc from 'fast-check';
import { makeImapEngine } from '../../core/imap/engine.ts';
import type { ImapEnvironment } from '../../core/imap/environment.ts';
import { Fault } from '../../core/mail/errors.ts';
import type { ContentId } from '../../core/mail/ids.ts';
import { layoutSize, type Segment } from '../../core/mail/layout.ts';
import { describeMessage, toContentInput } from '../../core/mime/describe.ts';
import { type ImapStores, ImapWorld, openImapStores, PASSWORD } from '../support/imap-world.ts';
import { exampleMessage } from '../support/messages.ts';
import { TestConnection } from '../support/test-connection.ts';

let stores: Promise<ImapStores> | undefined;
after(async () => (await stores)?.close());

async function open(): Promise<ImapWorld> {
  stores ??= openImapStores();
  return await ImapWorld.open(await stores);
}

/** A connection with the inbox selected. */
async function select(env: ImapEnvironment): Promise<TestConnection> {
  const connection = new TestConnection(makeImapEngine(env), { tls: true });
  await connection.line();
  await run(connection, `LOGIN alice "${PASSWORD}"`);
  await run(connection, 'SELECT INBOX');
  return connection;
}

let tags = 0;
/** The answer to a command as one text, its tagged line last. */
async function run(connection: TestConnection, text: string): Promise<string> {
  const tag = `t${++tags}`;
  await connection.send(`${tag} ${text}\r\n`);
  return (await connection.until((line) => line.startsWith(`${tag} `))).join('\r\n');
}

/** Of 2 MB, with bytes of every kind but NUL. */
const large = (): Buffer => {
  const body = Buffer.alloc(2 * 1024 * 1024);
  for (let i = 0; i < body.length; i++) body[i] = 1 + ((i * 31 + (i >> 10)) % 255);
  return Buffer.concat([Buffer.from('Subject: large\r\n\r\n'), body]);
};

test('any part of any section is that range of the stored bytes', async () => {
  const world = await open();
  const message = Buffer.from(
    'Subject: outer\r\nContent-Type: multipart/mixed; boundary="b"\r\n\r\npre\r\n--b\r\n\r\none\r\n--b\r\n' +
      'Content-Type: message/rfc822\r\n\r\nSubject: inner\n\nbare\nlines \xff\r\n--b--\r\nepilogue',
    'latin1',
  );
  await world.deliver('INBOX', message);
  const connection = await select(world.env);
  const text = message.toString('latin1');
  const inner = text.slice(text.indexOf('Subject: inner'), text.indexOf('\r\n--b--'));
  const sections: Readonly<Record<string, string>> = {
    '': text,
    HEADER: text.slice(0, text.indexOf('pre')),
    TEXT: text.slice(text.indexOf('pre')),
    '1': 'one',
    '1.MIME': '\r\n',
    '2': inner,
    '2.HEADER': 'Subject: inner\n\n',
    '2.TEXT': inner.slice('Subject: inner\n\n'.length),
    '2.1': inner.slice('Subject: inner\n\n'.length),
  };
  await fc.assert(
    fc.asyncProperty(
      fc.constantFrom(...Object.keys(sections)),
      fc.option(fc.record({ start: fc.nat(300), length: fc.integer({ min: 1, max: 400 }) })),
      async (section, partial) => {
        const request = partial === null ? '' : `<${partial.start}.${partial.length}>`;
        const whole = sections[section]!;
        const wanted = partial === null ? whole : whole.slice(partial.start, partial.start + partial.length);
        const shown = partial === null ? '' : `<${partial.start}>`;
        const answer = await run(connection, `FETCH 1 BODY.PEEK[${section}]${request}`);
        const start = `* 1 FETCH (BODY[${section}]${shown} {${wanted.length}}\r\n${wanted})\r\n`;
        assert.equal(answer.slice(0, start.length), start);
      },
    ),
    { numRuns: 200 },
  );
  connection.end();
});

test('a message of several segments and large ones come byte for byte', async () => {
  const world = await open();
  const { blobs } = world.env;
  const attachment = large();
  const encoded = attachment.toString('base64').replace(/.{76}(?=.)/g, '$&\r\n');
  const head = Buffer.from('Subject: x\r\nContent-Transfer-Encoding: base64\r\n\r\n');
  const tail = Buffer.from('\r\n');
  const bytes = Buffer.concat([head, Buffer.from(encoded), tail]);
  const { ref, size } = await blobs.put(attachment);
  const layout: Segment[] = [
    { t: 'bytes', bytes: head },
    { t: 'base64', ref, size, lineLength: 76, eol: '\r\n' },
    { t: 'bytes', bytes: tail },
  ];
  assert.equal(layoutSize(layout), bytes.length);
  const content = toContentInput(await describeMessage([bytes]), layout, '');
  const mailbox = await world.mailboxId('INBOX');
  await world.commit([{ t: 'append', mailbox, content, flags: [], internalDate: 1, quota: 'ignore' }]);
  await world.deliver('INBOX', attachment);
  const connection = await select(world.env);
  const first = await run(connection, 'FETCH 1 BODY.PEEK[]');
  assert.ok(first.startsWith(`* 1 FETCH (BODY[] {${bytes.length}}\r\n${bytes.toString('latin1')})\r\n`));
  const second = await run(connection, 'FETCH 2 BODY.PEEK[]<1000000.600000>');
  const wanted = attachment.subarray(1_000_000, 1_600_000).toString('latin1');
  assert.ok(second.startsWith(`* 2 FETCH (BODY[]<1000000> {600000}\r\n${wanted})\r\n`));
  connection.end();
});

test('a client that does not read is not written to', async () => {
  const world = await open();
  await world.deliver('INBOX', large());
  const connection = await select(world.env);
  const before = connection.writes;
  connection.stopReading();
  const answered = run(connection, 'FETCH 1 BODY.PEEK[]');
  const first = await connection.line();
  assert.match(first ?? '', /^\* 1 FETCH \(BODY\[\] \{\d+\}$/);
  await new Promise((resolve) => setImmediate(resolve));
  assert.equal(connection.writes, before + 1);
  connection.readOn();
  assert.match(await answered, /\)\r\nt\d+ OK FETCH completed$/);
  assert.ok(connection.writes > before + 5);
  connection.end();
});

test('a damaged message is left out, the others are served, and the answer is NO', async () => {
  const world = await open();
  for (let n = 1; n <= 3; n++) await world.deliver('INBOX', exampleMessage(n));
  const { blobs } = world.env;
  let reads = 0;
  const env: ImapEnvironment = {
    ...world.env,
    blobs: new Proxy(blobs, {
      get: (target, name) => {
        if (name !== 'read') return Reflect.get(target, name);
        return async (...range: Parameters<typeof blobs.read>) => {
          if (++reads === 2) throw new Fault('checksum differs');
          return await blobs.read(...range);
        };
      },
    }),
  };
  const connection = await select(env);
  const answer = await run(connection, 'FETCH 1:3 (UID BODY.PEEK[TEXT])');
  assert.match(answer, /^\* 1 FETCH .*\r\n\* 3 FETCH .*\r\nt\d+ NO \[UNAVAILABLE\] /s);
  assert.doesNotMatch(answer, /\* 2 FETCH/);
  assert.ok(world.logged.some(({ event }) => event === 'imap.unreadable'));
  assert.match(await run(connection, 'NOOP'), / OK /);
  connection.end();
});

test('a message whose content is gone is left out, and the answer is NO', async () => {
  const world = await open();
  for (let n = 1; n <= 2; n++) await world.deliver('INBOX', exampleMessage(n));
  const { store } = world.env;
  const env: ImapEnvironment = {
    ...world.env,
    store: new Proxy(store, {
      get: (target, name) => {
        if (name !== 'contents') return Reflect.get(target, name).bind(target);
        return async (account: never, ids: readonly ContentId[], fields: never) =>
          (await store.contents(account, ids, fields)).map((one, index) => (index === 0 ? undefined : one));
      },
    }),
  };
  const connection = await select(env);
  for (const item of ['ENVELOPE', 'BODYSTRUCTURE', 'BODY', 'BODY.PEEK[]', 'BODY.PEEK[HEADER.FIELDS (Subject)]']) {
    const answer = await run(connection, `FETCH 1:2 (UID ${item})`);
    assert.match(answer, /^\* 2 FETCH \(UID 2 .*\)\r\nt\d+ NO \[EXPUNGEISSUED\] /s, item);
  }
  connection.end();
});

test('ENVELOPE and BODYSTRUCTURE are read from the store once for all sessions', async () => {
  const world = await open();
  for (let n = 1; n <= 3; n++) await world.deliver('INBOX', exampleMessage(n));
  const { store } = world.env;
  let asked = 0;
  const env: ImapEnvironment = {
    ...world.env,
    store: new Proxy(store, {
      get: (target, name) => {
        if (name !== 'contents') return Reflect.get(target, name).bind(target);
        return async (account: never, ids: readonly ContentId[], fields: never) => {
          asked += ids.length;
          return await store.contents(account, ids, fields);
        };
      },
    }),
  };
  const a = await select(env);
  const b = await select(env);
  const first = await run(a, 'FETCH 1:3 (ENVELOPE BODYSTRUCTURE BODY)');
  assert.equal(asked, 9);
  const second = await run(b, 'FETCH 1:3 (ENVELOPE BODYSTRUCTURE BODY)');
  assert.equal(asked, 9);
  assert.equal(second.replace(/\r\nt\d+ /, ''), first.replace(/\r\nt\d+ /, ''));
  a.end();
  b.end();
});

test('numbers of every length and dates of every kind are written right', async () => {
  const world = await open();
  const mailbox = await world.mailboxId('INBOX');
  const content = toContentInput(await describeMessage([Buffer.from(exampleMessage(1))]), [], '');
  const dates = [0, 59, 86_399, 86_400, 951_782_400, 1_234_567_890, 4_102_444_799];
  for (const [index, internalDate] of dates.entries()) {
    const one = { ...content, size: 10 ** index };
    await world.commit([{ t: 'append', mailbox, content: one, flags: [], internalDate, quota: 'ignore' }]);
  }
  const connection = await select(world.env);
  const answer = await run(connection, 'UID FETCH 1:* (INTERNALDATE RFC822.SIZE)');
  assert.deepEqual(
    [...answer.matchAll(/FETCH \(UID \d+ INTERNALDATE "(.{26})" RFC822\.SIZE (\d+)\)/g)].map(([, date, size]) => [
      Date.parse(date!) / 1000,
      Number(size),
    ]),
    dates.map((date, index) => [date, 10 ** index]),
  );
  connection.end();
});
