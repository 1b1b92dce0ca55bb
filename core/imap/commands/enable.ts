/** ENABLE: switches extensions on for the rest of the connection; names that are not known are ignored. */

import { BadSyntax } from '../bad-syntax.ts';
import { type CommandSpec, LOGGED_IN } from '../command.ts';

export const enable: CommandSpec<readonly string[]> = {
  name: 'ENABLE',
  states: LOGGED_IN,
  rfc: 'RFC 9051 §6.3.1',
  parse(parser) {
    const names: string[] = [];
    while (parser.trySpace()) names.push(parser.keyword());
    if (names.length === 0) throw new BadSyntax('Missing argument');
    return names;
  },
  async run(session, names) {
    const { enabled } = session;
    const now: string[] = [];
    // RFC 7162 §3.2.3: QRESYNC implies CONDSTORE.
    const qresync = names.includes('QRESYNC') && !enabled.qresync;
    const condstore = (names.includes('CONDSTORE') || qresync) && !enabled.condstore;
    if (qresync) {
      enabled.qresync = true;
      now.push('QRESYNC');
    }
    if (condstore) now.push('CONDSTORE');
    session.out.untagged(`ENABLED${now.map((name) => ` ${name}`).join('')}`);
    if (condstore) session.enableCondstore();
    return {};
  },
};
