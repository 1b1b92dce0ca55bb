/** Properties of feature extraction and its stored form: never throws, always bounded, the same twice, there and back. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { FeatureDecoder } from '../../core/spam/codec.ts';
import { Extractor } from '../../core/spam/extract.ts';
import { normaliseText } from '../../core/spam/normalise.ts';
import { GROUP_BUCKETS, GROUPS } from '../../core/spam/schema.ts';

const nullable = <T>(arbitrary: fc.Arbitrary<T>) => fc.option(arbitrary, { nil: null });

const field = fc
  .tuple(
    fc.constantFrom(
      'From',
      'Subject',
      'Received',
      'Content-Type',
      'Message-ID',
      'Date',
      'Reply-To',
      'X-Mailer',
      'List-Id',
      'X-Odd',
      '',
    ),
    fc.string({ unit: 'binary', maxLength: 120 }),
  )
  .map(([name, value]) => `${name}: ${value}`);

const mail = fc
  .tuple(
    fc.array(field, { maxLength: 12 }),
    fc.constantFrom(
      'Content-Type: text/plain',
      'Content-Type: text/html; charset=utf-8',
      'Content-Type: text/plain\r\nContent-Transfer-Encoding: base64',
      'Content-Type: multipart/mixed; boundary=b',
    ),
    fc.string({ unit: 'binary', maxLength: 2000 }),
  )
  .map(([fields, type, body]) => Buffer.from(`${fields.join('\r\n')}\r\n${type}\r\n\r\n${body}`));

const input = fc.record({
  bytes: fc.oneof(mail, fc.uint8Array({ maxLength: 3000 })),
  envelopeSender: nullable(fc.string({ maxLength: 60 })),
  helo: nullable(fc.string({ maxLength: 60 })),
  clientAddress: nullable(fc.oneof(fc.ipV4(), fc.ipV6(), fc.string({ maxLength: 20 }))),
  tls: nullable(fc.boolean()),
  authentication: fc.constant(null),
});

const snapshot = (extractor: Extractor): number[][] =>
  GROUPS.map((_, group) => [...extractor.lists[group]!.subarray(0, extractor.counts[group]!)]);

test('any bytes give distinct buckets within bounds, the same from a fresh and a used extractor', () => {
  const used = new Extractor();
  fc.assert(
    fc.property(input, (given) => {
      used.extract(given);
      const lists = snapshot(used);
      lists.forEach((list, group) => {
        assert.equal(new Set(list).size, list.length);
        assert.ok(list.every((bucket) => bucket < GROUP_BUCKETS[group]!));
      });
      const fresh = new Extractor();
      fresh.extract(given);
      assert.deepEqual(snapshot(fresh), lists);
    }),
    { numRuns: 60 },
  );
});

test('stored features come back', () => {
  const extractor = new Extractor();
  const decoder = new FeatureDecoder();
  fc.assert(
    fc.property(input, (given) => {
      extractor.extract(given);
      assert.ok(decoder.decode(extractor.encode()));
      snapshot(extractor).forEach((list, group) => {
        const back = [...decoder.lists[group]!.subarray(0, decoder.counts[group]!)];
        assert.deepEqual(
          back,
          list.sort((a, b) => a - b),
        );
      });
    }),
    { numRuns: 150 },
  );
});

test('damaged stored features are refused or read within bounds', () => {
  const extractor = new Extractor();
  const decoder = new FeatureDecoder();
  fc.assert(
    fc.property(input, fc.nat(), fc.integer({ min: 1, max: 255 }), (given, place, change) => {
      extractor.extract(given);
      const stored = extractor.encode();
      stored[place % stored.length]! ^= change;
      try {
        if (!decoder.decode(stored)) return;
      } catch (error) {
        assert.equal((error as Error).name, 'Fault');
        return;
      }
      decoder.counts.forEach((count, group) => {
        assert.ok(decoder.lists[group]!.subarray(0, count).every((bucket) => bucket < GROUP_BUCKETS[group]!));
      });
    }),
    { numRuns: 300 },
  );
});

test('normalising is lower case and does nothing the second time', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary', maxLength: 200 }), (text) => {
      const once = normaliseText(text).text;
      assert.equal(normaliseText(once).zeroWidth, 0);
      assert.equal(normaliseText(once).directionMarks, 0);
      assert.equal(once, once.toLowerCase());
    }),
    { numRuns: 500 },
  );
});
