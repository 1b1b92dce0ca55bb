/**
 * A whole server killed (or stopped) at random moments under SMTP, LMTP, APPEND and MOVE loses nothing that it answered for
 * and doubles nothing; nor does a backup made under that load. CRASH_SECONDS makes it longer, SEED repeats its moments.
 */

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as after } from 'node:timers/promises';
import { mailmesh, mailmeshJson } from '../support/cli.ts';
import { eventually, withImap } from '../support/clients.ts';
import { rest } from '../support/rest.ts';
import {
  COMMAND,
  type Login,
  newDataDir,
  removeDataDir,
  type Server,
  serverEnvironment,
  startServer,
} from '../support/server.ts';
import { randomFrom } from './kill.ts';
import { copyName, isWhole, type Ledger, load, newLedger } from './server-load.ts';

const SECONDS = Number(process.env.CRASH_SECONDS ?? 12);
const ROUNDS_MIN = 6;
const LOAD_MS_MAX = 1_500;
const START_MS_MAX = 1_200;
const DRAIN_MS = 120_000;

/** Every copy of a load message that is in a mailbox, with the mailboxes it is in; whether its bytes are whole. */
async function stored(server: Server, accounts: readonly Login[]): Promise<Map<string, string[]>> {
  const found = new Map<string, string[]>();
  for (const login of accounts) {
    await withImap(server, login, async (client) => {
      for (const { path } of await client.list()) {
        const { exists } = await client.mailboxOpen(path);
        if (exists === 0) continue;
        for await (const { envelope, source } of client.fetch('1:*', { envelope: true, source: true })) {
          const name = copyName(login.address, envelope?.messageId ?? '');
          assert.ok(isWhole(source!), `${name} in ${path} is not what was sent`);
          found.set(name, [...(found.get(name) ?? []), path]);
        }
      }
    });
  }
  return found;
}

/** A start that does not live to see its end: what it recovers is recovered again by the next one. */
async function killStart(dataDir: string, afterMs: number): Promise<void> {
  const child = spawn(process.execPath, [COMMAND, 'start', '--json'], {
    env: serverEnvironment(dataDir),
    stdio: 'ignore',
  });
  const exited = once(child, 'exit');
  await Promise.race([after(afterMs), exited]);
  child.kill('SIGKILL');
  await exited;
}

const queued = async (dataDir: string): Promise<readonly unknown[]> => mailmeshJson(dataDir, ['queue', 'list']);

/** Every answered MOVE to Junk is one label, whenever the server died afterwards. */
async function assertLabels(server: Server, dataDir: string, ledger: Ledger): Promise<void> {
  const { secret: key } = await mailmeshJson<{ secret: string }>(dataDir, ['apikey', 'create', 'x', '--scope', 'read']);
  const moved = [...ledger.promised.values()].filter(({ mailbox }) => mailbox === 'Junk').length;
  const samples = await eventually('label of every move to Junk', async () => {
    const page = await rest(server, '/v1/labels?limit=1000', { key });
    const { items, cursor } = page.json<{ items: { sample: string; label: string }[]; cursor: string | null }>();
    assert.ok(items.every(({ label }) => label === 'spam'));
    // More than a page says enough.
    return items.length >= moved || cursor !== null ? items.map(({ sample }) => sample) : undefined;
  });
  assert.equal(new Set(samples).size, samples.length, 'no move is a label twice');
  assert.ok(samples.length <= moved + ledger.undecided.size);
}

function judge(ledger: Ledger, found: ReadonlyMap<string, readonly string[]>) {
  const lost = [...ledger.promised.keys()].filter((copy) => !found.has(copy));
  const doubled = [...found].filter(([, mailboxes]) => mailboxes.length > 1).map(([copy]) => copy);
  const strange = [...found.keys()].filter((copy) => !ledger.offered.has(copy));
  const misplaced = [...ledger.promised]
    .filter(
      ([copy, { mailbox }]) => mailbox !== undefined && !ledger.undecided.has(copy) && found.get(copy)?.[0] !== mailbox,
    )
    .map(([copy, { mailbox }]) => `${copy}: ${mailbox}, not ${found.get(copy)}`);
  return { lost, doubled, strange, misplaced };
}

test('a backup made under load holds everything that was answered before it began', { timeout: 300_000 }, async (t) => {
  const random = randomFrom(1);
  const [dataDir, elsewhere] = [await newDataDir(), await newDataDir()];
  const ledger = newLedger();
  let server = await startServer(dataDir);
  t.after(async () => {
    if (server.process.exitCode === null) await server.kill();
    await removeDataDir(dataDir);
    await removeDataDir(elsewhere);
  });
  const { accounts } = server;
  let killed = false;
  const working = load({ server, accounts, ledger, random, round: 0, killed: () => killed });
  await Promise.race([after(LOAD_MS_MAX), working]);
  const promised = new Map([...ledger.promised.keys()].map((copy) => [copy, { mailbox: undefined }]));
  const backup = join(elsewhere, 'backup');
  await mailmeshJson(dataDir, ['backup', backup]);
  killed = true;
  await server.kill();
  await working;

  const restored = join(elsewhere, 'restored');
  await mailmeshJson(restored, ['restore', backup]);
  const offline = await mailmesh(restored, ['verify', '--json']);
  assert.equal(offline.code, 0, offline.out);
  server = await startServer(restored);
  await eventually('empty queue', async () => ((await queued(restored)).length === 0 ? true : undefined), DRAIN_MS);
  const found = await stored(server, accounts);
  const { lost, doubled, strange } = judge({ ...ledger, promised }, found);
  t.diagnostic(
    `${promised.size} acknowledged before, ${found.size} stored, ${doubled.length} doubled, ${lost.length} lost`,
  );
  assert.deepEqual({ lost, doubled, strange }, { lost: [], doubled: [], strange: [] });
});

test('kill -9 under load', { timeout: 900_000 }, async (t) => {
  const seed = Number(process.env.SEED ?? Date.now() % 1_000_000);
  t.diagnostic(`seed ${seed}`);
  const random = randomFrom(seed);
  const dataDir = await newDataDir();
  const ledger = newLedger();
  let server = await startServer(dataDir);
  t.after(async () => {
    if (server.process.exitCode === null) await server.kill();
    await removeDataDir(dataDir);
  });
  const { accounts } = server;
  assert.equal(accounts.length, 2);

  const deadline = performance.now() + SECONDS * 1000;
  let round = 0;
  for (; round < ROUNDS_MIN || performance.now() < deadline; round++) {
    let killed = false;
    const working = load({ server, accounts, ledger, random, round, killed: () => killed });
    await Promise.race([after(50 + random() * LOAD_MS_MAX), working]);
    killed = true;
    if (random() < 0.2) assert.equal(await server.stop(), 0);
    else await server.kill();
    await working;
    if (random() < 0.3) await killStart(dataDir, random() * START_MS_MAX);
    server = await startServer(dataDir);
  }

  await eventually('empty queue', async () => ((await queued(dataDir)).length === 0 ? true : undefined), DRAIN_MS);
  const found = await stored(server, accounts);
  const { lost, doubled, strange, misplaced } = judge(ledger, found);
  t.diagnostic(
    `${round} kills: ${ledger.promised.size} acknowledged, ${found.size} stored, ${doubled.length} doubled, ${lost.length} lost, ${misplaced.length} misplaced`,
  );
  assert.deepEqual({ lost, doubled, strange, misplaced }, { lost: [], doubled: [], strange: [], misplaced: [] });
  assert.ok(ledger.promised.size > round, 'there was load');
  await assertLabels(server, dataDir, ledger);
  const online = await mailmesh(dataDir, ['verify', '--json']);
  assert.equal(online.code, 0, online.out);
  assert.equal(await server.stop(), 0);
  const offline = await mailmesh(dataDir, ['verify', '--json']);
  assert.equal(offline.code, 0, `${offline.out}${offline.err}`);
});
