/** Health, readiness and metrics: answered without a key, so that probes need none; they tell nothing of the mail. */

import type { IncomingMessage, ServerResponse } from 'node:http';
import type { ServiceBroker } from 'moleculer';
import { STAGES } from '../../core/filter/verdict.ts';
import type { QueueDepth } from '../../core/ports/queue.ts';
import { contextOf, type NodeContext } from '../context.ts';
import { sendJson } from './api-handler.ts';

type Handler = (req: IncomingMessage, res: ServerResponse) => Promise<void> | void;

/** Queue depths are counted and stores measured at most this often, however often they are asked for. */
const MEASURE_MS = 2_000;
const EMPTY: Omit<QueueDepth, 'stage'> = { blocked: 0, ready: 0, running: 0, waiting: 0, dead: 0, oldestMs: 0 };

const healthz: Handler = (_, res) => sendJson(res, 200, { status: 'alive' });

const readyz =
  (broker: ServiceBroker): Handler =>
  (_, res) => {
    const { readiness } = contextOf(broker);
    const { ready, waitingFor } = readiness;
    sendJson(res, ready ? 200 : 503, { status: ready ? 'ready' : 'not ready', waitingFor });
  };

async function measure({ stores, metrics, now, readiness }: NodeContext): Promise<void> {
  metrics.ready.set(readiness.ready ? 1 : 0);
  const depths = new Map((await stores.queue.depth(now())).map((depth) => [depth.stage, depth]));
  // A stage that nothing waits for is shown with zeros, not left out.
  for (const name of STAGES) {
    const { stage, oldestMs, ...counts } = depths.get(name) ?? { ...EMPTY, stage: name };
    metrics.queueOldest.set({ stage }, oldestMs / 1000);
    for (const [state, count] of Object.entries(counts)) metrics.queueJobs.set({ stage, state }, count);
  }
  const [blobs, mail, search, samples] = await Promise.all([
    stores.blobs.stats(),
    stores.mail.stats(),
    stores.search.stats(),
    stores.samples.stats(),
  ]);
  const sizes = { blobs: blobs.stored, mail: mail.stored, search: search.stored, samples: samples.stored };
  for (const [store, bytes] of Object.entries(sizes)) metrics.storeSize.set({ store }, bytes);
  metrics.storeItems.set({ store: 'blobs', kind: 'blobs' }, blobs.count);
  metrics.storeItems.set({ store: 'mail', kind: 'accounts' }, mail.accounts);
  metrics.storeItems.set({ store: 'mail', kind: 'messages' }, mail.messages);
  metrics.storeItems.set({ store: 'search', kind: 'documents' }, search.documents);
  metrics.storeItems.set({ store: 'samples', kind: 'labels' }, samples.labels);
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
