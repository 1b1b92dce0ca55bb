/** UID FETCH: data of messages named by uid, which is always among the data (RFC 9051 §6.4.9). */

import { BadSyntax } from '../bad-syntax.ts';
import { type CommandSpec, SELECTED } from '../command.ts';
import { type FetchArgs, parseFetch } from '../fetch-attributes.ts';
import { COLUMN_ITEMS } from '../fetch-columns.ts';
import { enablesCondstore, runFetch } from '../fetch-run.ts';
import { plainRanges } from '../message-set.ts';
import { writeVanishedEarlier } from '../vanished.ts';

export const uidFetch: CommandSpec<FetchArgs> = {
  name: 'UID FETCH',
  states: SELECTED,
  rfc: 'RFC 9051 §6.4.9',
  parse(parser) {
    const args = parseFetch(parser);
    // RFC 7162 §3.2.6
    if (args.vanished && args.changedSince === null) throw new BadSyntax('VANISHED needs CHANGEDSINCE');
    const uid = COLUMN_ITEMS.uid;
    if (args.items.some((item) => item.t === 'column' && item.item === uid)) return args;
    return { ...args, items: [{ t: 'column', item: uid }, ...args.items] };
  },
  async run(session, args) {
    if (args.vanished && !session.enabled.qresync) throw new BadSyntax('VANISHED needs ENABLE QRESYNC');
    await session.look();
    const { view } = session;
    const ranges = view.resolve(args.set, true);
    if (enablesCondstore(args)) session.enableCondstore();
    if (args.vanished) {
      const wanted = plainRanges(args.set, view.map.toldUid);
      await writeVanishedEarlier(session, wanted, args.changedSince ?? 0, 0);
    }
    return await runFetch(session, args, ranges);
  },
};
