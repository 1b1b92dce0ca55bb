/** FETCH: data of messages named by sequence number. */

import { BadSyntax } from '../bad-syntax.ts';
import { type CommandSpec, SELECTED } from '../command.ts';
import { type FetchArgs, parseFetch } from '../fetch-attributes.ts';
import { enablesCondstore, runFetch } from '../fetch-run.ts';

export const fetch: CommandSpec<FetchArgs> = {
  name: 'FETCH',
  states: SELECTED,
  rfc: 'RFC 9051 §6.4.5',
  holdsExpunge: true,
  parse(parser) {
    const args = parseFetch(parser);
    // RFC 7162 §3.2.6
    if (args.vanished) throw new BadSyntax('VANISHED is for UID FETCH only');
    return args;
  },
  async run(session, args) {
    await session.look();
    const ranges = session.view.resolve(args.set, false);
    if (enablesCondstore(args)) session.enableCondstore();
    return await runFetch(session, args, ranges);
  },
};
