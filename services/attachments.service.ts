/** The stage that looks into a message's parts. */

import type { ServiceSchema } from 'moleculer';
import { makeAttachmentsStage } from '../core/filter/attachments.ts';
import { stageMixin } from '../mixins/stage.mixin.ts';

export const service: ServiceSchema = {
  name: 'attachments',
  mixins: [stageMixin('attachments', () => makeAttachmentsStage(), 8)],
};
