/** ID: tells the server's name and version. What the client says of itself goes to the log, cut short. */

import { BadSyntax } from '../bad-syntax.ts';
import { ANY_STATE, type CommandSpec } from '../command.ts';
import type { ArgParser } from '../parser.ts';

/** RFC 2971 §3.3 */
const PAIRS_MAX = 30;
const KEY_BYTES_MAX = 30;
const VALUE_BYTES_MAX = 1024;
const LOGGED_CHARACTERS = 80;

function pair(parser: ArgParser): readonly [string, string] {
  const key = parser.string();
  parser.space();
  const value = parser.nstring();
  if (key.length > KEY_BYTES_MAX || (value?.length ?? 0) > VALUE_BYTES_MAX) throw new BadSyntax('ID field is too long');
  const text = (bytes: Uint8Array): string => Buffer.from(bytes).toString('latin1').slice(0, LOGGED_CHARACTERS);
  return [text(key).toLowerCase(), value === null ? '' : text(value)];
}

export const id: CommandSpec<ReadonlyMap<string, string>> = {
  name: 'ID',
  states: ANY_STATE,
  rfc: 'RFC 2971 §3.1',
  parse(parser) {
    parser.space();
    if (parser.tryKeyword('NIL')) return new Map();
    const pairs = parser.list(() => pair(parser), true);
    if (pairs.length > PAIRS_MAX) throw new BadSyntax('Too many ID fields');
    return new Map(pairs);
  },
  async run(session, fields) {
    const { out, env } = session;
    session.log('imap.id', { clientName: fields.get('name'), clientVersion: fields.get('version') });
    out.ascii('* ID ("name" "Mailmesh" "version" ').string(env.config.version).ascii(')').crlf();
    return {};
  },
};
