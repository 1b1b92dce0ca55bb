/** UTF8: the client understands messages with UTF-8 in their headers. */

import type { CommandSpec } from '../command.ts';

export const utf8: CommandSpec = {
  name: 'UTF8',
  states: ['authorization'],
  rfc: 'RFC 6856 §2.1',
  argument: 'none',
  run(session) {
    session.utf8 = true;
    session.ok('UTF8 enabled');
  },
};
