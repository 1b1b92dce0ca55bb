/** Goal: docs/rfc.tsv tells what the code implements: every document that the code cites has a row, and none is idle. */

import assert from 'node:assert/strict';
import { globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';

const root = join(import.meta.dirname, '..', '..');
const STATUS = new Set(['full', 'partly', 'no']);

const rows = readFileSync(join(root, 'docs/rfc.tsv'), 'utf8')
  .trimEnd()
  .split('\n')
  .slice(1)
  .map((line) => line.split('\t'));

const cited = new Set<string>();
for (const file of globSync('{core,drivers,mixins,services,bin}/**/*.{ts,mjs}', { cwd: root }))
  for (const [, number] of readFileSync(join(root, file), 'utf8').matchAll(/\bRFC (\d{4,5})\b/g)) cited.add(number!);

test('every row has a number, a status and a title, in ascending order', () => {
  let before = 0;
  for (const [number, status, title] of rows) {
    assert.ok(Number(number) > before, `RFC ${number} is out of order`);
    assert.ok(STATUS.has(status!), `RFC ${number}: status ${status}`);
    assert.ok(title !== undefined && title !== '', `RFC ${number} has no title`);
    before = Number(number);
  }
});

test('what the code cites is listed, and what is listed is cited', () => {
  const listed = new Set(rows.map(([number]) => number!));
  assert.deepEqual([...cited].filter((number) => !listed.has(number)).sort(), [], 'cited, but not in docs/rfc.tsv');
  const unused = rows.filter(([number, status]) => status !== 'no' && !cited.has(number!)).map(([number]) => number);
  assert.deepEqual(unused, [], 'in docs/rfc.tsv, but the code never cites it');
});
