/**
 * A process to be killed: accepts messages and runs their stages for ever, several at a time, and says what was
 * acknowledged: `a N` accepted, `s N STAGE` settled, `d N` given up.
 */

import fs from 'node:fs';
import type { Stage } from '../../core/filter/verdict.ts';
import { EmbeddedQueue } from '../../drivers/embedded/queue.ts';
import { ALL, delivery, message, verdict } from '../contract/queue-fixture.ts';

const folder = process.argv[2]!;
let next = Number(process.argv[3]);
const queue = new EmbeddedQueue({ folder, now: () => 1_790_000_000_000 });
await queue.open();
/** One write call, so that a line is there whole or not at all. */
const say = (line: string) => fs.writeSync(1, `${line}\n`);

async function accepter(): Promise<void> {
  for (;;) {
    const number = next++;
    await queue.accept(message(number), ALL);
    say(`a ${number}`);
  }
}

async function worker(stage: Stage): Promise<void> {
  for (;;) {
    for (const job of await queue.claim(stage, { max: 8, leaseMs: 60_000, now: 1_790_000_000_000 })) {
      const number = job.message.size - 1000;
      if (stage === 'placement' && number % 7 === 3) {
        if (await queue.fail(job, 'broken', null)) say(`d ${number}`);
        continue;
      }
      const made = stage === 'delivery' ? [delivery(`r${number}@mail.localhost`)] : [];
      if (await queue.settle(job, verdict(stage), made)) say(`s ${number} ${stage}`);
    }
    await new Promise((resolve) => setImmediate(resolve));
  }
}

await Promise.all([accepter(), accepter(), ...ALL.map(({ stage }) => worker(stage))]);
