/** Turns what users do with spam into labels. */

import type { ServiceSchema } from 'moleculer';
import { contextOf } from '../mixins/context.ts';
import { Feedback } from '../mixins/feedback.ts';
import { FEEDBACK_PENDING } from '../mixins/hints.ts';
import { errorFacts } from '../mixins/log.ts';

/** A lost hint delays a label by no more than this. */
const POLL_MS = 10_000;

export const service: ServiceSchema = {
  name: 'feedback',
  events: {
    [FEEDBACK_PENDING]() {
      this.work();
    },
  },
  methods: {
    work() {
      const { log } = contextOf(this.broker);
      (this.feedback as Feedback).run().catch((error: unknown) => log.warn(errorFacts(error), 'feedback.failed'));
    },
  },
  created() {
    this.feedback = new Feedback(contextOf(this.broker));
  },
  started() {
    this.work();
    this.timer = setInterval(() => this.work(), POLL_MS).unref();
  },
  async stopped() {
    clearInterval(this.timer as NodeJS.Timeout);
    await (this.feedback as Feedback).stop();
  },
};
