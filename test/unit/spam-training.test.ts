/** Training, its weights, the gate and the artefact: a few labels show, many are fair, and nothing worse gets through. */

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { Fault } from '../../core/mail/errors.ts';
import { accountId } from '../../core/mail/ids.ts';
import type { Sample } from '../../core/ports/sample-store.ts';
import { type Artefact, decodeArtefact, encodeArtefact } from '../../core/spam/artefact.ts';
import { FeatureDecoder } from '../../core/spam/codec.ts';
import { Comparison, type GateResult, gate } from '../../core/spam/gate.ts';
import { decodeGolden, encodeGolden, type GoldenMessage } from '../../core/spam/golden.ts';
import { score } from '../../core/spam/model.ts';
import { SampleWeigher } from '../../core/spam/sample-weight.ts';
import { makeSeed } from '../../core/spam/seed.ts';
import { heldOutAfter, Trainer, thresholdFor } from '../../core/spam/train.ts';
import { featuresOf, NOW, sample } from './spam-fixture.ts';

const MODELS = join(import.meta.dirname, '../../models');
const seed = decodeArtefact(readFileSync(join(MODELS, 'seed.bin')));
const golden = decodeGolden(readFileSync(join(MODELS, 'seed.golden.bin')));

function train(start: Artefact, samples: readonly Sample[], more: { recent?: Uint8Array[]; heldOut?: number } = {}) {
  const trainer = new Trainer({
    start,
    startId: null,
    champion: start,
    heldOutAfter: more.heldOut ?? heldOutAfter(samples.length, 0),
    golden,
    recent: more.recent ?? [],
    now: NOW,
  });
  trainer.learn(samples);
  while (trainer.more());
  const result = trainer.result();
  return { artefact: result.artefact, gate: gate(result.gate) };
}

const decoder = new FeatureDecoder();
function p(model: Artefact, features: Uint8Array): number {
  assert.ok(decoder.decode(features));
  return score(model.weights, model.combiner, decoder).p;
}

test('one spam label and a retraining show on the next message of the kind, not on other mail', () => {
  const { artefact, gate: verdict } = train(seed, [sample(1, 'spam')], { recent: [featuresOf('ham', 0)] });
  assert.ok(verdict.accept, verdict.reason);
  const alike = featuresOf('spam', 4);
  assert.ok(p(artefact, alike) > p(seed, alike) + 0.3, `${p(seed, alike)} to ${p(artefact, alike)}`);
  assert.ok(p(artefact, featuresOf('ham', 1)) < 0.8);
});

test('thirty labels of spam only send no wanted mail of the same server to Junk', () => {
  const samples = Array.from({ length: 30 }, (_, i) => sample(i + 1, 'spam'));
  const { artefact, gate: verdict } = train(seed, samples, { recent: [0, 1].map((n) => featuresOf('ham', n)) });
  assert.ok(verdict.accept, verdict.reason);
  for (let n = 0; n < 9; n++) {
    assert.ok(p(artefact, featuresOf('ham', n)) < artefact.thresholds.spam, `ham ${n}`);
    assert.ok(p(artefact, featuresOf('spam', n + 30)) > 0.9, `spam ${n}`);
  }
});

test('labels of both kinds are told apart', () => {
  const samples = Array.from({ length: 200 }, (_, i) => sample(i + 1, i % 2 === 0 ? 'spam' : 'ham'));
  const { artefact, gate: verdict } = train(seed, samples);
  assert.ok(verdict.accept, verdict.reason);
  assert.ok(verdict.metrics.heldOut! >= 35);
  assert.ok(p(artefact, featuresOf('spam', 1001)) > 0.9);
  assert.ok(p(artefact, featuresOf('ham', 1001)) < 0.3);
});

test('the same log gives the same bytes, in whatever slices it is learned', () => {
  const samples = Array.from({ length: 40 }, (_, i) => sample(i + 1, i % 2 === 0 ? 'spam' : 'ham'));
  const whole = train(seed, samples);
  const options = { start: seed, startId: null, champion: seed, golden, recent: [], now: NOW };
  const trainer = new Trainer({ ...options, heldOutAfter: heldOutAfter(samples.length, 0) });
  for (const one of samples) trainer.learn([one]);
  while (trainer.more());
  assert.deepEqual(encodeArtefact(trainer.result().artefact), encodeArtefact(whole.artefact));
});

test('training leaves the model it starts from alone', () => {
  const before = encodeArtefact(seed);
  train(seed, [sample(1, 'spam'), sample(2, 'ham')]);
  assert.deepEqual(encodeArtefact(seed), before);
});

test('withdrawn labels and features of another schema are not learned, but passed', () => {
  const { artefact } = train(seed, [sample(1, 'spam', { schema: 99 }), { ...sample(2, 'spam'), label: 'withdrawn' }]);
  assert.deepEqual([artefact.labels, artefact.trainedTo], [0, 2]);
});

test('no labels, no candidate; withdrawing the last one goes back to the model without it', () => {
  assert.equal(train(seed, []).gate.accept, false);
  const { artefact } = train(seed, [sample(1, 'spam')]);
  const options = { start: seed, startId: null, golden, recent: [], now: NOW, heldOutAfter: 1 };
  const trainer = new Trainer({ ...options, champion: artefact });
  while (trainer.more());
  const result = trainer.result();
  assert.equal(gate(result.gate).accept, true);
  assert.equal(p(result.artefact, featuresOf('spam', 1)), p(seed, featuresOf('spam', 1)));
});

test('held out is the newest fifth, of what the champion has not learned', () => {
  assert.equal(heldOutAfter(1, 0), 0);
  assert.equal(heldOutAfter(100, 0), 80);
  assert.equal(heldOutAfter(100, 95), 95);
  assert.equal(heldOutAfter(100, 100), 100);
});

test('the threshold comes down as local labels come in, and never below .9', () => {
  assert.equal(thresholdFor(0.95, 0), 0.95);
  assert.ok(thresholdFor(0.95, 200) < 0.93);
  assert.ok(thresholdFor(0.95, 1e6) >= 0.9);
});

/** A comparison with these judgements: [label, champion's p, candidate's p]. */
function comparison(rows: readonly (readonly ['spam' | 'ham', number, number])[]): Comparison {
  const result = new Comparison();
  for (const [label, before, after] of rows)
    result.add(label, { p: before, threshold: 0.95 }, { p: after, threshold: 0.95 });
  return result;
}
const many = (row: readonly ['spam' | 'ham', number, number], n = 25) =>
  comparison(Array.from({ length: n }, () => row));
const judge = (heldOut: Comparison, fit = many(['spam', 0.9, 0.9]), goldens = many(['ham', 0.1, 0.1])): GateResult =>
  gate({ heldOut, fit, golden: goldens, championLabels: 10 });

test('the gate accepts what is not worse and refuses more errors or false positives', () => {
  assert.equal(judge(many(['spam', 0.2, 0.9])).accept, true);
  assert.equal(judge(many(['ham', 0.2, 0.2])).accept, true);
  assert.equal(judge(many(['spam', 0.9, 0.2])).accept, false);
  const moreFalsePositives = judge(many(['ham', 0.9, 0.97]));
  assert.equal(moreFalsePositives.accept, false);
  assert.match(moreFalsePositives.reason, /false positives/);
});

test('the gate goes by the labels themselves while few are held out', () => {
  const few = comparison([['spam', 0.9, 0.1]]);
  assert.equal(judge(few).accept, true);
  assert.equal(judge(few, comparison([['ham', 0.2, 0.7]])).accept, false);
});

test('the gate refuses a new error on golden mail', () => {
  const good = many(['spam', 0.2, 0.9]);
  assert.equal(judge(good, good, comparison([['ham', 0.5, 0.99]])).accept, false);
  assert.equal(judge(good, good, many(['spam', 0.9, 0.2])).accept, false);
});

test('an artefact comes back as it was, and the same model gives the same bytes', () => {
  const { artefact } = train(seed, [sample(1, 'spam'), sample(2, 'ham')]);
  const bytes = encodeArtefact(artefact);
  const back = decodeArtefact(bytes);
  assert.deepEqual(encodeArtefact(back), bytes);
  assert.ok(Math.abs(p(back, featuresOf('spam', 3)) - p(artefact, featuresOf('spam', 3))) < 0.01);
  assert.deepEqual([back.trainedTo, back.labels, back.thresholds], [2, 2, artefact.thresholds]);
});

test('what is no model is refused', () => {
  const bytes = encodeArtefact(seed);
  for (const broken of [
    Buffer.alloc(0),
    Buffer.from('nonsense'),
    bytes.subarray(0, bytes.length - 9),
    bytes.subarray(0, 40),
  ])
    assert.throws(() => decodeArtefact(broken), Fault);
  const nan = Buffer.from(bytes);
  const at = nan.indexOf('"bias":');
  nan.write('"bias":null', at);
  assert.throws(() => decodeArtefact(nan), Fault);
});

test('the seed is small, held back and judges its golden messages rightly', () => {
  assert.ok(
    readFileSync(join(MODELS, 'seed.bin')).length + readFileSync(join(MODELS, 'seed.golden.bin')).length < 1_500_000,
  );
  assert.ok(seed.thresholds.spam >= 0.9);
  assert.ok(golden.length >= 80);
  for (const { label, features } of golden) assert.equal(p(seed, features) >= 0.5, label === 'spam');
});

test('golden messages come back, cut ones are refused', () => {
  const messages: GoldenMessage[] = [
    { label: 'spam', features: Buffer.from('abc') },
    { label: 'ham', features: Buffer.alloc(0) },
  ];
  assert.deepEqual(
    decodeGolden(encodeGolden(messages)).map((one) => [one.label, one.features.length]),
    [
      ['spam', 3],
      ['ham', 0],
    ],
  );
});

test('a seed forgets routes and what only a few messages had', () => {
  const corpus: GoldenMessage[] = Array.from({ length: 60 }, (_, i) => {
    const label = i % 2 === 0 ? 'spam' : 'ham';
    return { label, features: featuresOf(label, i) };
  });
  const { artefact, golden: chosen } = makeSeed(corpus);
  assert.ok(artefact.weights.groups[4]!.every((weight) => weight === 0));
  assert.ok(p(artefact, featuresOf('spam', 77)) > 0.6);
  assert.ok(p(artefact, featuresOf('ham', 77)) < 0.4);
  assert.ok(chosen.length <= 90);
});

const weighed = (account: string, label: 'spam' | 'ham', more: Partial<Sample> = {}) =>
  ({ account: accountId(account), sender: 's', label, weight: 1, at: NOW, ...more }) as const;

test('a label fades by half in thirty days', () => {
  const fresh = new SampleWeigher(NOW).weigh(weighed('a', 'spam'), 1, 0);
  const old = new SampleWeigher(NOW).weigh(weighed('a', 'spam', { at: NOW - 30 * 86_400_000 }), 1, 0);
  assert.ok(Math.abs(old / fresh - 0.5) < 0.01);
});

test('a user alone counts in full; in a crowd, new users count less and inverting ones nothing', () => {
  const weigher = new SampleWeigher(NOW);
  assert.ok(weigher.weigh(weighed('a', 'spam'), 1, 0) > 0.9);
  let honest = 0;
  let liar = 0;
  for (let i = 0; i < 40; i++) {
    honest = weigher.weigh(weighed('a', 'spam', { sender: `s${i}` }), 100 + i, 5);
    liar = weigher.weigh(weighed('b', 'ham', { sender: `s${i}` }), 200 + i, 5);
    weigher.weigh(weighed('c', 'spam', { sender: `s${i}` }), 300 + i, 5);
  }
  const newcomer = weigher.weigh(weighed('d', 'spam', { sender: 'n' }), 999, 0);
  assert.ok(honest > 0.6, `honest ${honest}`);
  assert.ok(liar < 0.1, `liar ${liar}`);
  assert.ok(newcomer < honest && newcomer > liar, `newcomer ${newcomer}`);
});

test('near-duplicates of one mailing stop counting', () => {
  const weigher = new SampleWeigher(NOW);
  let total = 0;
  for (let i = 0; i < 1000; i++)
    total += weigher.weigh(weighed('a', 'spam', { sender: `s${i}`, at: NOW - i * 86_400 }), 42, 0);
  assert.ok(total < 60, `${total}`);
});

test('a mailing that users disagree about waits until several agree', () => {
  const weigher = new SampleWeigher(NOW);
  weigher.weigh(weighed('a', 'ham'), 42, 0);
  assert.equal(weigher.weigh(weighed('b', 'spam'), 42, 0), 0);
  for (const user of ['c', 'd']) weigher.weigh(weighed(user, 'spam'), 42, 0);
  assert.ok(weigher.weigh(weighed('e', 'spam'), 42, 0) > 0);
});
