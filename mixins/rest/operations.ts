/** Health, readiness and metrics: answered without a key, so that probes need none; they tell nothing of the mail. */

import type { IncomingMessage, ServerResponse } from 'node:http';
import type { ServiceBroker } from 'moleculer';
import { STAGES } from '../../core/filter/verdict.ts';
import type { QueueDepth } from '../../core/ports/queue.ts';
import { contextOf, type NodeContext } from '../context.ts';
import { errorFacts } from '../log.ts';
import { sendJson } from './api-handler.ts';

type Handler = (req: IncomingMessage, res: ServerResponse) => Promise<void> | void;

/** Queue depths are counted and stores measured at most this often, however often they are asked for. */
const MEASURE_MS = 2_000;
export const NO_JOBS: Omit<QueueDepth, 'stage' | 'oldestMs'> = {
  blocked: 0,
  ready: 0,
  running: 0,
  waiting: 0,
  dead: 0,
};

const healthz: Handler = (_, res) => sendJson(res, 200, { status: 'alive' });

const readyz =
  (broker: ServiceBroker): Handler =>
  async (_, res) => {
    const { readiness } = contextOf(broker);
    await readiness.refresh();
    const { ready, waitingFor } = readiness;
    sendJson(res, ready ? 200 : 503, { status: ready ? 'ready' : 'not ready', waitingFor });
  };

/** A store that can't be asked keeps its last figures; the others' are as important as ever. */
async function measure(context: NodeContext): Promise<void> {
  await context.readiness.refresh();
  context.metrics.ready.set(context.readiness.ready ? 1 : 0);
  for (const result of await Promise.allSettled([measureQueue(context), ...measureStores(context)]))
    if (result.status === 'rejected') context.log.warn(errorFacts(result.reason), 'metrics.incomplete');
}

async function measureQueue({ stores, metrics, now }: NodeContext): Promise<void> {
  const depths = new Map((await stores.queue.depth(now())).map((depth) => [depth.stage, depth]));
  // A stage that nothing waits for is shown with zeros, not left out.
  for (const name of STAGES) {
    const { stage, oldestMs, ...counts } = depths.get(name) ?? { ...NO_JOBS, stage: name, oldestMs: 0 };
    metrics.queueOldest.set({ stage }, oldestMs / 1000);
    for (const [state, count] of Object.entries(counts)) metrics.queueJobs.set({ stage, state }, count);
  }
}

function measureStores({ stores, metrics }: NodeContext): Promise<void>[] {
  const measured = async (
    store: 'blobs' | 'mail' | 'search' | 'samples',
    items: () => Promise<{ readonly stored: number } & Readonly<Record<string, number>>>,
  ): Promise<void> => {
    const { stored, ...counts } = await items();
    metrics.storeSize.set({ store }, stored);
    for (const [kind, count] of Object.entries(counts)) metrics.storeItems.set({ store, kind }, count);
  };
  return [
    measured('blobs', async () => {
      const { stored, count } = await stores.blobs.stats();
      return { stored, blobs: count };
    }),
    measured('mail', async () => {
      const { stored, accounts, messages } = await stores.mail.stats();
      return { stored, accounts, messages };
    }),
    measured('search', () => stores.search.stats()),
    measured('samples', async () => {
      const { stored, labels } = await stores.samples.stats();
      return { stored, labels };
    }),
  ];
}

function metricsPage(broker: ServiceBroker): Handler {
  let measuredAt = Number.NEGATIVE_INFINITY;
  return async (_, res) => {
    const context = contextOf(broker);
    try {
      const now = performance.now();
      if (now - measuredAt > MEASURE_MS) {
        measuredAt = now;
        await measure(context);
      }
      const body = await context.metrics.registry.metrics();
      res.writeHead(200, { 'content-type': context.metrics.registry.contentType });
      res.end(body);
    } catch (error) {
      res.writeHead(503, { 'content-type': 'text/plain' });
      res.end(`${(error as Error).message}\n`);
    }
  };
}

export const operationRoutes = (broker: ServiceBroker): Readonly<Record<string, Handler>> => ({
  'GET /healthz': healthz,
  'GET /readyz': readyz(broker),
  'GET /metrics': metricsPage(broker),
});
