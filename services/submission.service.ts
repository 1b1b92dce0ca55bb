/** Submission by our users (RFC 6409): with STARTTLS, and over TLS from the first byte (RFC 8314). */

import type { ServiceSchema } from 'moleculer';
import { makeSmtpEngine } from '../core/smtp/engine.ts';
import { listenerMixin } from '../mixins/listener.mixin.ts';
import { receiver } from '../mixins/receiver.ts';

export const service: ServiceSchema = {
  name: 'submission',
  mixins: [
    listenerMixin((context) => {
      const engine = makeSmtpEngine(receiver(context, 'submission'), 'submission');
      return [
        { name: 'submission', protocol: 'submission', port: context.config.submissionPort, tls: false, engine },
        { name: 'submissions', protocol: 'submission', port: context.config.submissionsPort, tls: true, engine },
      ];
    }),
  ],
};
