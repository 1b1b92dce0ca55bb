/** STORE: changes flags of messages named by sequence number. */

import { type CommandSpec, SELECTED } from '../command.ts';
import { parseStore, type StoreArgs } from '../store-args.ts';
import { runStore } from '../store-run.ts';

export const store: CommandSpec<StoreArgs> = {
  name: 'STORE',
  states: SELECTED,
  rfc: 'RFC 9051 §6.4.6',
  holdsExpunge: true,
  parse: parseStore,
  run: (session, args) => runStore(session, args, false),
};
