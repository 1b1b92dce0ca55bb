/** Keeps the search index near the mail. In a mesh the nodes that run it share the accounts between them. */

import type { Context, ServiceSchema } from 'moleculer';
import type { MailboxHint } from '../core/mail/hints.ts';
import { contextOf } from '../mixins/context.ts';
import { HINT_BUCKETS, hintBucket } from '../mixins/hint-bus.ts';
import { MAILBOX_CHANGED } from '../mixins/hints.ts';
import { errorFacts } from '../mixins/log.ts';
import { SearchIndexer } from '../mixins/search-indexer.ts';

/** Nodes come and go together: accounts that are new here are looked through once that is over. */
const SETTLE_MS = 10_000;

interface Share {
  readonly indexer: SearchIndexer;
  readonly failed: (error: unknown) => void;
  /** What ends the watch over each bucket of this node. */
  readonly buckets: Map<number, () => void>;
  timer: NodeJS.Timeout | undefined;
}

export const service: ServiceSchema = {
  name: 'search',
  events: {
    [MAILBOX_CHANGED](ctx: Context<MailboxHint>) {
      this.changed(ctx.params);
    },
  },
  methods: {
    changed({ account, mailboxes }: MailboxHint) {
      if (mailboxes.length > 0) (this.share as Share).indexer.changed(account);
    },
    /** Watches the buckets that are this node's now, and catches up with those that have become so. */
    takeShare() {
      const { mesh, hintBus } = contextOf(this.broker);
      const { buckets, indexer, failed } = this.share as Share;
      if (hintBus === null) return;
      const fresh = new Set<number>();
      for (let bucket = 0; bucket < HINT_BUCKETS; bucket++) {
        const mine = mesh.owns('search', `bucket ${bucket}`);
        if (mine === buckets.has(bucket)) continue;
        if (mine) {
          fresh.add(bucket);
          buckets.set(
            bucket,
            hintBus.watchBucket(bucket, (hint) => this.changed(hint)),
          );
        } else {
          buckets.get(bucket)!();
          buckets.delete(bucket);
        }
      }
      if (fresh.size > 0) indexer.catchUp((account) => fresh.has(hintBucket(account))).catch(failed);
    },
  },
  created() {
    const { stores, intake, now, log, mesh } = contextOf(this.broker);
    const failed = (error: unknown): void => log.warn(errorFacts(error), 'search.indexing-failed');
    const share: Share = {
      indexer: new SearchIndexer(stores, intake, now, failed),
      failed,
      buckets: new Map(),
      timer: undefined,
    };
    this.share = share;
    mesh.onChange(() => {
      if (mesh.isShared) share.timer ??= setTimeout(() => this.settled(), SETTLE_MS).unref();
    });
    this.settled = () => {
      share.timer = undefined;
      this.takeShare();
    };
  },
  started() {
    const { indexer, failed } = this.share as Share;
    if (contextOf(this.broker).mesh.isShared) this.takeShare();
    else indexer.catchUp(() => true).catch(failed);
  },
  async stopped() {
    const { indexer, buckets, timer } = this.share as Share;
    clearTimeout(timer);
    for (const stop of buckets.values()) stop();
    await indexer.stop();
  },
};
