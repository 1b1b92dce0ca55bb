/** NOOP: nothing but a reply. */

import type { CommandSpec } from '../command.ts';

export const noop: CommandSpec = {
  name: 'NOOP',
  states: ['transaction'],
  rfc: 'RFC 1939 §5',
  argument: 'none',
  run(session) {
    session.ok('OK');
  },
};
