/** Every command of the engine, by name. Adding one is its file in commands/ and a row here. */

import type { CommandSpec } from './command.ts';
import { auth } from './commands/auth.ts';
import { capa } from './commands/capa.ts';
import { dele } from './commands/dele.ts';
import { list } from './commands/list.ts';
import { noop } from './commands/noop.ts';
import { pass } from './commands/pass.ts';
import { quit } from './commands/quit.ts';
import { retr } from './commands/retr.ts';
import { rset } from './commands/rset.ts';
import { stat } from './commands/stat.ts';
import { stls } from './commands/stls.ts';
import { top } from './commands/top.ts';
import { uidl } from './commands/uidl.ts';
import { user } from './commands/user.ts';
import { utf8 } from './commands/utf8.ts';

const SPECS: readonly CommandSpec[] = [
  capa,
  stls,
  utf8,
  user,
  pass,
  auth,
  stat,
  list,
  uidl,
  retr,
  top,
  dele,
  rset,
  noop,
  quit,
];

export const COMMANDS: ReadonlyMap<string, CommandSpec> = new Map(SPECS.map((spec) => [spec.name, spec]));
