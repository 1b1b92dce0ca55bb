/** Every command of the engine, by name. Adding one is its file in commands/ and a row here. */

import type { CommandSpec } from './command.ts';
import { append } from './commands/append.ts';
import { authenticate } from './commands/authenticate.ts';
import { capability } from './commands/capability.ts';
import { check } from './commands/check.ts';
import { create } from './commands/create.ts';
import { deleteMailbox } from './commands/delete.ts';
import { enable } from './commands/enable.ts';
import { getQuota } from './commands/getquota.ts';
import { getQuotaRoot } from './commands/getquotaroot.ts';
import { id } from './commands/id.ts';
import { idle } from './commands/idle.ts';
import { list } from './commands/list.ts';
import { login } from './commands/login.ts';
import { logout } from './commands/logout.ts';
import { lsub } from './commands/lsub.ts';
import { namespace } from './commands/namespace.ts';
import { noop } from './commands/noop.ts';
import { rename } from './commands/rename.ts';
import { startTls } from './commands/starttls.ts';
import { status } from './commands/status.ts';
import { subscribe } from './commands/subscribe.ts';
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
];

export const COMMANDS: ReadonlyMap<string, CommandSpec<unknown>> = new Map(SPECS.map((spec) => [spec.name, spec]));
