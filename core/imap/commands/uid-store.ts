/** UID STORE: changes flags of messages named by uid. */

import { type CommandSpec, SELECTED } from '../command.ts';
import { parseStore, type StoreArgs } from '../store-args.ts';
import { runStore } from '../store-run.ts';

export const uidStore: CommandSpec<StoreArgs> = {
  name: 'UID STORE',
  states: SELECTED,
  rfc: 'RFC 9051 §6.4.9',
  parse: parseStore,
  run: (session, args) => runStore(session, args, true),
};
