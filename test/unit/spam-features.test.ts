/** Features: deterministic, blind to the receiving side and to disguise, bounded, and without text when stored. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { FeatureDecoder } from '../../core/spam/codec.ts';
import { type ExtractInput, Extractor } from '../../core/spam/extract.ts';
import { linksInText, parseLink } from '../../core/spam/links.ts';
import { normaliseText } from '../../core/spam/normalise.ts';
import { CONTENT, GROUPS, HEADER, RAW, ROUTE, SIGNALS, TEXT } from '../../core/spam/schema.ts';
import { addressIn, senderKey, senderOf } from '../../core/spam/sender.ts';
import { isTraceField } from '../../core/spam/trace-fields.ts';

const extractor = new Extractor();

function features(message: string | Uint8Array, more: Partial<ExtractInput> = {}): number[][] {
  extractor.extract({
    bytes: typeof message === 'string' ? Buffer.from(message) : message,
    envelopeSender: null,
    helo: null,
    clientAddress: null,
    tls: null,
    authentication: null,
    ...more,
  });
  return GROUPS.map((_, group) => [...extractor.lists[group]!.subarray(0, extractor.counts[group]!)]);
}

const HEADER_TEXT = 'From: Ann <ann@example.org>\r\nSubject: A good offer\r\nMIME-Version: 1.0\r\n';
const plain = (body: string, fields = ''): string =>
  `${HEADER_TEXT}${fields}Content-Type: text/plain; charset=utf-8\r\n\r\n${body}`;
const html = (body: string): string => `${HEADER_TEXT}Content-Type: text/html; charset=utf-8\r\n\r\n${body}`;

test('the same message gives the same features, also after others', () => {
  const first = features(plain('buy this watch now http://shop.example/watch'));
  features(plain('something else entirely '.repeat(400)));
  assert.deepEqual(features(plain('buy this watch now http://shop.example/watch')), first);
});

test('line ends make no difference', () => {
  const crlf = plain('one line\r\nand another\r\n');
  const [a, b] = [features(crlf), features(crlf.replaceAll('\r\n', '\n'))];
  for (const group of [RAW, HEADER, CONTENT, TEXT]) assert.deepEqual(b[group], a[group]);
});

test('what the receiving side, lists and other filters add gives no raw, header, content or text feature', () => {
  const clean = features(plain('hello'));
  const traced = features(
    `Return-Path: <x@y.example>\r\nDelivered-To: me@here.example\r\nReceived: from a by b for <me@here.example>; now\r\n` +
      `X-Spam-Status: Yes, score=30\r\nAuthentication-Results: here.example; spf=pass\r\nTo: me@here.example\r\n` +
      `List-Id: <list.here.example>\r\nX-Bogosity: Spam\r\n${plain('hello')}`,
  );
  for (const group of [RAW, HEADER, CONTENT, TEXT]) assert.deepEqual(traced[group], clean[group], String(group));
});

test('the route group reads who sent, not who received', () => {
  const received = (from: string, by: string): number[] =>
    features(`Received: from ${from} by ${by} with ESMTP; now\r\n${plain('hello')}`)[ROUTE]!;
  assert.deepEqual(received('mx.a.example ([192.0.2.7])', 'here'), received('mx.a.example ([192.0.2.7])', 'there'));
  assert.notDeepEqual(received('mx.a.example', 'here'), received('mx.b.example', 'here'));
});

test('base64 and quoted-printable have the content of the plain text', () => {
  const words = 'cheap watches for you, dear friend';
  const direct = features(plain(words));
  const base64 = features(plain(Buffer.from(words).toString('base64'), 'Content-Transfer-Encoding: base64\r\n'));
  const quoted = features(
    plain('cheap =77atches for you, dear fri=\r\nend', 'Content-Transfer-Encoding: quoted-printable\r\n'),
  );
  for (const group of [CONTENT, TEXT]) {
    assert.deepEqual(base64[group], direct[group]);
    assert.deepEqual(quoted[group], direct[group]);
  }
});

test('disguised words have the features of plain ones', () => {
  const direct = features(plain('cheap watches'));
  for (const disguise of [
    'ch\u200beap wat\u200dches',
    'chеаp wаtchеs',
    'ｃｈｅａｐ ｗａｔｃｈｅｓ',
    'chéap wàtches',
    'CHEAP Watches',
  ]) {
    const got = features(plain(disguise));
    for (const group of [CONTENT, TEXT]) assert.deepEqual(got[group], direct[group], disguise);
  }
});

test('words split by comments or empty tags, and hidden text, look like what is shown', () => {
  const direct = features(html('<p>cheap watches</p>'));
  for (const disguise of [
    '<p>ch<!-- x -->eap wat<b></b>ches</p>',
    '<p>cheap watches</p><!-- good words -->',
    '<p>cheap watches</p><style>good words</style>',
  ])
    assert.deepEqual(features(html(disguise))[CONTENT], direct[CONTENT], disguise);
});

test('stored features come back as they were extracted', () => {
  const lists = features(plain('buy this watch now '.repeat(50)), {
    envelopeSender: 'a@b.example',
    helo: 'h.example',
    clientAddress: '192.0.2.1',
  });
  const decoder = new FeatureDecoder();
  const stored = extractor.encode();
  assert.ok(decoder.decode(stored));
  lists.forEach((list, group) => {
    const decoded = [...decoder.lists[group]!.subarray(0, decoder.counts[group]!)];
    assert.deepEqual(
      decoded,
      list.sort((a, b) => a - b),
    );
  });
});

test('stored features hold no text', () => {
  features(plain('unmistakable confidential sentence'));
  assert.ok(!Buffer.from(extractor.encode()).toString('latin1').includes('confid'));
});

test('broken stored features are refused or unknown, never read past their end', () => {
  features(plain('some words'));
  const stored = extractor.encode();
  const decoder = new FeatureDecoder();
  assert.equal(decoder.decode(Uint8Array.of(99, ...stored.subarray(1))), false);
  assert.equal(decoder.decode(stored.subarray(0, 10)), false);
  assert.throws(() => decoder.decode(stored.subarray(0, stored.length - 1)));
  assert.throws(() => decoder.decode(Uint8Array.of(...stored, 1)));
});

test('copies of one mailing share a campaign key, other mail has another', () => {
  const decoder = new FeatureDecoder();
  const campaign = (body: string): number => {
    features(plain(body));
    decoder.decode(extractor.encode());
    return decoder.campaign;
  };
  const body = Array.from(
    { length: 80 },
    (_, i) => `word${String.fromCharCode(97 + (i % 26))}${'abc'.repeat(i % 5)}`,
  ).join(' ');
  assert.equal(campaign(body), campaign(body));
  assert.notEqual(
    campaign(body),
    campaign('quite another text about gardens, rivers and the long way home from the sea to the hills'),
  );
});

test('a message of any size is looked at up to a limit', () => {
  const large = Buffer.from(plain('word '.repeat(400_000)));
  features(large);
  assert.ok(extractor.encode().length < 60_000);
});

test('a signal that was not measured is no feature', () => {
  const place = SIGNALS.indexOf('spf');
  features(plain('hello'));
  assert.equal(extractor.signals[place], 0);
  const authentication = { spf: 'fail', dkim: 'none', dmarc: 'fail', arc: 'none', aligned: false };
  features(plain('hello'), { authentication });
  assert.equal(extractor.signals[place], 2);
});

test('normalising counts what it takes away and leaves other scripts alone', () => {
  assert.deepEqual(normaliseText('Plain'), {
    text: 'plain',
    zeroWidth: 0,
    directionMarks: 0,
    confusables: 0,
    compatibility: 0,
  });
  assert.equal(normaliseText('vi\u200bag\u200bra').zeroWidth, 2);
  assert.equal(normaliseText('\u202eabc').directionMarks, 1);
  assert.deepEqual([normaliseText('pаypal').text, normaliseText('pаypal').confusables], ['paypal', 1]);
  assert.equal(normaliseText('ｆｒｅｅ').compatibility, 4);
  assert.equal(normaliseText('Привет, мир').text, 'привет, мир');
  assert.equal(normaliseText('Привет, мир').confusables, 0);
});

test('links give host and disguise', () => {
  assert.deepEqual(parseLink('HTTP://user@Shop.Example.:8080/a/b?c'), {
    host: 'shop.example',
    path: '/a/b?c',
    port: true,
    user: true,
    address: false,
  });
  assert.equal(parseLink('http://3232235777/')?.address, true);
  assert.equal(parseLink('https://[2001:db8::1]/')?.address, true);
  assert.equal(parseLink('mailto:a@b.example'), null);
  assert.deepEqual(linksInText('see http://a.example/x) and (https://b.example)', 9), [
    'http://a.example/x',
    'https://b.example',
  ]);
});

test('the sender is an organisation, or an address where everyone has one', () => {
  const from = (value: string) => senderOf(value, null, null);
  assert.equal(from('"A, B" <Ann@Mail.Shop.co.uk>').organisation, 'shop.co.uk');
  assert.equal(addressIn('Ann <ann@example.org> (work)'), 'ann@example.org');
  assert.equal(addressIn('no address'), '');
  assert.equal(senderKey(from('a@x.example.org')), senderKey(from('b@y.example.org')));
  assert.notEqual(senderKey(from('a@gmail.com')), senderKey(from('b@gmail.com')));
});

test('a sender that is not authenticated has another key than one that is', () => {
  const authentication = { spf: 'pass', dkim: 'pass', dmarc: 'pass', arc: 'none', aligned: true };
  assert.notEqual(
    senderKey(senderOf('a@bank.example', null, null)),
    senderKey(senderOf('a@bank.example', null, authentication)),
  );
});

test('verdict fields of any filter are trace fields, ordinary ones are not', () => {
  for (const name of [
    'x-spam-flag',
    'x-spam',
    'received',
    'to',
    'x-rspamd-queue-id',
    'x-my-spam-level',
    'list-id',
    'x-mailmesh-spam',
  ])
    assert.ok(isTraceField(name), name);
  for (const name of ['from', 'subject', 'x-mailer', 'content-type', 'message-id', 'x-priority', 'organization'])
    assert.ok(!isTraceField(name), name);
});
