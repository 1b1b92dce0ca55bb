/** `mailmesh verify`: reads all stored data and compares it with its checksums and counts. */

import type { Damage } from '../../core/ports/blob-store.ts';
import type { MaintenanceReport } from '../../mixins/contracts.ts';
import type { Command } from '../command.ts';
import { facts, table } from '../table.ts';

const damages = (report: MaintenanceReport): Damage[] =>
  Object.values(report).flatMap((value) => (Array.isArray(value) ? value : []));

function human(report: MaintenanceReport): string {
  const found = damages(report);
  const figures = Object.entries(report).filter(([, value]) => !Array.isArray(value)) as [string, string | number][];
  return [
    facts(figures),
    found.length === 0
      ? 'No damage found.'
      : table(
          ['what', 'detail', 'repaired'],
          found.map(({ what, detail, repaired }) => [what, detail, repaired]),
        ),
  ]
    .filter((part) => part !== '')
    .join('\n');
}

export const command: Command = {
  name: 'verify',
  summary: 'Check all stored data.',
  verbs: [
    {
      name: '',
      args: [],
      summary: 'Reads everything that is stored and names what is damaged. Exit code 1 when damage remains.',
      options: { repair: { type: 'boolean', doc: 'recount totals and drop entries whose bytes are gone' } },
      examples: ['mailmesh verify', 'mailmesh verify --repair --json'],
      async run(context) {
        const client = await context.client();
        const report = await client.call('maintenance.verify', { repair: context.flags.repair === true });
        context.show(report, human);
        return damages(report).every((damage) => damage.repaired) ? 0 : 1;
      },
    },
  ],
};
