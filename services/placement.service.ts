/** The stage that decides which mailbox each recipient's copy goes to. */

import type { ServiceSchema } from 'moleculer';
import { makePlacementStage } from '../mixins/placement.ts';
import { stageMixin } from '../mixins/stage.mixin.ts';

export const service: ServiceSchema = {
  name: 'placement',
  mixins: [stageMixin('placement', makePlacementStage, 8)],
};
