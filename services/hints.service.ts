/** Brings the mesh's hints to those in this process who wait for them. */

import type { Context, ServiceSchema } from 'moleculer';
import type { MailboxHint } from '../core/mail/hints.ts';
import { contextOf } from '../mixins/context.ts';
import { MAILBOX_CHANGED } from '../mixins/hints.ts';

export const service: ServiceSchema = {
  name: 'hints',
  events: {
    [MAILBOX_CHANGED](ctx: Context<MailboxHint>) {
      contextOf(ctx.broker).hints.publish(ctx.params);
    },
  },
};
