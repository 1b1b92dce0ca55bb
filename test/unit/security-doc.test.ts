/** Goal: SECURITY.md and docs/deviations.md name files, constants and options that the code has. */

import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { OPTIONS } from '../../core/config/schema.ts';

const root = join(import.meta.dirname, '..', '..');
const OPTION_NAMES = new Set(OPTIONS.map(({ name }) => name));

/** Rows of a page's tables as cells. */
const rowsOf = (page: string): string[][] =>
  readFileSync(join(root, page), 'utf8')
    .split('\n')
    .filter((line) => line.startsWith('| ') && !line.startsWith('| ---'))
    .map((line) =>
      line
        .slice(2, -2)
        .split(' | ')
        .map((cell) => cell.trim()),
    );

const quoted = (cell: string): string[] => [...cell.matchAll(/`([^`]+)`/g)].map((match) => match[1]!);
const pathsOf = (cell: string): string[] => quoted(cell).filter((text) => /^[a-z0-9/.-]+\.ts$/.test(text));

for (const page of ['SECURITY.md', 'docs/deviations.md'])
  test(`${page} names files that are there`, () => {
    const paths = rowsOf(page).flatMap((row) => pathsOf(row.at(-1)!));
    assert.ok(paths.length > 30, 'the tables were not found');
    for (const path of paths) assert.ok(existsSync(join(root, path)), `${path} is not there`);
  });

test('every limit that SECURITY.md names is an option, or a name in the file that it points to', () => {
  const limits = rowsOf('SECURITY.md').filter((row) => row.length === 4 && pathsOf(row[3]!).length > 0);
  assert.ok(limits.length > 60, 'the tables of limits were not found');
  for (const [limit, , , where] of limits) {
    const code = pathsOf(where!).map((path) => readFileSync(join(root, path), 'utf8'));
    for (const name of quoted(limit!))
      assert.ok(OPTION_NAMES.has(name) || code.some((text) => text.includes(name)), `${name} is not in ${where}`);
  }
});
