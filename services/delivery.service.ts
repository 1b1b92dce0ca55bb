/** The last stage: copies go into their mailboxes. */

import type { ServiceSchema } from 'moleculer';
import { makeDeliverer } from '../mixins/deliverer.ts';
import { stageMixin } from '../mixins/stage.mixin.ts';

export const service: ServiceSchema = {
  name: 'delivery',
  mixins: [stageMixin('delivery', (context, broker) => makeDeliverer(context, broker), 16)],
};
