/**
 * From environment and file to one frozen Config, or one error that lists everything wrong with them. The environment
 * wins over the file; a name that is not in the schema is an error, so a misspelt limit never goes unnoticed.
 */

import { describeValues, isLoopback, type Option, parseValue, type Value } from './option.ts';
import { type Config, OPTIONS } from './schema.ts';

export type { Config };

export interface ConfigProblem {
  /** As the operator wrote it: a variable or a name in the file. */
  readonly option: string;
  readonly value: string;
  readonly right: string;
}

/** Long values are cut: a problem stays one line. */
const SHOWN_MAX = 80;
/** Stands for the value of an option that may hold a password. */
const HIDDEN = '(not shown)';

export class ConfigError extends Error {
  readonly problems: readonly ConfigProblem[];

  constructor(problems: readonly ConfigProblem[]) {
    super(problems.map(({ option, value, right }) => `${option}: ${shown(value)}: ${right}`).join('\n'));
    this.name = 'ConfigError';
    this.problems = problems;
  }
}

/** What nobody knows the meaning of may hold a password: an address, and whatever a name says so of. */
const SECRET_NAME = /pass|secret|token|key|cred|auth|ur[il]|mongo|nats/i;
const veiled = (value: string, name = ''): string => (value.includes('://') || SECRET_NAME.test(name) ? HIDDEN : value);

function shown(value: string): string {
  const text = value.length > SHOWN_MAX ? `${value.slice(0, SHOWN_MAX)}…` : value;
  return JSON.stringify(text);
}

type Texts = Map<string, { readonly value: string; readonly source: string }>;

const BY_NAME = new Map(OPTIONS.map((option) => [option.name, option]));
const BY_ENV = new Map(OPTIONS.map((option) => [option.env, option]));

/** Edits (insert, delete, change, swap) between two short names. */
function distance(a: string, b: string): number {
  let before: number[] = [];
  let row = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      const same = a[i - 1] === b[j - 1] ? 0 : 1;
      let best = Math.min(row[j]! + 1, next[j - 1]! + 1, row[j - 1]! + same);
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]) best = Math.min(best, before[j - 2]! + 1);
      next.push(best);
    }
    before = row;
    row = next;
  }
  return row[b.length]!;
}

/** The known name that was most likely meant, or undefined when none is near. */
export function nearest(name: string, known: Iterable<string>): string | undefined {
  const wanted = name.slice(0, 60).toLowerCase();
  let best: string | undefined;
  let least = Math.max(2, Math.floor(wanted.length / 3)) + 1;
  for (const candidate of known) {
    const edits = distance(wanted, candidate.toLowerCase());
    if (edits < least) [best, least] = [candidate, edits];
  }
  return best;
}

function unknown(name: string, known: Iterable<string>, value: string): ConfigProblem {
  const meant = nearest(name, known);
  return {
    option: veiled(name),
    value: veiled(value, name),
    right:
      meant === undefined
        ? 'there is no such option (docs/config.md lists them)'
        : `there is no such option; ${meant}?`,
  };
}

/** `name = value` lines; `#` begins a comment line; a value may stand in double quotes. */
function readLines(text: string, problems: ConfigProblem[]): [string, string][] {
  const entries: [string, string][] = [];
  for (const [index, line] of text.split(/\r\n|\n/).entries()) {
    const trimmed = line.trim();
    if (trimmed === '' || trimmed.startsWith('#')) continue;
    const equals = trimmed.indexOf('=');
    if (equals < 1) {
      problems.push({
        option: `line ${index + 1}`,
        value: veiled(trimmed, trimmed),
        right: 'a line is `name = value` or begins with #',
      });
      continue;
    }
    const value = trimmed.slice(equals + 1).trim();
    const quoted = value.length >= 2 && value.startsWith('"') && value.endsWith('"');
    entries.push([trimmed.slice(0, equals).trim(), quoted ? value.slice(1, -1) : value]);
  }
  return entries;
}

function readJson(text: string, problems: ConfigProblem[]): [string, string][] {
  let object: unknown;
  try {
    object = JSON.parse(text);
  } catch (error) {
    // What the parser says quotes the file, which may hold passwords.
    const [what = ''] = (error as Error).message.split(/,? *(?:\.\.\.|")/, 1);
    problems.push({ option: 'file', value: HIDDEN, right: `not JSON: ${what}` });
    return [];
  }
  const entries: [string, string][] = [];
  for (const [name, value] of Object.entries(object as Record<string, unknown>)) {
    if (typeof value === 'object' && value !== null)
      problems.push({
        option: veiled(name),
        value: veiled(JSON.stringify(value), name),
        right: 'a text, a number, true, false or null',
      });
    else entries.push([name, value === null ? (BY_NAME.get(name)?.none ?? '') : String(value)]);
  }
  return entries;
}

function readFile(text: string, texts: Texts, problems: ConfigProblem[]): void {
  const entries = text.trimStart().startsWith('{') ? readJson(text, problems) : readLines(text, problems);
  for (const [name, value] of entries) {
    if (name === 'config') problems.push({ option: name, value, right: 'only the environment can name the file' });
    else if (!BY_NAME.has(name)) problems.push(unknown(BY_ENV.get(name)?.name ?? name, BY_NAME.keys(), value));
    else if (texts.has(name))
      problems.push({
        option: name,
        value: BY_NAME.get(name)!.secret ? HIDDEN : value,
        right: 'named twice in the file',
      });
    else texts.set(name, { value, source: name });
  }
}

function readEnvironment(
  env: Readonly<Record<string, string | undefined>>,
  texts: Texts,
  problems: ConfigProblem[],
): void {
  for (const [name, value] of Object.entries(env)) {
    if (!name.startsWith('MAILMESH_') || value === undefined) continue;
    const option = BY_ENV.get(name);
    if (option === undefined) problems.push(unknown(name, BY_ENV.keys(), value));
    else texts.set(option.name, { value, source: name });
  }
}

/** Rules between options. `at` names an option the way the operator did. */
function checkTogether(config: Config, at: (name: keyof Config) => string, problems: ConfigProblem[]): void {
  if ((config.tlsCert === null) !== (config.tlsKey === null)) {
    const [given, missing] =
      config.tlsCert === null ? (['tlsKey', 'tlsCert'] as const) : (['tlsCert', 'tlsKey'] as const);
    problems.push({
      option: at(given),
      value: config[given]!,
      right: `goes together with ${BY_NAME.get(missing)!.env}`,
    });
  }
  if (config.insecureAuth && !isLoopback(config.bind))
    problems.push({
      option: at('insecureAuth'),
      value: 'true',
      right: `only with a loopback bind address such as 127.0.0.1; ${at('bind')} is ${config.bind}`,
    });
  if (config.commandsMax < config.recipientsMax + 10)
    problems.push({
      option: at('commandsMax'),
      value: String(config.commandsMax),
      right: `at least 10 above ${at('recipientsMax')}, which is ${config.recipientsMax}`,
    });
  checkMesh(config, at, problems);
  const users = new Map<number, string>();
  for (const { name, type } of OPTIONS) {
    const port = config[name as keyof Config];
    if (type !== 'port' || typeof port !== 'number' || port === 0) continue;
    const other = users.get(port);
    if (other !== undefined)
      problems.push({ option: at(name as keyof Config), value: String(port), right: `${other} has that port already` });
    users.set(port, at(name as keyof Config));
  }
}

function checkMesh(config: Config, at: (name: keyof Config) => string, problems: ConfigProblem[]): void {
  const { mongoUrl, natsUrl, role, services } = config;
  if ((mongoUrl === null) !== (natsUrl === null)) {
    const [given, missing] =
      mongoUrl === null ? (['natsUrl', 'mongoUrl'] as const) : (['mongoUrl', 'natsUrl'] as const);
    problems.push({ option: at(given), value: HIDDEN, right: `goes together with ${BY_NAME.get(missing)!.env}` });
  }
  if (mongoUrl !== null || natsUrl !== null) return;
  const right = `only in a mesh, with ${BY_NAME.get('mongoUrl')!.env} and ${BY_NAME.get('natsUrl')!.env}: one machine runs all services`;
  if (role !== 'all') problems.push({ option: at('role'), value: role, right });
  if (services !== null) problems.push({ option: at('services'), value: services, right });
}

/**
 * @param env the process's environment; names that do not begin with MAILMESH_ are passed over
 * @param fileText what stands in the file that MAILMESH_CONFIG names
 * @throws ConfigError with every problem found
 */
export function loadConfig(env: Readonly<Record<string, string | undefined>>, fileText?: string): Config {
  const problems: ConfigProblem[] = [];
  const texts: Texts = new Map();
  if (fileText !== undefined) readFile(fileText, texts, problems);
  readEnvironment(env, texts, problems);

  const values: Record<string, Value> = {};
  const settingOf = (option: Option): Value => {
    const text = texts.get(option.name);
    if (text === undefined) return option.default;
    const value = parseValue(option, text.value);
    if (value !== undefined) return value;
    const shownValue = option.secret ? HIDDEN : text.value;
    problems.push({ option: text.source, value: shownValue, right: describeValues(option) });
    return option.default;
  };
  for (const option of OPTIONS) values[option.name] = settingOf(option);
  values.hostname ??= values.domain!;
  const config = Object.freeze(values) as unknown as Config;
  if (problems.length === 0)
    checkTogether(config, (name) => texts.get(name)?.source ?? BY_NAME.get(name)!.env, problems);
  if (problems.length > 0) throw new ConfigError(problems);
  return config;
}
