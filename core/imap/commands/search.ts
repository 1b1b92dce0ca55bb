/** SEARCH: sequence numbers of the messages that match. */

import { type CommandSpec, SELECTED } from '../command.ts';
import { parseSearch, type SearchArgs } from '../search-keys.ts';
import { runSearch } from '../search-result.ts';

export const search: CommandSpec<SearchArgs> = {
  name: 'SEARCH',
  states: SELECTED,
  rfc: 'RFC 9051 §6.4.4',
  holdsExpunge: true,
  parse: parseSearch,
  run: (session, args) => runSearch(session, args, false),
};
