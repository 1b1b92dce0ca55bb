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
import { ISOLATED, ISOLATED_VARIABLE, namespacesMissing } from './support/server-room.ts';

const words = process.argv.slice(2).filter((word) => !word.startsWith('--'));
const flags = process.argv.slice(2).filter((word) => word.startsWith('--'));
const root = join(import.meta.dirname, '..');
const files = globSync('test/cluster/**/*.test.ts', { cwd: root })
  .filter((file) => words.length === 0 || words.some((word) => file.includes(word)))
  .sort();
const isFault = (file: string): boolean => file.includes('/faults/');
/** They make links and take them down, in a network of their own. */
const isOfLinks = (file: string): boolean => file.endsWith('/links.test.ts');
const faults = process.env.FAULTS === 'off' ? [] : files.filter(isFault);
const others = files.filter((file) => !isFault(file));

interface Running {
  readonly concurrency: number;
  /** Of the runner. */
  readonly prefix?: readonly string[];
  readonly env?: NodeJS.ProcessEnv;
}

async function run(tests: readonly string[], { concurrency, prefix = [], env = {} }: Running): Promise<boolean> {
  if (tests.length === 0) return true;
  const args = ['--test', `--test-concurrency=${concurrency}`, '--test-reporter=spec', ...flags, ...tests];
  const [command, ...more] = [...prefix, process.execPath, ...args] as [string, ...string[]];
  const runner = spawn(command, more, { cwd: root, stdio: 'inherit', env: { ...process.env, ...env } });
  return (await once(runner, 'exit'))[0] === 0;
}

/** Where namespaces can't be made, the tests say so. */
async function runIsolated(tests: readonly string[]): Promise<boolean> {
  const isolated = (await namespacesMissing()) === false;
  return run(tests, {
    concurrency: 1,
    ...(isolated ? { prefix: ISOLATED, env: { [ISOLATED_VARIABLE]: 'true' } } : {}),
  });
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
const outcomes = [
  await run(others, { concurrency: Math.min(2, availableParallelism()) }),
  await run(
    faults.filter((file) => !isOfLinks(file)),
    { concurrency: 1 },
  ),
  await runIsolated(faults.filter(isOfLinks)),
];
process.exitCode = outcomes.every(Boolean) ? 0 : 1;
