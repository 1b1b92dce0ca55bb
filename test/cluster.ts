/**
 * `npm run test:cluster`: the tests below test/cluster, which need a MongoDB-compatible server and a NATS server, by node's
 * own runner; or those whose path holds one of the words given. Both programs are found or fetched before the first test.
 * Fault tests count seconds, so they run one by one after the others; with FAULTS=off they do not run.
 */

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { globSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { serversMissing } from './support/cluster-servers.ts';

const words = process.argv.slice(2).filter((word) => !word.startsWith('--'));
const flags = process.argv.slice(2).filter((word) => word.startsWith('--'));
const root = join(import.meta.dirname, '..');
const files = globSync('test/cluster/**/*.test.ts', { cwd: root })
  .filter((file) => words.length === 0 || words.some((word) => file.includes(word)))
  .sort();
const isFault = (file: string): boolean => file.includes('/faults/');
const faults = process.env.FAULTS === 'off' ? [] : files.filter(isFault);
const others = files.filter((file) => !isFault(file));

async function run(tests: readonly string[], concurrency: number): Promise<boolean> {
  if (tests.length === 0) return true;
  const runner = spawn(
    process.execPath,
    ['--test', `--test-concurrency=${concurrency}`, '--test-reporter=spec', ...flags, ...tests],
    { cwd: root, stdio: 'inherit' },
  );
  return (await once(runner, 'exit'))[0] === 0;
}

if (files.length === 0) {
  console.error(`no cluster test file's path holds ${words.join(' or ')}`);
  process.exit(2);
}
const missing = await serversMissing().catch((error: Error) => {
  console.error(`The cluster's tests cannot run: ${error.message}`);
  process.exit(1);
});
if (missing !== false) {
  console.log(`The cluster's tests are skipped: ${missing}`);
  process.exit(0);
}
const outcomes = [await run(others, Math.min(2, availableParallelism())), await run(faults, 1)];
process.exitCode = outcomes.every(Boolean) ? 0 : 1;
