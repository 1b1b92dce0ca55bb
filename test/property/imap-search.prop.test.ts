/**
 * SEARCH finds what a naive evaluation of its keys finds, whatever the tree, whether the search index knows all of the
 * messages, some of them or none.
 */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { ColumnsCache } from '../../core/imap/columns-cache.ts';
import type { ImapEnvironment } from '../../core/imap/environment.ts';
import { MailboxView } from '../../core/imap/mailbox-view.ts';
import { ArgParser } from '../../core/imap/parser.ts';
import { parseSearch } from '../../core/imap/search-keys.ts';
import { search } from '../../core/imap/search-run.ts';
import type { ImapSession } from '../../core/imap/session.ts';
import { type ContentId, contentId, modSeq } from '../../core/mail/ids.ts';
import type { SearchStore } from '../../core/ports/search-store.ts';
import { MemoryBlobs } from '../support/memory-blobs.ts';
import { ACCOUNT, MAILBOX, MemoryMailbox } from '../support/memory-mailbox.ts';

interface Message {
  readonly flags: readonly string[];
  readonly subject: string;
  readonly to: string;
  readonly body: string;
  /** Hours since 1 January 2000. */
  readonly received: number;
  /** Hours since 1 January 2000 by the sender's clock, and its zone in hours. */
  readonly sent: { readonly hours: number; readonly zone: number } | null;
}

/** A key as text of the command, and what it means. */
interface Key {
  readonly text: string;
  readonly holds: (message: Message, seq: number, last: number) => boolean;
}

const means = (text: string, holds: Key['holds']): Key => ({ text, holds });

const YEAR_2000 = Date.UTC(2000, 0, 1) / 1000;
const two = (n: number): string => String(n).padStart(2, '0');

/** The day as IMAP and the Date field write it: `2-Jan-2000`, `2 Jan 2000`. */
const day = (hours: number, separator: string): string =>
  `${1 + Math.floor(hours / 24)}${separator}Jan${separator}2000`;

const dateField = ({ hours, zone }: NonNullable<Message['sent']>): string =>
  `${day(hours, ' ')} ${two(hours % 24)}:30:00 ${zone < 0 ? '-' : '+'}${two(Math.abs(zone))}00`;

const hex = (text: string): string =>
  [...Buffer.from(text)].map((byte) => `=${byte.toString(16).padStart(2, '0')}`).join('');

const header = (message: Message): string =>
  `Subject: =?utf-8?Q?${hex(message.subject)}?=\r\nTo: ${message.to}\r\n` +
  (message.sent === null ? '' : `Date: ${dateField(message.sent)}\r\n`);

const bytes = (message: Message): Buffer =>
  Buffer.from(
    `${header(message)}Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: base64\r\n\r\n` +
      `${Buffer.from(message.body).toString('base64')}\r\n`,
  );

/** What TEXT looks at besides the body. */
const shownHeader = (message: Message): string =>
  `subject: ${message.subject}\nto: ${message.to}\n` +
  (message.sent === null ? '' : `date: ${dateField(message.sent)}\n`) +
  'content-type: text/plain; charset=utf-8\ncontent-transfer-encoding: base64';

const within = (text: string, needle: string): boolean => text.toLowerCase().includes(needle.toLowerCase());

const word = fc.constantFrom('apple', 'APP', 'ple pie', 'Grün', 'ÜN', 'x', '', 'no such');
const text = fc
  .array(fc.constantFrom('Apple', 'pie', 'grün', 'x', '\r\n'), { maxLength: 4 })
  .map((all) => all.join(' '));
const hours = fc.nat(24 * 6);
const message: fc.Arbitrary<Message> = fc.record({
  flags: fc.subarray(['\\Seen', '\\Flagged', '$Junk']),
  subject: fc.constantFrom('Apple pie', 'grün', 'x', 'APPLE'),
  to: fc.constantFrom('apple@example.com', 'x@example.com'),
  body: text,
  received: hours,
  sent: fc.option(fc.record({ hours, zone: fc.integer({ min: -12, max: 14 }) })),
});

const named = (name: string, holds: Key['holds']): fc.Arbitrary<Key> => fc.constant(means(name, holds));
const flagged = (name: string, flag: string): fc.Arbitrary<Key>[] => [
  named(name, ({ flags }) => flags.includes(flag)),
  named(`UN${name}`, ({ flags }) => !flags.includes(flag)),
];
const quoted = (needle: string): string => `"${needle}"`;
const texts = (name: string, of: (one: Message) => string): fc.Arbitrary<Key> =>
  word.map((needle) => means(`${name} ${quoted(needle)}`, (one) => within(of(one), needle)));
const dates = (prefix: string, of: (one: Message) => number | null): fc.Arbitrary<Key> =>
  fc.tuple(fc.constantFrom('BEFORE', 'ON', 'SINCE'), fc.nat(6)).map(([name, number]) => ({
    text: `${prefix}${name} ${day(number * 24, '-')}`,
    holds: (one) => {
      const value = of(one);
      if (value === null) return false;
      const its = Math.floor(value / 24);
      return name === 'BEFORE' ? its < number : name === 'ON' ? its === number : its >= number;
    },
  }));
const number = fc.integer({ min: 1, max: 8 });

const leaf: fc.Arbitrary<Key> = fc.oneof(
  named('ALL', () => true),
  ...flagged('SEEN', '\\Seen'),
  ...flagged('FLAGGED', '\\Flagged'),
  ...flagged('KEYWORD $JUNK', '$Junk'),
  dates('', ({ received }) => received),
  dates('SENT', ({ sent }) => sent?.hours ?? null),
  texts('SUBJECT', ({ subject }) => subject),
  texts('HEADER to', ({ to }) => to),
  texts('BODY', ({ body }) => body),
  texts('TEXT', (one) => `${shownHeader(one)}\n${one.body}`),
  fc
    .tuple(number, number)
    .map(([a, b]) => means(`${a}:${b}`, (_one, seq) => seq >= Math.min(a, b) && seq <= Math.max(a, b))),
  // `*` is the last message, whatever stands before it.
  number.map((limit) => means(`UID ${limit}:*,1`, (_one, seq, last) => seq === 1 || seq >= Math.min(limit, last))),
  fc.nat(400).map((size) => means(`LARGER ${size}`, (one) => bytes(one).length > size)),
  fc.nat(400).map((size) => means(`SMALLER ${size}`, (one) => bytes(one).length < size)),
);

const { key } = fc.letrec<{ key: Key }>((tie) => ({
  key: fc.oneof(
    { depthSize: 'small', withCrossShrink: true },
    leaf,
    tie('key').map(({ text, holds }) => means(`NOT ${text}`, (...of) => !holds(...of))),
    fc
      .tuple(tie('key'), tie('key'))
      .map(([a, b]) => means(`OR ${a.text} ${b.text}`, (...of) => a.holds(...of) || b.holds(...of))),
    fc
      .array(tie('key'), { minLength: 1, maxLength: 3 })
      .map((keys) =>
        means(`(${keys.map((one) => one.text).join(' ')})`, (...of) => keys.every((one) => one.holds(...of))),
      ),
  ),
}));

/** Knows the first messages: those that may match, and some more. */
const index = (messages: readonly Message[], known: number, everything: boolean): SearchStore => {
  const candidates: SearchStore['candidates'] = async (_account, where, [needle = '']) => {
    if (needle.length < 3) return null;
    const contents = new Set<ContentId>();
    messages.slice(0, known).forEach((one, at) => {
      const header = `${shownHeader(one)}`;
      const looked = where === 'body' ? one.body : where === 'header' ? header : `${header}\n${one.body}`;
      if (everything || within(looked, needle)) contents.add(contentId(at + 1));
    });
    return { mark: modSeq(1 + known), contents };
  };
  return { candidates } as unknown as SearchStore;
};

test('a search finds what its keys say', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(message, { maxLength: 6 }),
      fc.array(key, { minLength: 1, maxLength: 3 }),
      fc.nat(6),
      fc.boolean(),
      async (messages, keys, known, everything) => {
        const box = new MemoryMailbox();
        const blobs = new MemoryBlobs();
        for (const one of messages) await box.deliver(blobs, bytes(one), one.flags, YEAR_2000 + one.received * 3600);
        const store = box.asStore();
        const columns = new ColumnsCache(store);
        const env: Partial<ImapEnvironment> = {
          store,
          blobs: blobs.asStore(),
          columns,
          search: index(messages, Math.min(known, messages.length), everything),
          now: () => 0,
          turn: async () => {},
        };
        const host = { env, account: ACCOUNT, enabled: {} } as unknown as ImapSession;
        const view = new MailboxView(host, columns, (await columns.acquire(ACCOUNT, MAILBOX))!, {
          readOnly: true,
          mailbox: box.mailbox(),
        });
        const line = Buffer.from(` CHARSET UTF-8 ${keys.map((one) => one.text).join(' ')}`);
        const args = parseSearch(new ArgParser([{ t: 'text', bytes: line }]));
        const found = await search(Object.assign(host, { view }), args.key);
        const expected = messages.flatMap((one, at) =>
          keys.every((k) => k.holds(one, at + 1, messages.length)) ? [at + 1] : [],
        );
        assert.deepEqual(
          found.map(({ seq }) => seq),
          expected,
          line.toString(),
        );
      },
    ),
    { numRuns: 600 },
  );
});
