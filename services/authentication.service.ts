/** The stage that proves senders: SPF, DKIM, DMARC, ARC. */

import type { ServiceSchema } from 'moleculer';
import { makeAuthenticationStage } from '../core/filter/authentication.ts';
import { stageMixin } from '../mixins/stage.mixin.ts';

export const service: ServiceSchema = {
  name: 'authentication',
  mixins: [
    stageMixin(
      'authentication',
      ({ stores, config }) => makeAuthenticationStage({ resolver: stores.resolver, hostname: config.hostname }),
      // It waits for DNS most of the time.
      32,
    ),
  ],
};
