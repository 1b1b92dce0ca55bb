/** `mailmesh trace`: the way of one message, also of one that was refused. */

import type { Command } from '../command.ts';
import { CommandError } from '../errors.ts';
import { describeWay } from '../way.ts';

export const command: Command = {
  name: 'trace',
  summary: 'The way of one message, step by step.',
  verbs: [
    {
      name: '',
      args: ['ID'],
      summary:
        'Shows the way of a message from connection to mailbox, by queue id (as in the 250 reply) or Message-ID.',
      examples: ['mailmesh trace 1j5x0k2c7abcdefg', "mailmesh trace '<5f1c@example.org>'"],
      async run(context) {
        const id = context.args[0]!;
        const client = await context.client();
        const { items } = await client.call('trace.find', { id });
        if (items.length === 0)
          throw new CommandError(`no message ${id} is known (finished ones are forgotten in time)`);
        context.show(items, () => items.map((record) => describeWay(record, context.io.now())).join('\n\n'));
        return 0;
      },
    },
  ],
};
