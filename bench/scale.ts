/**
 * `npm run scale`: what so many accounts need, from 10,000 to 100 million. Sizes come from documents that the product's own
 * stores write for made-up messages, on a database in memory; the load, the machines and their prices are assumptions
 * (bench/scale/assumptions.ts); speeds were measured (docs/benchmarks.md, `npm run sim`). The same in every run.
 *
 *   --write         puts the tables into docs/scale.md
 *   --help          this
 */

import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { headOf } from './help.ts';
import { sections, withSections } from './scale/report.ts';
import { measureUnits } from './scale/units.ts';

const PAGE = join(import.meta.dirname, '..', 'docs', 'scale.md');

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: { write: { type: 'boolean', default: false }, help: { type: 'boolean', default: false } },
  });
  if (values.help) {
    console.log((await headOf(import.meta.filename)).join('\n'));
    return;
  }
  const all = sections(await measureUnits());
  for (const [name, section] of all) console.log(`${name}\n\n${section}\n`);
  if (!values.write) return;
  await writeFile(PAGE, withSections(await readFile(PAGE, 'utf8'), all));
  console.log(`written to ${PAGE}`);
}

await main();
