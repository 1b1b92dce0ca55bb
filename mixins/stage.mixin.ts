/** A service that runs one filter stage: its runner starts and stops with it. */

import type { ServiceBroker, ServiceSchema } from 'moleculer';
import { stageSpec } from '../core/filter/stages.ts';
import type { Stage } from '../core/filter/verdict.ts';
import { contextOf, type NodeContext } from './context.ts';
import { Pace } from './pace.ts';
import { type RunHandler, StageRunner } from './stage-runner.ts';

export function stageMixin(
  stage: Stage,
  makeHandler: (context: NodeContext, broker: ServiceBroker) => RunHandler | Promise<RunHandler>,
  concurrency: number,
): Partial<ServiceSchema> {
  return {
    async started() {
      const context = contextOf(this.broker);
      const runner = new StageRunner({
        spec: stageSpec(stage),
        queue: context.stores.queue,
        blobs: context.stores.blobs,
        handler: await makeHandler(context, this.broker),
        concurrency,
        pace: new Pace(context.intake),
        now: context.now,
        random: Math.random,
        report: (event, facts) => context.log.warn(facts, event),
        observe: (outcome, durationMs) => context.metrics.stageLatency.observe({ stage, outcome }, durationMs / 1000),
      });
      this.runner = runner;
      runner.start();
    },
    async stopped() {
      await this.quiesce();
    },
    methods: {
      /** Takes no new jobs; resolves when those at work have ended. */
      quiesce(): Promise<void> {
        const { config } = contextOf(this.broker);
        this.quiet ??= (this.runner as StageRunner | undefined)?.stop(config.drainTimeoutMs) ?? Promise.resolve();
        return this.quiet as Promise<void>;
      },
    },
  };
}
