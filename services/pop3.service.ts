/** POP3 for mail clients. Sessions read the stores themselves and delete through the account's mailbox actor. */

import { randomBytes } from 'node:crypto';
import { setImmediate } from 'node:timers/promises';
import type { ServiceBroker, ServiceSchema } from 'moleculer';
import { makePop3Engine } from '../core/pop3/engine.ts';
import type { Pop3Environment } from '../core/pop3/environment.ts';
import { OpenEnds } from '../core/pop3/open-ends.ts';
import { commit } from '../mixins/commit.ts';
import type { NodeContext } from '../mixins/context.ts';
import { listenerMixin } from '../mixins/listener.mixin.ts';
import { errorFacts } from '../mixins/log.ts';
import { MaildropLocks } from '../mixins/maildrop-locks.ts';

const environment = (context: NodeContext, broker: ServiceBroker, locks: MaildropLocks): Pop3Environment => ({
  config: {
    hostname: context.config.hostname,
    version: context.version,
    insecureAuth: context.config.insecureAuth,
    loginTimeoutMs: context.config.pop3LoginTimeoutMs,
    idleTimeoutMs: context.config.pop3IdleTimeoutMs,
  },
  store: context.stores.mail,
  blobs: context.stores.blobs,
  openEnds: new OpenEnds(context.stores.mail),
  authenticator: context.authenticator,
  acquire: (account) => locks.acquire(account),
  commit: (account, ops, session) => commit(broker, { account, ops, session, by: 'user' }),
  changes: (account) => context.hints.of(account),
  breathe: () => setImmediate(),
  now: context.now,
  random: (length) => randomBytes(length),
  log: (event, facts) => context.log.info(facts, event),
});

export const service: ServiceSchema = {
  name: 'pop3',
  mixins: [
    listenerMixin((context, broker) => {
      const locks = new MaildropLocks(context.stores.locks, context.mesh, (error) =>
        context.log.warn(errorFacts(error), 'maildrop.lock-failed'),
      );
      const engine = makePop3Engine(environment(context, broker, locks));
      return [
        { name: 'pop3', protocol: 'pop3', port: context.config.pop3Port, tls: false, engine },
        { name: 'pop3s', protocol: 'pop3', port: context.config.pop3sPort, tls: true, engine },
      ];
    }),
  ],
};
