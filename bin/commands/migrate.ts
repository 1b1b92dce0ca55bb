/** `mailmesh migrate`: brings what is stored to the format of this version. */

import type { Command } from '../command.ts';
import { facts } from '../table.ts';

export const command: Command = {
  name: 'migrate',
  summary: 'Bring stored data to the format of this version.',
  verbs: [
    {
      name: '',
      args: [],
      summary: 'Checks the format of what is stored, and changes it where this version wants another one.',
      notes: [
        'It may be interrupted, and run again at any time. In a mesh every node must have this version first: until then it refuses, and all of them write the form that the oldest one reads. From its beginning on older versions cannot open the database. How far it is stands in the log of the node that does it.',
      ],
      examples: ['mailmesh migrate', 'mailmesh migrate --json'],
      async run(context) {
        const client = await context.client();
        const report = await client.call('maintenance.migrate', {});
        context.show(report, () => facts(Object.entries(report).map(([name, value]) => [name, String(value)])));
        return 0;
      },
    },
  ],
};
