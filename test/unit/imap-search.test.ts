/** SEARCH where a property would seldom come by: parts that are read in pieces, a broken index, fairness to others. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ColumnsCache } from '../../core/imap/columns-cache.ts';
import type { ImapEnvironment } from '../../core/imap/environment.ts';
import { ConnectionClosed } from '../../core/imap/input.ts';
import { MailboxView } from '../../core/imap/mailbox-view.ts';
import { ArgParser } from '../../core/imap/parser.ts';
import { parseSearch } from '../../core/imap/search-keys.ts';
import { search } from '../../core/imap/search-run.ts';
import type { ImapSession } from '../../core/imap/session.ts';
import type { SearchStore } from '../../core/ports/search-store.ts';
import { MemoryBlobs } from '../support/memory-blobs.ts';
import { ACCOUNT, MAILBOX, MemoryMailbox } from '../support/memory-mailbox.ts';
import { exampleMessage } from '../support/messages.ts';

interface Bench {
  readonly find: (text: string) => Promise<number[]>;
  readonly input: { ended: boolean };
  readonly logged: string[];
  turns: number;
}

async function bench(messages: readonly Uint8Array[], index: Partial<SearchStore> = {}): Promise<Bench> {
  const box = new MemoryMailbox();
  const blobs = new MemoryBlobs();
  for (const message of messages) await box.deliver(blobs, message, [], 0);
  const store = box.asStore();
  const columns = new ColumnsCache(store);
  const input = { ended: false };
  const logged: string[] = [];
  let time = 0;
  const made: Bench = {
    input,
    logged,
    turns: 0,
    async find(text) {
      const args = parseSearch(new ArgParser([{ t: 'text', bytes: Buffer.from(` ${text}`) }]));
      return (await search(session, args.key)).map(({ seq }) => seq);
    },
  };
  const env: Partial<ImapEnvironment> = {
    store,
    blobs: blobs.asStore(),
    columns,
    search: { candidates: async () => null, ...index } as unknown as SearchStore,
    // Each look at the clock is a millisecond later.
    now: () => time++,
    turn: async () => {
      made.turns++;
    },
  };
  const session = {
    env,
    input,
    account: ACCOUNT,
    enabled: {},
    log: (event: string) => logged.push(event),
  } as unknown as ImapSession;
  const view = new MailboxView(session, columns, (await columns.acquire(ACCOUNT, MAILBOX))!, {
    readOnly: true,
    mailbox: box.mailbox(),
  });
  Object.assign(session, { view });
  return made;
}

/** 1.5 MB of lines; `needle` stands across the place where a piece ends. */
function longText(needle: string): string {
  const filler = `${'0123456789 '.repeat(6)}\r\n`;
  const lines = filler.repeat(Math.ceil((1.5 * 1024 * 1024) / filler.length));
  return `${lines.slice(0, 700_000)}${needle}${lines.slice(700_000)}`;
}

const withBody = (charset: string, encoding: string, body: string | Buffer): Buffer =>
  Buffer.concat([
    Buffer.from(`Content-Type: text/plain; charset=${charset}\r\nContent-Transfer-Encoding: ${encoding}\r\n\r\n`),
    Buffer.from(body),
  ]);

test('text in a part that is decoded piece by piece is found wherever a piece ends', async () => {
  const needle = 'Überall\r\nzu finden';
  const text = longText(needle);
  const base64 = (bytes: Buffer): string => bytes.toString('base64').replace(/.{76}/g, '$&\r\n');
  const { find } = await bench([
    withBody('utf-8', '8bit', text),
    withBody('utf-8', 'base64', base64(Buffer.from(text))),
    withBody('iso-8859-1', '8bit', Buffer.from(text, 'latin1')),
    withBody('utf-16le', 'base64', base64(Buffer.from(text, 'utf16le'))),
    withBody('utf-8', '8bit', longText('nothing')),
    // One line only: it is cut where a piece is full.
    withBody('us-ascii', '7bit', 'x'.repeat(1_000_000)),
  ]);
  assert.deepEqual(await find('BODY "ÜBERALL"'), [1, 2, 3, 4]);
  assert.deepEqual(await find('BODY "zu finden"'), [1, 2, 3, 4]);
  assert.deepEqual(await find('BODY "nothing"'), [5]);
  assert.deepEqual(await find(`BODY "${'x'.repeat(300_000)}"`), [6]);
  assert.deepEqual(await find('NOT BODY "0123456789 "'), [6]);
});

test('the header of a message inside of the message belongs to its body', async () => {
  const { find } = await bench([
    Buffer.from('Subject: outer\r\nContent-Type: message/rfc822\r\n\r\nSubject: =?utf-8?Q?inn=65r?=\r\n\r\nhello\r\n'),
  ]);
  assert.deepEqual(await find('BODY "subject: inner"'), [1]);
  assert.deepEqual(await find('BODY outer'), []);
  assert.deepEqual(await find('SUBJECT inner'), []);
  assert.deepEqual(await find('TEXT outer TEXT hello'), [1]);
});

test('a word does not go from one part into the next', async () => {
  const { find } = await bench([
    Buffer.from(
      'Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\nfoo\r\n--b\r\nContent-Disposition: attachment\r\n\r\nbar\r\n--b--\r\n',
    ),
  ]);
  assert.deepEqual(await find('BODY foobar'), []);
  assert.deepEqual(await find('BODY foo BODY bar'), [1]);
  assert.deepEqual(await find('BODY --b'), []);
});

test('without its index a search reads the messages, and says so in the log', async () => {
  const { find, logged } = await bench([Buffer.from(exampleMessage(1)), Buffer.from(exampleMessage(2))], {
    candidates: async () => {
      throw new Error('index is broken');
    },
  });
  assert.deepEqual(await find('TEXT "message 2"'), [2]);
  assert.deepEqual(logged, ['imap.searchIndexFailed']);
});

test('a long search lets others run, and ends when its client has gone', async () => {
  const made = await bench(Array.from({ length: 100 }, (_, n) => Buffer.from(exampleMessage(n))));
  assert.equal((await made.find('TEXT message')).length, 100);
  assert.ok(made.turns > 10, `${made.turns} turns`);
  made.input.ended = true;
  await assert.rejects(made.find('TEXT message'), ConnectionClosed);
});
