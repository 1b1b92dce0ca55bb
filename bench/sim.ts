/**
 * `npm run sim`: many nodes and accounts through the product's own routing, lease and sweep code (core/mesh) on a clock that
 * jumps: no sockets, no database. Prints what moves, how even it is, how long it takes to recover and what the leases cost.
 * The same seed gives the same figures.
 *
 *   --nodes N       1,000 where not given
 *   --accounts N    10,000,000 where not given
 *   --seed N        1 where not given
 *   --help          this
 */

import { parseArgs } from 'node:util';
import { headOf } from './help.ts';
import { scenarioLines, sweepLines } from './sim/report.ts';
import { Scenarios } from './sim/scenarios.ts';
import { simSettings } from './sim/settings.ts';
import { Sweeping } from './sim/sweeping.ts';

function numberOf(name: string, text: string, least: number, most: number): number {
  const value = Number(text.replaceAll(',', ''));
  if (!Number.isInteger(value) || value < least || value > most)
    throw new Error(`--${name} ${text}: a whole number from ${least} to ${most}`);
  return value;
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      nodes: { type: 'string', default: '1000' },
      accounts: { type: 'string', default: '10000000' },
      seed: { type: 'string', default: '1' },
      help: { type: 'boolean', default: false },
    },
  });
  if (values.help) {
    console.log((await headOf(import.meta.filename)).join('\n'));
    return;
  }
  const settings = simSettings({
    nodes: numberOf('nodes', values.nodes, 2, 20_000),
    accounts: numberOf('accounts', values.accounts, 1_000, 100_000_000),
    seed: numberOf('seed', values.seed, 0, 0xffffffff),
  });
  const begun = performance.now();
  const took = (): string => `${((performance.now() - begun) / 1_000).toFixed(1)} s`;
  const { nodes, accounts, seed, writesPerSecond } = settings;
  console.log(
    `${nodes.toLocaleString('en')} nodes, ${accounts.toLocaleString('en')} accounts, ${Math.round(writesPerSecond).toLocaleString('en')} writes a second, seed ${seed}`,
  );
  const scenarios = new Scenarios(settings);
  process.stderr.write(`placed after ${took()}\n`);
  for (const row of scenarios.rows()) console.log(scenarioLines(row).join('\n'));
  console.log(sweepLines(new Sweeping(settings).run()).join('\n'));
  const megabytes = Math.round(process.resourceUsage().maxRSS / 1_024);
  process.stderr.write(`${took()}, at most ${megabytes.toLocaleString('en')} MB\n`);
}

await main();
