/** Kills a process that accepts messages and runs their stages at random moments: nothing acknowledged is ever undone. */

import assert from 'node:assert/strict';
import fs from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import type { Stage } from '../../core/filter/verdict.ts';
import { EmbeddedQueue } from '../../drivers/embedded/queue.ts';
import { ALL, claim, idOf, message, NOW, verdict } from '../contract/queue-fixture.ts';
import { randomFrom, runUntilKilled } from './kill.ts';

const child = fileURLToPath(new URL('./queue-child.ts', import.meta.url));

test('kill -9 at random moments undoes no acceptance, no verdict and no dead letter', async (t) => {
  const seed = Number(process.env.SEED ?? Date.now() % 1_000_000);
  t.diagnostic(`seed ${seed}`);
  const random = randomFrom(seed);
  const folder = fs.mkdtempSync(join(tmpdir(), 'mailmesh-crash-'));
  const accepted = new Set<number>();
  const settled = new Set<string>();
  const dead = new Set<number>();
  try {
    for (let round = 0; round < 5; round++) {
      const next = Math.max(0, ...accepted) + 10;
      for (const line of await runUntilKilled(child, [folder, String(next)], 1 + Math.floor(random() * 300))) {
        const [what, number, stage] = line.split(' ');
        if (what === 'a') accepted.add(Number(number));
        else if (what === 'd') dead.add(Number(number));
        else {
          const key = `${number} ${stage}`;
          assert.ok(!settled.has(key), `settled twice: ${key}, seed ${seed}`);
          settled.add(key);
        }
      }
      const queue = new EmbeddedQueue({ folder, now: () => NOW });
      await queue.open();
      try {
        assert.deepEqual(await queue.verify(false), [], `seed ${seed}, round ${round}`);
        for (const number of accepted) {
          const record = (await queue.show(idOf(number)))!;
          assert.deepEqual(record.accepted, message(number), `message ${number}, seed ${seed}`);
          for (const { stage, state } of record.jobs) {
            assert.notEqual(state, 'running');
            if (settled.has(`${number} ${stage}`)) assert.deepEqual(record.verdicts[stage], verdict(stage));
          }
          if (dead.has(number)) assert.equal(record.state, 'dead');
          assert.equal(record.deliveries.length, record.verdicts.delivery === undefined ? 0 : 1);
        }
      } finally {
        await queue.close();
      }
    }
    await finishAll(folder, accepted, dead);
  } finally {
    fs.rmSync(folder, { recursive: true });
  }
});

/** Whatever was interrupted can be run to its end. */
async function finishAll(folder: string, accepted: ReadonlySet<number>, dead: ReadonlySet<number>): Promise<void> {
  const queue = new EmbeddedQueue({ folder, now: () => NOW });
  await queue.open();
  try {
    const run = async (stage: Stage) => {
      for (const job of await claim(queue, stage, NOW, 10_000)) await queue.settle(job, verdict(stage));
    };
    for (const { stage } of ALL) await run(stage);
    for (const number of accepted) {
      const { state } = (await queue.show(idOf(number)))!;
      // The child may have been killed between giving a job up and saying so.
      if (number % 7 !== 3) assert.equal(state, 'done');
      else assert.ok(state === 'dead' || (state === 'done' && !dead.has(number)), `${number} is ${state}`);
    }
  } finally {
    await queue.close();
  }
}
