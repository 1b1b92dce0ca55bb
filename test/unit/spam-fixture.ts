/** Small made-up mail for the tests of learning: wanted and unwanted, always the same. */

import { accountId } from '../../core/mail/ids.ts';
import type { Sample } from '../../core/ports/sample-store.ts';
import { type ExtractInput, Extractor } from '../../core/spam/extract.ts';
import { SCHEMA } from '../../core/spam/schema.ts';

export const NOW = 1_790_000_000_000;

const SPAM = [
  [
    'Offers <offers@shop.example>',
    'exclusive replica watches',
    'replica watches best price limited offer http://watches.example/buy',
  ],
  [
    'Pharma <pills@pills.example>',
    'cheap pills online',
    'no prescription pharmacy pills discount order today http://pills.example/',
  ],
  [
    'Lotto <win@win.example>',
    'you have won',
    'claim your lottery prize of one million dollars now send your bank details',
  ],
] as const;
const HAM = [
  ['Bob <bob@friend.example>', 'lunch tomorrow', 'shall we have lunch tomorrow at noon at the usual place'],
  [
    'Carol <carol@work.example>',
    'minutes of the meeting',
    'attached are the minutes please send corrections until friday',
  ],
  ['Dan <dan@club.example>', 'training on thursday', 'the hall is closed this week so training moves to the small gym'],
] as const;

export function message(label: 'spam' | 'ham', n: number): Buffer {
  const texts = label === 'spam' ? SPAM : HAM;
  const [from, subject, body] = texts[n % texts.length]!;
  return Buffer.from(
    `From: ${from}\r\nTo: alice@here.example\r\nSubject: ${subject}\r\nDate: Tue, 24 Nov 2026 10:00:00 +0000\r\n` +
      `Message-ID: <${n}.x@mail.example>\r\n\r\n${body}, note ${'abcdefghij'[n % 10]}${'klmnopqrst'[(n * 7) % 10]}.\r\n`,
  );
}

const asInput = (bytes: Uint8Array): ExtractInput => ({
  bytes,
  envelopeSender: 'sender@mail.example',
  helo: 'mail.example',
  clientAddress: '192.0.2.1',
  tls: true,
  authentication: null,
});

const extractor = new Extractor();

export function featuresOf(label: 'spam' | 'ham', n: number): Uint8Array {
  extractor.extract(asInput(message(label, n)));
  return extractor.encode();
}

export function sample(seq: number, label: 'spam' | 'ham', more: Partial<Sample> = {}): Sample {
  return {
    seq,
    key: `l${seq}`,
    account: accountId('alice'),
    sample: `m${seq}`,
    label,
    source: 'move',
    sender: `sender${seq}`,
    previous: 'ham',
    score: 0.3,
    model: 'v1/abcdef12',
    schema: SCHEMA,
    weight: 1,
    at: NOW,
    features: featuresOf(label, seq),
    ...more,
  };
}
