/** The spam stage: verdict, facts and header for one and many recipients, offsets and lists, and what is not scored. */

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { decisionFor, type LoadedModel, makeSpamStage, type SpamFacts, spamHeader } from '../../core/filter/spam.ts';
import type { StageContext } from '../../core/filter/stage.ts';
import type { Verdict } from '../../core/filter/verdict.ts';
import { accountId, blobRef, modelId } from '../../core/mail/ids.ts';
import type { BlobStore } from '../../core/ports/blob-store.ts';
import type { SpamPreferences } from '../../core/ports/directory.ts';
import type { Job } from '../../core/ports/queue.ts';
import type { SampleFeatures } from '../../core/ports/sample-store.ts';
import { decodeArtefact } from '../../core/spam/artefact.ts';
import { authenticationFacts } from '../../core/spam/authentication-facts.ts';
import { decide } from '../../core/spam/decide.ts';
import { listed, userOffset } from '../../core/spam/offset.ts';
import { senderOf } from '../../core/spam/sender.ts';
import { message, NOW } from './spam-fixture.ts';

const artefact = decodeArtefact(readFileSync(join(import.meta.dirname, '../../models/seed.bin')));
const MODEL: LoadedModel = { id: modelId('abcdef1234567890'), version: 12, artefact };

interface Options {
  readonly bytes?: Uint8Array;
  readonly recipients?: readonly string[];
  readonly account?: string;
  readonly authentication?: Verdict;
  readonly counts?: Readonly<Record<string, { spam: number; ham: number }>>;
  readonly preferences?: Readonly<Record<string, SpamPreferences>>;
}

async function run(options: Options = {}) {
  const bytes = options.bytes ?? message('spam', 0);
  const remembered: SampleFeatures[] = [];
  const stage = makeSpamStage({
    model: () => MODEL,
    offsets: async (account) => options.counts?.[account] ?? { spam: 0, ham: 0 },
    preferences: async (account) => options.preferences?.[account] ?? { allow: [], block: [] },
    remember: async (sample) => void remembered.push(sample),
  });
  const job = {
    stage: 'spam',
    verdicts: options.authentication === undefined ? {} : { authentication: options.authentication },
    message: {
      queueId: 'q1',
      blob: blobRef('00'),
      size: bytes.length,
      envelope: {
        sender: 'offers@shop.example',
        recipients: (options.recipients ?? ['alice']).map((name) => ({
          address: `${name}@here.example`,
          account: accountId(name),
          subaddress: '',
        })),
      },
      client: { address: '192.0.2.1', helo: 'shop.example', tls: null, account: options.account ?? null },
    },
  } as unknown as Job;
  const blobs = {
    read: async (_ref: string, start: number, end: number) => bytes.subarray(start, end),
  } as unknown as BlobStore;
  const context: StageContext = { job, blobs, signal: new AbortController().signal, now: NOW };
  const result = await stage(context);
  return { result, facts: result.facts as unknown as SpamFacts, remembered };
}

test('a message gets a verdict, a version, three reasons, a header, and is remembered', async () => {
  const { result, facts, remembered } = await run();
  assert.ok(['ham', 'spam'].includes(result.result));
  assert.equal(result.version, 'v12/abcdef12');
  assert.equal(result.reasons.length, 3);
  assert.ok(result.headers[0]!.startsWith(`X-Mailmesh-Spam: ${result.result}, score=`));
  assert.deepEqual([remembered[0]!.key, remembered[0]!.at], ['q1', NOW]);
  assert.equal(facts.perRecipient.length, 1);
  assert.ok(facts.p > 0 && facts.p < 1);
});

test('what an authenticated account submits is not scored', async () => {
  const { result, remembered } = await run({ account: 'alice' });
  assert.deepEqual([result.result, result.headers.length, remembered.length], ['skipped', 0, 0]);
  assert.equal(result.reasons.length, 1);
});

test('lists decide over the model and say so', async () => {
  const block = { alice: { allow: [], block: ['@shop.example'] } };
  const blocked = await run({ preferences: block });
  assert.equal(blocked.result.result, 'spam');
  assert.match(blocked.result.reasons[0]!, /block list/);
  const allowed = await run({
    preferences: { alice: { allow: ['offers@shop.example'], block: [] } },
    counts: { alice: { spam: 50, ham: 0 } },
  });
  assert.equal(allowed.result.result, 'ham');
});

test('an allow list does not hold for a sender that fails DMARC', async () => {
  const authentication = {
    facts: { spf: 'fail', dkim: 'none', dmarc: { result: 'fail' } },
    skipped: false,
  } as unknown as Verdict;
  const options = {
    preferences: { alice: { allow: ['offers@shop.example'], block: [] } },
    counts: { alice: { spam: 500, ham: 0 } },
  };
  assert.equal((await run(options)).result.result, 'ham');
  assert.equal((await run({ ...options, authentication })).result.result, 'spam');
});

test("a user's own labels move that user's verdict only", async () => {
  const { result, facts } = await run({ recipients: ['alice', 'bob'], counts: { alice: { spam: 500, ham: 0 } } });
  assert.equal(result.result, 'ham');
  assert.deepEqual(facts.contrary, ['alice']);
  assert.equal(decisionFor(facts, accountId('alice')), 'spam');
  assert.equal(decisionFor(facts, accountId('bob')), 'ham');
  const alone = await run({ counts: { alice: { spam: 500, ham: 0 } } });
  assert.match(alone.result.reasons[0]!, /you marked mail of this sender as spam/);
});

test('a thousand recipients have verdicts of their own in small facts', async () => {
  const recipients = Array.from({ length: 500 }, (_, i) => `user${i}`);
  const counts = Object.fromEntries(recipients.map((name, i) => [name, { spam: i % 2 === 0 ? 500 : 0, ham: 0 }]));
  const { facts } = await run({ recipients, counts });
  assert.ok(JSON.stringify(facts).length < 16 * 1024);
  recipients.forEach((name, i) => {
    assert.equal(decisionFor(facts, accountId(name)), i % 2 === 0 ? 'spam' : 'ham');
  });
});

test('an account named twice has one verdict', async () => {
  assert.equal((await run({ recipients: ['alice', 'alice'] })).facts.perRecipient.length, 1);
});

test('bytes that are no mail get a verdict too', async () => {
  for (const bytes of [Buffer.alloc(0), Buffer.alloc(5000, 0), Buffer.from('\n\n\n'), Buffer.alloc(300_000, 0xff)])
    assert.ok(['ham', 'spam'].includes((await run({ bytes })).result.result));
});

test('the header is folded, printable and cannot be broken out of', () => {
  const header = spamHeader('spam', 0.987, MODEL, ['word "a\r\nBcc: x"', 'läuft; weiter', 'x'.repeat(500)]);
  assert.ok(header.endsWith('\r\n'));
  const lines = header.slice(0, -2).split('\r\n');
  assert.ok(lines.every((line, i) => i === 0 || line.startsWith(' ')));
  assert.ok(lines.every((line) => line.length < 200 && /^[ -~]*$/.test(line)));
  assert.match(header, /^X-Mailmesh-Spam: spam, score=0\.99, model=v12\/abcdef12;/);
});

test('offsets are those of the design', () => {
  assert.equal(userOffset({ spam: 0, ham: 0 }), 0);
  assert.ok(Math.abs(userOffset({ spam: 1, ham: 0 }) - 1.5 * Math.log(1.3 / 0.3)) < 1e-9);
  assert.ok(Math.abs(userOffset({ spam: 3, ham: 1 }) + userOffset({ spam: 1, ham: 3 })) < 1e-9);
});

test('the more exact list entry wins, block on a tie', () => {
  const sender = senderOf('a@mail.shop.example', null, null);
  assert.equal(listed({ allow: ['a@mail.shop.example'], block: ['@shop.example'] }, sender), 'allow');
  assert.equal(listed({ allow: ['@shop.example'], block: ['@shop.example'] }, sender), 'block');
  assert.equal(listed({ allow: ['@other.example'], block: [] }, sender), null);
  assert.equal(listed({ allow: ['@'], block: [''] }, senderOf('', '', null)), null);
});

test('a decision names what made it', () => {
  assert.equal(decide(5, 0.95, { spam: 0, ham: 0 }, null).why, 'model');
  assert.deepEqual(decide(5, 0.95, { spam: 0, ham: 5 }, null), {
    decision: 'ham',
    score: decide(5, 0.95, { spam: 0, ham: 5 }, null).score,
    why: 'own labels',
  });
  assert.equal(decide(-5, 0.95, { spam: 0, ham: 0 }, 'block').decision, 'spam');
});

test('authentication facts are read in any of the forms a result has', () => {
  const verdict = (facts: Record<string, unknown>, skipped = false): Verdict =>
    ({ facts, skipped }) as unknown as Verdict;
  assert.equal(authenticationFacts(undefined), null);
  assert.equal(authenticationFacts(verdict({ spf: 'pass' }, true)), null);
  assert.equal(authenticationFacts(verdict({})), null);
  assert.deepEqual(
    authenticationFacts(
      verdict({ spf: 'Pass', dkim: [{ result: 'fail' }, { status: { result: 'pass' } }], dmarc: { result: 'pass' } }),
    ),
    {
      spf: 'pass',
      dkim: 'pass',
      dmarc: 'pass',
      arc: '',
      aligned: true,
    },
  );
});
