/** Owners, collectors and a reader of the cluster's mail store, their calls to the database in any order. */

import { test } from 'node:test';
import { interleaved } from '../property/mail-store-schedule.ts';

const SEED = Number(process.env.SEED ?? Math.floor(Math.random() * 2 ** 31));
const RUNS = Number(process.env.RUNS ?? 60);

test('in whatever order calls are made, commits are kept once and each answer is of one moment', async (t) => {
  const all: Record<string, number> = {};
  for (let seed = SEED; seed < SEED + RUNS; seed++) {
    const counts = await interleaved(seed).catch((error: Error) => {
      throw new Error(`SEED=${seed} RUNS=1: ${error.message}`, { cause: error });
    });
    for (const [name, count] of Object.entries(counts)) all[name] = (all[name] ?? 0) + count;
  }
  t.diagnostic(JSON.stringify(all));
});
