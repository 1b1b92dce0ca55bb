/**
 * The cluster's mail store whose n-th call to the database fails, half done or unanswered, or whose process dies there:
 * for every n, until there are no more.
 */

import { test } from 'node:test';
import fc from 'fast-check';
import { type Fault, faultSteps, survives } from '../property/mail-store-faults.ts';

const SEED = Number(process.env.SEED ?? Math.floor(Math.random() * 2 ** 31));
const RUNS = Number(process.env.RUNS ?? 4);

for (const kind of ['fails', 'dies'] as const) {
  test(`whatever call ${kind}, each commit is there once or not at all, and nothing is left behind`, async (t) => {
    const cases = fc.sample(fc.tuple(faultSteps, fc.option(fc.integer({ min: 1, max: 12 }))), {
      numRuns: RUNS,
      seed: SEED,
    });
    let faults = 0;
    for (const [index, [steps, quota]] of cases.entries()) {
      for (let moment = 1; ; moment++) {
        const fault: Fault = { moment, kind };
        const struck = await survives(steps, quota, fault).catch((error: Error) => {
          throw new Error(`SEED=${SEED}, case ${index}, moment ${moment}: ${error.message}`, { cause: error });
        });
        if (!struck) break;
        faults++;
      }
    }
    t.diagnostic(`${faults} faults`);
  });
}
