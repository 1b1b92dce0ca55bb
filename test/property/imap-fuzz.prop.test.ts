/**
 * Goal: whatever a client sends, in any chunking, `feed` resolves, nothing counts as a bug of ours, and the connection
 * is either alive or was closed with a BYE. Mutates all transcripts; FUZZ_SECONDS says for how long.
 */

import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, test } from 'node:test';
import fc from 'fast-check';
import { makeImapEngine } from '../../core/imap/engine.ts';
import { chunked } from '../support/chunks.ts';
import { type ImapStores, ImapWorld, openImapStores, PASSWORD } from '../support/imap-world.ts';
import { exampleMessage } from '../support/messages.ts';
import { TestConnection } from '../support/test-connection.ts';
import { parseDialogues } from '../transcripts/parse.ts';

const SECONDS = Number(process.env.FUZZ_SECONDS ?? 5);
const FOLDER = join(import.meta.dirname, '../transcripts/imap');

interface Seed {
  readonly state: string;
  readonly bytes: Buffer;
}

/** All that the first connection's client sends in each dialogue. */
const SEEDS: readonly Seed[] = readdirSync(FOLDER).flatMap((file) =>
  parseDialogues(readFileSync(join(FOLDER, file), 'utf8'), file).map((dialogue) => ({
    state: dialogue.header.get('state') ?? 'authenticated',
    bytes: Buffer.from(
      dialogue.steps
        .flatMap((step) => (step.t === 'client' ? [step.bytes.replace(/\$[a-z][a-zA-Z0-9]*/g, '1')] : []))
        .join(''),
      'latin1',
    ),
  })),
);

const TOKENS = [
  '{',
  '}',
  '{5}\r\n',
  '{5+}\r\n',
  '~{3+}\r\n',
  '(',
  ')',
  '"',
  '\\',
  '\r\n',
  '\n',
  '\0',
  '\xff',
  'NIL',
  ' ',
];
const WORDS = ['*', '%', '0', '4294967296', '1:*', '$', '&', '[', ']', '<0.1>', 'UID ', 'DONE\r\n', 'a IDLE\r\n', '+'];
const token = fc.constantFrom(...TOKENS, ...WORDS);

type Mutation = (bytes: Buffer) => Buffer;
const place = fc.double({ min: 0, max: 1, noNaN: true });
const span = fc.tuple(place, fc.nat(30));
const at = (bytes: Buffer, where: number): number => Math.floor(where * bytes.length);

const mutation: fc.Arbitrary<Mutation> = fc.oneof(
  fc.tuple(place, token).map(([where, text]) => (bytes: Buffer) => {
    const i = at(bytes, where);
    return Buffer.concat([bytes.subarray(0, i), Buffer.from(text, 'latin1'), bytes.subarray(i)]);
  }),
  span.map(([where, length]) => (bytes: Buffer) => {
    const i = at(bytes, where);
    return Buffer.concat([bytes.subarray(0, i), bytes.subarray(i + length)]);
  }),
  fc.tuple(span, place).map(([[from, length], to]) => (bytes: Buffer) => {
    const i = at(bytes, to);
    const piece = bytes.subarray(at(bytes, from), at(bytes, from) + length);
    return Buffer.concat([bytes.subarray(0, i), piece, bytes.subarray(i)]);
  }),
  fc.tuple(place, fc.nat(255)).map(([where, value]) => (bytes: Buffer) => {
    const changed = Buffer.from(bytes);
    if (changed.length > 0) changed[at(bytes, where) % changed.length] = value;
    return changed;
  }),
);

let stores: ImapStores | undefined;
after(() => stores?.close());

async function prepared(state: string): Promise<{ world: ImapWorld; connection: TestConnection }> {
  stores ??= await openImapStores();
  const world = await ImapWorld.open(stores, { appendSizeBytesMax: 10_000 });
  const connection = new TestConnection(makeImapEngine(world.env), { tls: !state.startsWith('not') });
  if (state.startsWith('not')) return { world, connection };
  await connection.send(`l LOGIN alice "${PASSWORD}"\r\n`);
  if (state.startsWith('selected')) {
    for (let n = 1; n <= 3; n++) await world.deliver('INBOX', exampleMessage(n));
    await connection.send('s SELECT INBOX\r\n');
  }
  return { world, connection };
}

test('no mutation of any dialogue breaks the engine', { timeout: (SECONDS + 60) * 1000 }, async () => {
  const sizes = fc.array(fc.integer({ min: 1, max: 60 }), { maxLength: 8 });
  await fc.assert(
    fc.asyncProperty(
      fc.constantFrom(...SEEDS),
      fc.array(mutation, { minLength: 1, maxLength: 6 }),
      sizes,
      async (seed, mutations, pieceSizes) => {
        const { world, connection } = await prepared(seed.state);
        const bytes = mutations.reduce((before, mutate) => mutate(before), seed.bytes);
        for (const chunk of chunked(bytes, pieceSizes)) await connection.send(chunk);
        const faults = world.logged.filter(({ event }) => event === 'imap.fault' || event === 'imap.pollFailed');
        assert.deepEqual(faults, []);
        if (!connection.closed) connection.engine.expire();
        assert.ok(connection.closed);
        assert.match(connection.rest(), /^\* BYE /m);
        connection.end();
        // Whatever waited for the client gives up in the next turn.
        await new Promise(setImmediate);
        assert.equal(world.listeners, 0);
      },
    ),
    { numRuns: 1_000_000, interruptAfterTimeLimit: SECONDS * 1000, markInterruptAsFailure: false },
  );
});
