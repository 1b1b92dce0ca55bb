/** Trains new models when there is enough to learn from, on one node at a time. */

import type { Context, ServiceSchema } from 'moleculer';
import { ClientError } from '../core/mail/errors.ts';
import { contextOf } from '../mixins/context.ts';
import type { Params, Result } from '../mixins/contracts.ts';
import { Feedback } from '../mixins/feedback.ts';
import { emitModelActivated } from '../mixins/hints.ts';
import { exclusively } from '../mixins/leader.ts';
import { LearningLoop } from '../mixins/learning.ts';
import { errorFacts } from '../mixins/log.ts';

const CHECK_MS = 60_000;
const LOCK = 'trainer';

export const service: ServiceSchema = {
  name: 'trainer',
  actions: {
    train: {
      visibility: 'public',
      async handler(ctx: Context<Params<'trainer.train'>>): Promise<Result<'trainer.train'>> {
        await new Feedback(contextOf(this.broker)).run();
        const turned = await this.turn(ctx.params.who);
        if (turned === undefined) throw new ClientError('conflict', { what: 'training', detail: 'a node trains now' });
        return turned;
      },
    },
  },
  methods: {
    /** undefined when another node trains. */
    async turn(who: string): Promise<Result<'trainer.train'> | undefined> {
      const { stores, mesh } = contextOf(this.broker);
      const turned = await exclusively(LOCK, stores.locks, mesh.self, () => (this.loop as LearningLoop).turn(who));
      if (turned?.model?.state === 'active') emitModelActivated(this.broker);
      return turned;
    },
  },
  created() {
    this.loop = new LearningLoop(contextOf(this.broker));
  },
  started() {
    const { log } = contextOf(this.broker);
    const check = async (): Promise<void> => {
      if (await (this.loop as LearningLoop).isDue()) await this.turn('trainer');
    };
    this.timer = setInterval(() => {
      check().catch((error: unknown) => log.error(errorFacts(error), 'training.failed'));
    }, CHECK_MS).unref();
  },
  stopped() {
    clearInterval(this.timer as NodeJS.Timeout);
  },
};
