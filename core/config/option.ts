/**
 * What one option is and how its text is read. Every value comes as text (environment, file) and leaves as the type its
 * builder names, so `Config` is inferred from the schema and no room ever parses a setting itself.
 */

export type OptionType =
  | 'port'
  | 'bytes'
  | 'duration'
  | 'boolean'
  | 'string'
  | 'path'
  | 'host'
  | 'domain'
  | 'integer'
  | 'number'
  | 'choice'
  | 'list'
  | 'name'
  | 'url';

export type Value = string | number | boolean | null;

/** When a changed value counts: at the next start, or at once because the running server looks again. */
type Reload = 'start' | 'live';

export interface Spec<V extends Value = Value> {
  readonly type: OptionType;
  readonly default: V;
  /** The word that means null, for example `off`; undefined where the option always has a value. */
  readonly none: string | undefined;
  readonly min: number;
  readonly max: number;
  readonly choices: readonly string[];
  readonly doc: string;
  readonly since: string;
  readonly reload: Reload;
  /** Never shown: not in errors, not in logs. */
  readonly secret: boolean;
}

export interface Option extends Spec {
  readonly name: string;
  readonly env: string;
  readonly unit: string;
  readonly group: string;
}

/** smtpPort → MAILMESH_SMTP_PORT. */
export const envName = (name: string): string => `MAILMESH_${name.replace(/[A-Z]/g, '_$&').toUpperCase()}`;

const UNITS: Readonly<Partial<Record<OptionType, string>>> = { bytes: 'bytes', duration: 'milliseconds' };
export const unitOf = (type: OptionType): string => UNITS[type] ?? '';

const BYTE_FACTORS: Readonly<Record<string, number>> = { '': 1, k: 2 ** 10, m: 2 ** 20, g: 2 ** 30, t: 2 ** 40 };
const DURATION_FACTORS: Readonly<Record<string, number>> = {
  '': 1,
  ms: 1,
  s: 1000,
  m: 60_000,
  h: 3_600_000,
  d: 86_400_000,
};

/** `5G`, `50MiB`, `1024`: powers of 1024 whichever way they are written. undefined when it is no size. */
export function parseBytes(text: string): number | undefined {
  const match = /^(\d{1,15}(?:\.\d{1,6})?) ?([kmgt]?)(?:i?b)?$/i.exec(text);
  if (match === null) return undefined;
  const bytes = Number(match[1]) * BYTE_FACTORS[match[2]!.toLowerCase()]!;
  return Number.isInteger(bytes) && Number.isSafeInteger(bytes) ? bytes : undefined;
}

/** `500ms`, `30s`, `5m`, `24h`, `30d`, or plain milliseconds. undefined when it is no duration. */
function parseDuration(text: string): number | undefined {
  const match = /^(\d{1,15}(?:\.\d{1,6})?) ?(ms|s|m|h|d)?$/.exec(text);
  if (match === null) return undefined;
  const ms = Number(match[1]) * DURATION_FACTORS[match[2] ?? '']!;
  return Number.isSafeInteger(ms) ? ms : undefined;
}

const BOOLEANS: Readonly<Record<string, boolean>> = {
  true: true,
  yes: true,
  on: true,
  '1': true,
  false: false,
  no: false,
  off: false,
  '0': false,
};

/** RFC 5321 §4.1.2 Domain: labels of letters, digits and inner hyphens (RFC 1034 §3.5), 253 octets together. */
const isDomain = (text: string): boolean =>
  text.length <= 253 && text.split('.').every((label) => /^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/i.test(label));

const isIpv4 = (text: string): boolean =>
  /^\d{1,3}(\.\d{1,3}){3}$/.test(text) && text.split('.').every((part) => Number(part) <= 255);
const isIpv6 = (text: string): boolean => text.includes(':') && /^[0-9a-f:.]{2,45}(%[\w.-]{1,15})?$/i.test(text);

function isHost(text: string): boolean {
  if (text.includes(':')) return isIpv6(text);
  return /^[\d.]+$/.test(text) ? isIpv4(text) : isDomain(text);
}

/** Whether nobody but this machine can reach a bind address. */
export const isLoopback = (host: string): boolean =>
  host === 'localhost' || host === '::1' || (isIpv4(host) && host.startsWith('127.'));

const SCHEMES: Readonly<Record<string, readonly string[]>> = {
  mongodb: ['mongodb:', 'mongodb+srv:'],
  nats: ['nats:', 'tls:'],
};

/** Whether the text is an address (for NATS also several, parted by commas) of one of the schemes that `choices` names. */
function isUrl(spec: Spec, text: string): boolean {
  if (text.length > 2000 || /\s/.test(text)) return false;
  const schemes = spec.choices.flatMap((name) => SCHEMES[name]!);
  // The hosts of a MongoDB replica set stand in one address, which URL does not read.
  const all = spec.choices.includes('mongodb') ? [text] : text.split(',');
  return all.every((one) => schemes.some((scheme) => one.startsWith(`${scheme}//`) && one.length > scheme.length + 2));
}

/** Each of them one of the choices; in the order and spelling given, without repeats. */
function readList(spec: Spec, text: string): string | undefined {
  const names = new Set(text.split(',').map((name) => name.trim()));
  return [...names].every((name) => spec.choices.includes(name)) ? [...names].join(',') : undefined;
}

function read(spec: Spec, text: string): Value | undefined {
  switch (spec.type) {
    case 'port':
    case 'integer':
      return /^-?\d{1,15}$/.test(text) ? Number(text) : undefined;
    case 'number':
      return /^-?\d{1,15}(\.\d{1,15})?$/.test(text) ? Number(text) : undefined;
    case 'bytes':
      return parseBytes(text);
    case 'duration':
      return parseDuration(text);
    case 'boolean':
      return BOOLEANS[text.toLowerCase()];
    case 'choice':
      return spec.choices.includes(text) ? text : undefined;
    case 'domain':
      return isDomain(text) ? text.toLowerCase() : undefined;
    case 'host':
      return isHost(text) ? text.toLowerCase() : undefined;
    case 'path':
      return text === '' || text.includes('\0') ? undefined : text;
    case 'list':
      return readList(spec, text);
    case 'name':
      return /^[A-Za-z0-9][A-Za-z0-9_-]{0,62}$/.test(text) ? text : undefined;
    case 'url':
      return isUrl(spec, text) ? text : undefined;
    case 'string':
      return text.length <= spec.max ? text : undefined;
  }
}

/** The value that `text` stands for, or undefined when it is not one of this option's. */
export function parseValue(spec: Spec, text: string): Value | undefined {
  const trimmed = text.trim();
  if (spec.none !== undefined && trimmed.toLowerCase() === spec.none) return null;
  const value = read(spec, trimmed);
  if (typeof value === 'number' && (value < spec.min || value > spec.max)) return undefined;
  return value;
}

function formatDuration(ms: number): string {
  for (const unit of ['d', 'h', 'm', 's'] as const) {
    if (ms >= DURATION_FACTORS[unit]! && ms % DURATION_FACTORS[unit]! === 0)
      return `${ms / DURATION_FACTORS[unit]!}${unit}`;
  }
  return `${ms}ms`;
}

function formatBytes(bytes: number): string {
  for (const [unit, name] of [
    ['t', 'TiB'],
    ['g', 'GiB'],
    ['m', 'MiB'],
    ['k', 'KiB'],
  ] as const) {
    if (bytes >= BYTE_FACTORS[unit]! && bytes % BYTE_FACTORS[unit]! === 0)
      return `${bytes / BYTE_FACTORS[unit]!}${name}`;
  }
  return String(bytes);
}

/** A value as one would write it. */
export function formatValue(spec: Spec, value: Value): string {
  if (value === null) return spec.none ?? '';
  if (spec.type === 'duration') return formatDuration(value as number);
  if (spec.type === 'bytes') return formatBytes(value as number);
  return String(value);
}

/** What would be right, in words: `a port from 0 (any free one) to 65535, or off`. */
export function describeValues(spec: Spec): string {
  const range =
    spec.max === Number.MAX_SAFE_INTEGER
      ? ` of at least ${formatValue(spec, spec.min)}`
      : ` from ${formatValue(spec, spec.min)} to ${formatValue(spec, spec.max)}`;
  const words: Record<OptionType, string> = {
    port: 'a port from 0 (any free one) to 65535',
    bytes: `a size such as 512K, 50M or 5G${range}`,
    duration: `a time such as 500ms, 30s, 5m, 24h or 30d${range}`,
    boolean: 'true or false',
    string: `text of at most ${spec.max} characters`,
    path: 'a path',
    host: 'an address or host name such as 127.0.0.1, ::1 or mail.example.org',
    domain: 'a domain name such as mail.example.org',
    integer: `a whole number${range}`,
    number: `a number${range}`,
    choice: `one of ${spec.choices.join(', ')}`,
    list: `one or several, parted by commas, of ${spec.choices.join(', ')}`,
    name: 'a name of at most 63 letters, digits, hyphens and underscores',
    url: `an address such as ${spec.choices.includes('mongodb') ? 'mongodb://user:password@host:27017/mailmesh' : 'nats://user:password@host:4222'}`,
  };
  return words[spec.type] + (spec.none === undefined ? '' : `, or ${spec.none}`);
}
