/** Every command of the engine, by name. Adding one is its file in commands/ and a row here. */

import type { CommandSpec } from './command.ts';
import { append } from './commands/append.ts';
import { authenticate } from './commands/authenticate.ts';
import { capability } from './commands/capability.ts';
import { check } from './commands/check.ts';
import { close } from './commands/close.ts';
import { copy } from './commands/copy.ts';
import { create } from './commands/create.ts';
import { deleteMailbox } from './commands/delete.ts';
import { enable } from './commands/enable.ts';
import { examine } from './commands/examine.ts';
import { expunge } from './commands/expunge.ts';
import { fetch } from './commands/fetch.ts';
import { getQuota } from './commands/getquota.ts';
import { getQuotaRoot } from './commands/getquotaroot.ts';
import { id } from './commands/id.ts';
import { idle } from './commands/idle.ts';
import { list } from './commands/list.ts';
import { login } from './commands/login.ts';
import { logout } from './commands/logout.ts';
import { lsub } from './commands/lsub.ts';
import { move } from './commands/move.ts';
import { namespace } from './commands/namespace.ts';
import { noop } from './commands/noop.ts';
import { rename } from './commands/rename.ts';
import { search } from './commands/search.ts';
import { select } from './commands/select.ts';
import { startTls } from './commands/starttls.ts';
import { status } from './commands/status.ts';
import { store } from './commands/store.ts';
import { subscribe } from './commands/subscribe.ts';
import { uidCopy } from './commands/uid-copy.ts';
import { uidExpunge } from './commands/uid-expunge.ts';
import { uidFetch } from './commands/uid-fetch.ts';
import { uidMove } from './commands/uid-move.ts';
import { uidSearch } from './commands/uid-search.ts';
import { uidStore } from './commands/uid-store.ts';
import { unselect } from './commands/unselect.ts';
import { unsubscribe } from './commands/unsubscribe.ts';

/** What a command's `parse` gives is only ever handed to its own `run`, so the type of the arguments can be left open. */
const SPECS: readonly CommandSpec<unknown>[] = [
  capability,
  noop,
  logout,
  startTls,
  login,
  authenticate,
  id,
  enable,
  namespace,
  create,
  deleteMailbox,
  rename,
  subscribe,
  unsubscribe,
  list,
  lsub,
  status,
  append,
  idle,
  check,
  getQuota,
  getQuotaRoot,
  select,
  examine,
  close,
  unselect,
  fetch,
  uidFetch,
  store,
  uidStore,
  search,
  uidSearch,
  copy,
  uidCopy,
  move,
  uidMove,
  expunge,
  uidExpunge,
];

export const COMMANDS: ReadonlyMap<string, CommandSpec<unknown>> = new Map(SPECS.map((spec) => [spec.name, spec]));
