/** `mailmesh backup`: a consistent copy of everything while the server runs. */

import { mkdir, readdir } from 'node:fs/promises';
import { resolve } from 'node:path';
import type { Command } from '../command.ts';
import { CommandError } from '../errors.ts';
import { facts } from '../table.ts';

export const command: Command = {
  name: 'backup',
  summary: 'Copy all data while the server runs.',
  verbs: [
    {
      name: '',
      args: ['DEST'],
      summary:
        'Copies all data into an empty folder; the server goes on meanwhile. `mailmesh restore` is the way back.',
      examples: ['mailmesh backup /var/backups/mailmesh-2026-11-24'],
      async run(context) {
        const destination = resolve(context.args[0]!);
        await mkdir(destination, { recursive: true, mode: 0o700 });
        if ((await readdir(destination)).length > 0) throw new CommandError(`${destination} is not empty`);
        const client = await context.client();
        const report = await client.call('maintenance.backup', { destination });
        context.show(report, () => {
          const figures = Object.entries(report).filter(([, value]) => !Array.isArray(value)) as [
            string,
            string | number,
          ][];
          return [`Copied to ${destination}.`, facts(figures)].filter((part) => part !== '').join('\n');
        });
        return 0;
      },
    },
  ],
};
