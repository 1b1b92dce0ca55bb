/** UID SEARCH: uids of the messages that match. */

import { type CommandSpec, SELECTED } from '../command.ts';
import { everyKey, parseSearch, type SearchArgs } from '../search-keys.ts';
import { runSearch } from '../search-result.ts';

export const uidSearch: CommandSpec<SearchArgs> = {
  name: 'UID SEARCH',
  states: SELECTED,
  rfc: 'RFC 9051 §6.4.9',
  holdsExpunge: true,
  parse: parseSearch,
  async run(session, args) {
    const completion = await runSearch(session, args, true);
    // RFC 7162 §3.2.10.2: expunges may be told, unless the keys have message numbers.
    if (![...everyKey(args.key)].some((key) => key.t === 'seq'))
      await session.view.poll({ expunge: true, look: false });
    return completion;
  },
};
