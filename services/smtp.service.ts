/** SMTP for the world: other servers bring mail for our domains. */

import type { ServiceSchema } from 'moleculer';
import { makeSmtpEngine } from '../core/smtp/engine.ts';
import { listenerMixin } from '../mixins/listener.mixin.ts';
import { receiver } from '../mixins/receiver.ts';

export const service: ServiceSchema = {
  name: 'smtp',
  mixins: [
    listenerMixin((context) => [
      {
        name: 'smtp',
        protocol: 'smtp',
        port: context.config.smtpPort,
        tls: false,
        engine: makeSmtpEngine(receiver(context, 'smtp'), 'smtp'),
      },
    ]),
  ],
};
