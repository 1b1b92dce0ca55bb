/** Upkeep of the stores: on a clock by itself, on one node at a time, and on demand for operators. */

import { randomBytes } from 'node:crypto';
import type { ServiceSchema } from 'moleculer';
import { api, text } from '../mixins/api.ts';
import { contextOf } from '../mixins/context.ts';
import { Leader } from '../mixins/leader.ts';
import { errorFacts } from '../mixins/log.ts';
import { backup, collect, skipAbsentStages, stats, verify } from '../mixins/maintenance.ts';
import { migrate } from '../mixins/migrate.ts';

const COLLECT_MS = 60_000;
const SWEEP_MS = 5_000;

export const service: ServiceSchema = {
  name: 'maintenance',
  actions: {
    verify: api(
      'maintenance.verify',
      {
        rest: 'POST /v1/maintenance/verify',
        scope: 'admin',
        summary: 'Check every store',
        answer: 'Report',
        long: true,
      },
      { repair: { type: 'boolean', convert: true } },
      (params, context) => verify(context, params.repair),
    ),
    migrate: api(
      'maintenance.migrate',
      {
        rest: 'POST /v1/maintenance/migrate',
        scope: 'admin',
        summary: 'Bring stored data to the format of this version',
        answer: 'Report',
        long: true,
      },
      {},
      (_params, _context, ctx) => migrate(ctx.broker),
    ),
    backup: api(
      'maintenance.backup',
      // Without a route: whoever may write to this machine's disk has the control socket, and an API key must not.
      { scope: 'admin', summary: 'Copy everything, online' },
      { destination: text() },
      (params, context) => backup(context, params.destination),
    ),
    collect: api(
      'maintenance.collect',
      {
        rest: 'POST /v1/maintenance/collect',
        scope: 'admin',
        summary: 'Give unused space back',
        answer: 'Report',
        long: true,
      },
      {},
      (_, context) => collect(context),
    ),
    stats: api(
      'maintenance.stats',
      { rest: 'GET /v1/stats', scope: 'read', summary: 'Counts and sizes', answer: 'Report' },
      {},
      (_, context) => stats(context),
    ),
  },
  started() {
    const context = contextOf(this.broker);
    const leader = new Leader('upkeep', context.stores.locks, context.mesh);
    this.leader = leader;
    const every = (ms: number, event: string, work: () => Promise<unknown>): NodeJS.Timeout => {
      let busy = false;
      // Nodes that were started together do not all begin at once.
      const jitterMs = (randomBytes(1)[0]! / 256) * ms * 0.1;
      return setInterval(() => {
        if (busy) return;
        busy = true;
        leader
          .leads()
          .then((leads) => (leads ? work() : undefined))
          .catch((error: unknown) => context.log.warn(errorFacts(error), event))
          .finally(() => {
            busy = false;
          });
      }, ms + jitterMs).unref();
    };
    this.timers = [
      every(COLLECT_MS, 'collect.failed', () => collect(context)),
      every(SWEEP_MS, 'sweep.failed', () => skipAbsentStages(this.broker)),
    ];
  },
  async stopped() {
    for (const timer of (this.timers ?? []) as readonly NodeJS.Timeout[]) clearInterval(timer);
    // One that can't be given back runs out.
    await (this.leader as Leader | undefined)?.resign().catch(() => undefined);
  },
};
