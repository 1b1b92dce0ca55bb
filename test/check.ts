/**
 * `npm run check`: types, format and lint, dead code, the rooms' import rules, generated files, image and manifests. Each
 * part runs whatever the others say; the exit code is 0 only when all are clean.
 */

import { spawnSync } from 'node:child_process';
import { existsSync, globSync } from 'node:fs';
import { join } from 'node:path';

const root = join(import.meta.dirname, '..');
const ROOMS = ['core', 'drivers', 'mixins', 'services', 'bin', 'bench'];

interface Outcome {
  readonly ok: boolean;
  readonly output: string;
}

/** A script of a package, by its path inside of it. */
const inPackage = (path: string): string => join(root, 'node_modules', path);

function node(script: string, ...args: readonly string[]): Outcome {
  const { status, stdout, stderr } = spawnSync(process.execPath, [script, ...args], {
    cwd: root,
    encoding: 'utf8',
    maxBuffer: 64 * 1024 * 1024,
  });
  return { ok: status === 0, output: `${stdout}${stderr}` };
}

/** The import rules say nothing about a module that is not read at all: so the modules are counted. */
function rooms(): Outcome {
  const present = ROOMS.filter((room) => existsSync(join(root, room)));
  const files = globSync(
    present.map((room) => `${room}/**/*.ts`),
    { cwd: root },
  );
  const { ok, output } = node(
    inPackage('dependency-cruiser/bin/dependency-cruise.mjs'),
    ...['--config', '.dependency-cruiser.mjs', '--output-type', 'err-long', ...present, 'moleculer.config.ts'],
  );
  const read = Number(/(\d+) modules?/.exec(output)?.[1] ?? 0);
  if (read < files.length) return { ok: false, output: `${output}\nonly ${read} modules were read of ${files.length}` };
  return { ok, output };
}

const PARTS: readonly (readonly [name: string, run: () => Outcome])[] = [
  ['types', () => node(inPackage('typescript/bin/tsc'), '--noEmit')],
  ['format and lint', () => node(inPackage('@biomejs/biome/bin/biome'), 'check', '--error-on-warnings')],
  ['dead code', () => node(inPackage('knip/bin/knip.js'))],
  ['rooms', rooms],
  ['generated files', () => node(join(root, 'bin/generate.ts'), '--check')],
  ['image and manifests', () => node(join(root, 'test/deploy/check.ts'))],
];

let failed = 0;
for (const [name, run] of PARTS) {
  const { ok, output } = run();
  console.log(`${ok ? 'ok  ' : 'FAIL'} ${name}`);
  if (!ok) {
    failed++;
    console.log(output);
  }
}
console.log(`${PARTS.length - failed} passed, ${failed} failed`);
process.exitCode = failed === 0 ? 0 : 1;
