/**
 * What a command file exports: its verbs with their arguments, options, examples, and what they do. Reading the command
 * line, help, `--json` and exit codes are the same for all and live here and in mailmesh.ts.
 */

import type { Readable } from 'node:stream';
import { type ParseArgsOptionDescriptor, parseArgs } from 'node:util';
import type { Config } from '../core/config/load.ts';
import type { MeshClient } from './client.ts';
import { UsageError } from './errors.ts';
import type { StartNode } from './mesh-node.ts';
import type { ProgressStream } from './progress.ts';

export interface VerbOption {
  readonly type: 'string' | 'boolean';
  /** What stands for a string's value in the help. */
  readonly value?: string;
  readonly doc: string;
}

export interface Verb {
  /** '' for a command that has no verbs; beside others it is the one whose first option comes instead of a verb. */
  readonly name: string;
  /** As the help shows them: `ADDRESS`, `[FILE]`, `ACCOUNT…`. */
  readonly args: readonly string[];
  readonly summary: string;
  /** More help, in paragraphs. */
  readonly notes?: readonly string[];
  readonly options?: Readonly<Record<string, VerbOption>>;
  readonly examples: readonly string[];
  /** Returns the exit code, 0 when it returns nothing. */
  run(context: Context): Promise<number | undefined>;
}

export interface Command {
  readonly name: string;
  readonly summary: string;
  readonly verbs: readonly Verb[];
}

export interface Io {
  readonly stdin: Readable & { readonly isTTY?: boolean };
  /** Writes to standard output; resolves nothing and never splits. */
  out(text: string): void;
  readonly err: ProgressStream;
  /** Milliseconds since 1970. */
  now(): number;
}

export interface Context {
  readonly args: readonly string[];
  readonly flags: Readonly<Record<string, string | boolean | undefined>>;
  readonly json: boolean;
  readonly io: Io;
  /** @param more what the command line says of options, by their names in the environment */
  config(more?: Readonly<Record<string, string>>): Promise<Config>;
  /** Connects at the first call; main closes it. */
  client(): Promise<MeshClient>;
  readonly startNode: StartNode;
  /** Prints one result: the value as JSON, or what `human` makes of it. */
  show<T>(value: T, human: (value: T) => string): void;
}

const COMMON: Readonly<Record<string, VerbOption>> = {
  json: { type: 'boolean', doc: 'print the result as JSON' },
  help: { type: 'boolean', doc: 'print this help' },
};

/** What is written behind the command's name: a verb, or the option that stands for the nameless one. */
function word(verb: Verb): string {
  const [option] = Object.keys(verb.options ?? {});
  return verb.name === '' && option !== undefined ? `--${option}` : verb.name;
}

const title = (command: Command, verb: Verb): string => `${command.name}${verb.name === '' ? '' : ` ${verb.name}`}`;

function optionLines(options: Readonly<Record<string, VerbOption>>): string[] {
  const left = Object.entries(options).map(([name, option]) => `--${name}${option.value ? ` ${option.value}` : ''}`);
  const width = Math.max(...left.map((text) => text.length));
  return Object.values(options).map((option, i) => `  ${left[i]!.padEnd(width)}  ${option.doc}`);
}

export function verbHelp(command: Command, verb: Verb): string {
  const options = { ...verb.options, ...COMMON };
  const paragraphs = (verb.notes ?? []).flatMap((note) => [note, '']);
  return [
    `Usage: mailmesh ${[title(command, verb), ...verb.args, '[options]'].join(' ')}`,
    '',
    verb.summary,
    '',
    ...paragraphs,
    'Options:',
    ...optionLines(options),
    '',
    'Examples:',
    ...verb.examples.map((example) => `  ${example}`),
  ].join('\n');
}

export function commandHelp(command: Command): string {
  if (command.verbs.length === 1 && command.verbs[0]!.name === '') return verbHelp(command, command.verbs[0]!);
  const placeholders = (verb: Verb): string[] =>
    verb.name === '' ? Object.values(verb.options ?? {}).flatMap(({ value }) => value ?? []) : [];
  const left = command.verbs.map((verb) => [word(verb), ...placeholders(verb), ...verb.args].join(' '));
  const width = Math.max(...left.map((text) => text.length));
  return [
    `Usage: mailmesh ${command.name} VERB … [options]`,
    '',
    command.summary,
    '',
    ...command.verbs.map((verb, i) => `  ${left[i]!.padEnd(width)}  ${verb.summary}`),
    '',
    'Examples:',
    ...command.verbs.flatMap((verb) => verb.examples.slice(0, 1)).map((example) => `  ${example}`),
    '',
    `mailmesh ${command.name} VERB --help tells more.`,
  ].join('\n');
}

export interface Invocation {
  readonly verb: Verb;
  readonly args: readonly string[];
  readonly flags: Readonly<Record<string, string | boolean | undefined>>;
}

/** Finds the verb and reads its options; undefined when help was asked for without one. Throws UsageError. */
export function readInvocation(command: Command, argv: readonly string[]): Invocation | undefined {
  const only = command.verbs[0]!;
  const verbless = command.verbs.length === 1 && only.name === '';
  const [first, ...others] = argv;
  // `--from=x` is one word.
  const wanted = first?.startsWith('--') ? first.split('=', 1)[0] : first;
  const verb = verbless ? only : command.verbs.find((candidate) => word(candidate) === wanted);
  if (verb === undefined) {
    if (argv.includes('--help') || argv.includes('-h')) return undefined;
    const names = command.verbs.map(word).join(', ');
    throw new UsageError(`${command.name} wants one of: ${names}${first === undefined ? '' : ` (not "${first}")`}`);
  }
  const options: Record<string, ParseArgsOptionDescriptor> = { help: { type: 'boolean', short: 'h' } };
  for (const [name, { type }] of Object.entries({ ...COMMON, ...verb.options })) options[name] ??= { type };
  let parsed: { values: Record<string, unknown>; positionals: string[] };
  try {
    parsed = parseArgs({ args: verb.name === '' ? [...argv] : others, options, allowPositionals: true });
  } catch (error) {
    throw new UsageError(`${title(command, verb)}: ${(error as Error).message}`);
  }
  const flags = parsed.values as Invocation['flags'];
  if (flags.help !== true) checkCount(command, verb, parsed.positionals);
  return { verb, args: parsed.positionals, flags };
}

function checkCount(command: Command, verb: Verb, args: readonly string[]): void {
  const least = verb.args.filter((name) => !name.startsWith('[')).length;
  const most = verb.args.some((name) => name.includes('…')) ? Number.POSITIVE_INFINITY : verb.args.length;
  if (args.length >= least && args.length <= most) return;
  const wanted = verb.args.length === 0 ? 'no arguments' : verb.args.join(' ');
  throw new UsageError(`${title(command, verb)} wants ${wanted}${args.length === 0 ? '' : `, not: ${args.join(' ')}`}`);
}

/** All items of a paged listing. */
export async function allPages<T>(
  page: (cursor: { cursor?: string; limit: number }) => Promise<{ items: readonly T[]; cursor: string | null }>,
): Promise<T[]> {
  const items: T[] = [];
  let cursor: string | null = null;
  do {
    const next = await page({ limit: 1000, ...(cursor === null ? {} : { cursor }) });
    items.push(...next.items);
    cursor = next.cursor;
  } while (cursor !== null);
  return items;
}

/** A person at a terminal must say `--yes` to what cannot be undone; a script has said it by being written. */
export function confirm({ flags, io }: Context, what: string): void {
  if (io.stdin.isTTY === true && flags.yes !== true) throw new UsageError(`${what}: add --yes`);
}

/** A password from standard input: its first line. */
export async function readPassword(io: Io): Promise<string> {
  const pieces: Buffer[] = [];
  let size = 0;
  for await (const piece of io.stdin) {
    pieces.push(Buffer.from(piece as Uint8Array));
    size += pieces.at(-1)!.length;
    if (size > 4096 || pieces.at(-1)!.includes(10)) break;
  }
  const password = Buffer.concat(pieces).toString('utf8').split(/\r?\n/, 1)[0]!;
  if (password === '') throw new UsageError('--password-stdin: standard input holds no password');
  return password;
}
