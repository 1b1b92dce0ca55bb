/** GETQUOTA: use and limits of a quota root. */

import { ClientError } from '../../mail/errors.ts';
import { type CommandSpec, LOGGED_IN } from '../command.ts';
import { writeQuota } from '../quota.ts';

export const getQuota: CommandSpec<string> = {
  name: 'GETQUOTA',
  states: LOGGED_IN,
  rfc: 'RFC 9208 §4.1.1',
  parse(parser) {
    parser.space();
    return parser.astringText();
  },
  async run(session, root) {
    if (root !== '') throw new ClientError('notFound');
    await writeQuota(session);
    return {};
  },
};
