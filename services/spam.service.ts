/** The stage that judges spam, with the active model; it takes up another one between two messages. */

import type { ServiceSchema } from 'moleculer';
import { makeSpamStage } from '../core/filter/spam.ts';
import { contextOf } from '../mixins/context.ts';
import { MODEL_ACTIVATED } from '../mixins/hints.ts';
import { errorFacts } from '../mixins/log.ts';
import { ModelKeeper } from '../mixins/model-keeper.ts';
import { SpamThread } from '../mixins/spam-thread.ts';
import { stageMixin } from '../mixins/stage.mixin.ts';

/** A lost hint delays a new model by no more than this and the time to load it: 5 s in all. */
const REFRESH_MS = 3_000;

export const service: ServiceSchema = {
  name: 'spam',
  mixins: [
    stageMixin(
      'spam',
      async ({ stores, config, now, log }, broker) => {
        const keeper = new ModelKeeper(stores.models, config.spamThreshold, now);
        await keeper.open((error) => log.error(errorFacts(error), 'model.unreadable'));
        Object.assign(broker.getLocalService('spam')!, { keeper });
        const thread = new SpamThread((id) => stores.models.load(id));
        Object.assign(broker.getLocalService('spam')!, { thread });
        return makeSpamStage({
          analyse: (input, model) => thread.analyse(input, model),
          model: () => keeper.current,
          offsets: (account, sender) => stores.samples.counts(account, sender),
          preferences: async (account) => (await stores.directory.account(account))?.spam ?? { allow: [], block: [] },
          remember: (sample) => {
            // Not waited for: features that are lost are made again from the message when somebody labels it.
            stores.samples.remember(sample).catch((error: unknown) => log.warn(errorFacts(error), 'features.lost'));
            return Promise.resolve();
          },
        });
      },
      12,
    ),
  ],
  actions: {
    running: {
      visibility: 'public',
      handler() {
        const { id, version } = (this.keeper as ModelKeeper).current;
        return { model: id, version };
      },
    },
  },
  events: {
    async [MODEL_ACTIVATED]() {
      await this.refresh();
    },
  },
  methods: {
    async refresh() {
      const keeper = this.keeper as ModelKeeper | undefined;
      if (keeper === undefined) return;
      const { log, metrics } = contextOf(this.broker);
      try {
        if (await keeper.refresh())
          log.info({ model: keeper.current.id, version: keeper.current.version }, 'model.taken-up');
        metrics.modelVersion.set(keeper.current.version);
      } catch (error) {
        // The model in use stays in use.
        log.error({ detail: (error as Error).message }, 'model.refresh-failed');
      }
    },
  },
  async started() {
    await this.refresh();
    this.timer = setInterval(() => void this.refresh(), REFRESH_MS).unref();
  },
  async stopped() {
    clearInterval(this.timer as NodeJS.Timeout);
    await (this.thread as SpamThread | undefined)?.close();
  },
};
