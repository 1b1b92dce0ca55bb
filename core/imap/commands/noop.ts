/** NOOP: does nothing; what other sessions changed is told before its completion, as before every command's. */

import { ANY_STATE, type CommandSpec } from '../command.ts';

export const noop: CommandSpec<void> = {
  name: 'NOOP',
  states: ANY_STATE,
  rfc: 'RFC 9051 §6.1.2',
  parse() {},
  run: async () => ({}),
};
