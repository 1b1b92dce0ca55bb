/** Keeps the search index near the mail. */

import type { Context, ServiceSchema } from 'moleculer';
import type { MailboxHint } from '../core/mail/hints.ts';
import { contextOf } from '../mixins/context.ts';
import { MAILBOX_CHANGED } from '../mixins/hints.ts';
import { errorFacts } from '../mixins/log.ts';
import { SearchIndexer } from '../mixins/search-indexer.ts';

export const service: ServiceSchema = {
  name: 'search',
  events: {
    [MAILBOX_CHANGED](ctx: Context<MailboxHint>) {
      if (ctx.params.mailboxes.length > 0) (this.indexer as SearchIndexer).changed(ctx.params.account);
    },
  },
  created() {
    const { stores, intake, now, log } = contextOf(this.broker);
    this.failed = (error: unknown) => log.warn(errorFacts(error), 'search.indexing-failed');
    this.indexer = new SearchIndexer(stores, intake, now, this.failed);
  },
  started() {
    (this.indexer as SearchIndexer).catchUp().catch(this.failed);
  },
  async stopped() {
    await (this.indexer as SearchIndexer).stop();
  },
};
