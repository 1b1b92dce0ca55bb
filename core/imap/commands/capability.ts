/** CAPABILITY: what this connection can do in its present state. */

import { capabilities } from '../capability.ts';
import { ANY_STATE, type CommandSpec } from '../command.ts';

export const capability: CommandSpec<void> = {
  name: 'CAPABILITY',
  states: ANY_STATE,
  rfc: 'RFC 9051 §6.1.1',
  parse() {},
  async run(session) {
    session.out.untagged(`CAPABILITY ${capabilities(session)}`);
    return {};
  },
};
