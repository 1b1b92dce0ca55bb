/**
 * The mailmesh command: finds the command file, reads the line, runs it, and turns whatever is thrown into one line and an
 * exit code (0 done, 1 failed, 2 asked for wrongly).
 */

import { nearest } from '../core/config/load.ts';
import { VERSION } from '../mixins/version.ts';
import { connect, type MeshClient } from './client.ts';
import { type Command, type Context, commandHelp, type Io, readInvocation, verbHelp } from './command.ts';
import { oneLine, UsageError } from './errors.ts';
import { type StartNode, startNode } from './mesh-node.ts';
import { readConfig } from './read-config.ts';

const LINGER_MS = 1000;

interface Entry {
  readonly summary: string;
  readonly load: () => Promise<{ readonly command: Command }>;
}

/** Loaded only when asked for, so that a small command starts fast. */
export const COMMANDS: Readonly<Record<string, Entry>> = {
  start: { summary: 'run the server', load: () => import('./commands/start.ts') },
  account: { summary: 'accounts: add, list, show, set, remove', load: () => import('./commands/account.ts') },
  domain: { summary: 'domains: add, list, show, set, remove', load: () => import('./commands/domain.ts') },
  alias: { summary: 'aliases: add, list, show, set, remove', load: () => import('./commands/alias.ts') },
  apikey: { summary: 'keys of the REST API: create, list, revoke', load: () => import('./commands/apikey.ts') },
  import: { summary: 'bring mail in from mbox, Maildir, EML or IMAP', load: () => import('./commands/import.ts') },
  export: { summary: 'write mail out as mbox, Maildir or EML', load: () => import('./commands/export.ts') },
  queue: { summary: 'messages on their way: list, show, retry, drop', load: () => import('./commands/queue.ts') },
  trace: { summary: 'the way of one message, step by step', load: () => import('./commands/trace.ts') },
  model: { summary: 'spam models: list, show, activate, retrain', load: () => import('./commands/model.ts') },
  verify: { summary: 'check all stored data', load: () => import('./commands/verify.ts') },
  backup: { summary: 'copy all data while the server runs', load: () => import('./commands/backup.ts') },
  nodes: { summary: 'nodes of the mesh: what they run, how busy they are', load: () => import('./commands/nodes.ts') },
  migrate: { summary: 'bring stored data to the format of this version', load: () => import('./commands/migrate.ts') },
  restore: { summary: 'put a backup into an empty data folder', load: () => import('./commands/restore.ts') },
  doctor: { summary: 'check ports, TLS, disk, clock, permissions, DNS', load: () => import('./commands/doctor.ts') },
};

function help(): string {
  const names = Object.keys(COMMANDS);
  const width = Math.max(...names.map((name) => name.length));
  return [
    'Usage: mailmesh COMMAND … [options]',
    '',
    ...names.map((name) => `  ${name.padEnd(width)}  ${COMMANDS[name]!.summary}`),
    '',
    'mailmesh COMMAND --help tells more. Options are in docs/config.md; --json prints results for programs.',
    'Exit codes: 0 done, 1 failed, 2 asked for wrongly.',
  ].join('\n');
}

async function dispatch(
  argv: readonly string[],
  env: Readonly<Record<string, string | undefined>>,
  io: Io,
  start: StartNode,
): Promise<number> {
  const [name, ...rest] = argv;
  if (name === '--version' || name === '-v') {
    io.out(`${VERSION}\n`);
    return 0;
  }
  if (name === undefined || name === '--help' || name === '-h' || name === 'help') {
    io.out(`${help()}\n`);
    return name === undefined ? 2 : 0;
  }
  const entry = Object.hasOwn(COMMANDS, name) ? COMMANDS[name]! : undefined;
  if (entry === undefined) {
    const meant = nearest(name, Object.keys(COMMANDS));
    throw new UsageError(`there is no command "${name}"${meant === undefined ? '' : `; ${meant}?`} (mailmesh --help)`);
  }
  const { command } = await entry.load();
  const invocation = readInvocation(command, rest);
  if (invocation === undefined || invocation.flags.help === true) {
    io.out(`${invocation === undefined ? commandHelp(command) : verbHelp(command, invocation.verb)}\n`);
    return 0;
  }
  const json = invocation.flags.json === true;
  let client: Promise<MeshClient> | undefined;
  const context: Context = {
    args: invocation.args,
    flags: invocation.flags,
    json,
    io,
    startNode: start,
    config: (more = {}) => readConfig({ ...env, ...more }),
    client: () => {
      client ??= context.config().then((config) => connect(config, start));
      return client;
    },
    show: (value, human) => io.out(`${json ? JSON.stringify(value) : human(value)}\n`),
  };
  let failed = false;
  try {
    return (await invocation.verb.run(context)) ?? 0;
  } catch (error) {
    failed = true;
    throw error;
  } finally {
    await closeClient(client, failed);
  }
}

async function closeClient(client: Promise<MeshClient> | undefined, failed: boolean): Promise<void> {
  try {
    await (await client)?.close();
  } catch (error) {
    // The first failure is the one to tell.
    if (!failed) throw error;
  }
}

/** Runs one command line and returns the exit code. */
export async function runCommand(
  argv: readonly string[],
  env: Readonly<Record<string, string | undefined>>,
  io: Io,
  start: StartNode = startNode,
): Promise<number> {
  try {
    return await dispatch(argv, env, io, start);
  } catch (error) {
    const line = oneLine(error);
    if (line !== undefined) for (const part of line.split('\n')) io.err.write(`mailmesh: ${part}\n`);
    else
      io.err.write(
        `mailmesh: this is a fault of Mailmesh, please report it\n${(error as Error).stack ?? String(error)}\n`,
      );
    return error instanceof UsageError ? 2 : 1;
  }
}

export async function main(): Promise<void> {
  // Mail, passwords' hashes and keys: what this process writes is for its own user, wherever it is put.
  process.umask(0o077);
  // A reader that has seen enough (`mailmesh … | head`) is no failure.
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code === 'EPIPE') process.exit(0);
    throw error;
  });
  const io: Io = {
    stdin: process.stdin,
    out: (text) => void process.stdout.write(text),
    err: process.stderr,
    now: Date.now,
  };
  process.exitCode = await runCommand(process.argv.slice(2), process.env, io);
  // What a failure left open must not keep the command from ending.
  setTimeout(() => process.exit(), LINGER_MS).unref();
}
