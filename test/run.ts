/**
 * `npm test`: every *.test.ts below this folder by node's own runner, or those whose path holds one of the words given; but
 * not test/cluster, which needs servers (test/cluster.ts). Ends with the runner's summary and its exit code.
 */

import { spawn } from 'node:child_process';
import { globSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';

const words = process.argv.slice(2).filter((word) => !word.startsWith('--'));
const flags = process.argv.slice(2).filter((word) => word.startsWith('--'));
const root = join(import.meta.dirname, '..');
const files = globSync('test/**/*.test.ts', { cwd: root, exclude: ['test/cluster/**'] })
  .filter((file) => words.length === 0 || words.some((word) => file.includes(word)))
  .sort();

if (files.length === 0) {
  console.error(`no test file's path holds ${words.join(' or ')}`);
  process.exit(2);
}
const runner = spawn(
  process.execPath,
  ['--test', `--test-concurrency=${availableParallelism()}`, '--test-reporter=spec', ...flags, ...files],
  { cwd: root, stdio: 'inherit' },
);
runner.on('exit', (code, signal) => process.exit(signal === null ? (code ?? 1) : 1));
