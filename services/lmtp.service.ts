/** LMTP for a front server, which has done the talking with the world (RFC 2033). */

import type { ServiceSchema } from 'moleculer';
import { makeSmtpEngine } from '../core/smtp/engine.ts';
import { listenerMixin } from '../mixins/listener.mixin.ts';
import { receiver } from '../mixins/receiver.ts';

export const service: ServiceSchema = {
  name: 'lmtp',
  mixins: [
    listenerMixin((context) => [
      {
        name: 'lmtp',
        protocol: 'lmtp',
        port: context.config.lmtpPort,
        tls: false,
        engine: makeSmtpEngine(receiver(context, 'lmtp'), 'lmtp'),
      },
    ]),
  ],
};
