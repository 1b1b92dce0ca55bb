/** IMAP for mail clients. Sessions read the stores themselves and write through the account's mailbox actor. */

import { randomBytes } from 'node:crypto';
import { setImmediate, setTimeout } from 'node:timers/promises';
import type { ServiceBroker, ServiceSchema } from 'moleculer';
import { ColumnsCache } from '../core/imap/columns-cache.ts';
import { makeImapEngine } from '../core/imap/engine.ts';
import type { ImapEnvironment } from '../core/imap/environment.ts';
import { type MailboxId, randomId } from '../core/mail/ids.ts';
import { commit } from '../mixins/commit.ts';
import type { NodeContext } from '../mixins/context.ts';
import { listenerMixin } from '../mixins/listener.mixin.ts';

const environment = (context: NodeContext, broker: ServiceBroker): ImapEnvironment => ({
  config: {
    hostname: context.config.hostname,
    version: context.version,
    insecureAuth: context.config.insecureAuth,
    appendSizeBytesMax: context.config.sizeBytesMax,
    loginTimeoutMs: context.config.imapLoginTimeoutMs,
    idleTimeoutMs: context.config.imapIdleTimeoutMs,
    mailboxesMax: context.config.mailboxesMax,
  },
  store: context.stores.mail,
  blobs: context.stores.blobs,
  search: context.stores.search,
  columns: new ColumnsCache(context.stores.mail),
  authenticator: context.authenticator,
  commit: (account, ops, session) => commit(broker, { account, ops, session, by: 'user' }),
  changes: (account) => context.hints.of(account),
  newMailboxId: () => randomId<MailboxId>(randomBytes(16)),
  now: context.now,
  random: (length) => randomBytes(length),
  turn: setImmediate,
  sleep: (ms) => setTimeout(ms, undefined, { ref: false }),
  log: (event, facts) => context.log.info(facts, event),
});

export const service: ServiceSchema = {
  name: 'imap',
  mixins: [
    listenerMixin((context, broker) => {
      const engine = makeImapEngine(environment(context, broker));
      return [
        { name: 'imap', protocol: 'imap', port: context.config.imapPort, tls: false, engine },
        { name: 'imaps', protocol: 'imap', port: context.config.imapsPort, tls: true, engine },
      ];
    }),
  ],
};
