/**
 * The stores' upkeep, in small steps beside the mail: old traces, unreferenced contents and blobs, features without
 * labels, and jobs of stages that nobody runs. Every step may be interrupted and repeated.
 */

import { join } from 'node:path';
import type { ServiceBroker } from 'moleculer';
import { STAGE_TABLE, type StageSpec } from '../core/filter/stages.ts';
import { asMailError } from '../core/mail/errors.ts';
import type { BlobRef } from '../core/mail/ids.ts';
import type { Damage } from '../core/ports/blob-store.ts';
import { finished } from './backup-folder.ts';
import { contextOf, type NodeContext } from './context.ts';
import type { MaintenanceReport } from './contracts.ts';
import { skipped } from './stage-runner.ts';

const BUDGET_MS = 200;
const FORGET_AT_ONCE = 1_000;
/** In a mesh a round goes on for so long while there is more to do: one node does it for all. */
const SHARED_ROUND_MS = 30_000;
/** Features of messages that nobody labelled. */
const FEATURES_KEPT_MS = 30 * 86_400_000;
const SKIP_AT_ONCE = 32;
const SKIP_LEASE_MS = 30_000;

const liveIn =
  ({ stores }: NodeContext) =>
  async (refs: readonly BlobRef[]): Promise<ReadonlySet<BlobRef>> => {
    // The queue first: a message moves from it to the mail store, never back.
    const queued = await stores.queue.liveBlobs(refs);
    const stored = await stores.mail.liveBlobs(refs);
    return new Set([...queued, ...stored]);
  };

/** One round. The report says what was given back. */
export async function collect(context: NodeContext): Promise<MaintenanceReport> {
  const { stores, config } = context;
  const now = context.now();
  const until = performance.now() + (context.mesh.isShared ? SHARED_ROUND_MS : 0);
  const isOver = (): boolean => performance.now() >= until;
  const forget = async (some: (limit: number) => Promise<number>): Promise<number> => {
    for (let all = 0; ; ) {
      const forgotten = await some(FORGET_AT_ONCE);
      all += forgotten;
      if (forgotten < FORGET_AT_ONCE || isOver()) return all;
    }
  };
  const traces = await forget((limit) => stores.queue.forget(now - config.traceRetentionMs, limit));
  const { more, passedOver } = await collectMail(context, isOver);
  const { blobs, bytes } = await stores.blobs.collect({
    now,
    graceMs: config.blobGraceMs,
    budgetMs: Math.max(BUDGET_MS, until - performance.now()),
    isLive: liveIn(context),
  });
  const features = await forget((limit) => stores.samples.forget(now - FEATURES_KEPT_MS, limit));
  if (passedOver !== undefined) throw passedOver;
  return { traces, blobs, bytes, features, contentsLeft: more ? 'yes' : 'no' };
}

/** What could not be handled in it keeps nothing from being collected elsewhere. */
async function collectMail(
  { stores, now }: NodeContext,
  isOver: () => boolean,
): Promise<{ readonly more: boolean; readonly passedOver?: unknown }> {
  try {
    let more = await stores.mail.gc(now(), BUDGET_MS);
    while (more && !isOver()) more = await stores.mail.gc(now(), BUDGET_MS);
    return { more };
  } catch (passedOver) {
    return { more: true, passedOver };
  }
}

/** Jobs whose stage runs nowhere in the mesh go on without it, when its policy says so and it has been long enough. */
export async function skipAbsentStages(broker: ServiceBroker): Promise<void> {
  const context = contextOf(broker);
  // Who can't see the others can't tell what runs nowhere.
  if (!context.mesh.isConnected) return;
  const running = new Set(broker.registry.getServiceList({ onlyAvailable: true }).map(({ name }) => name));
  for (const spec of STAGE_TABLE) {
    if (spec.whenBroken !== 'skip' || spec.absentMsMax === null) continue;
    if (running.has(spec.stage)) continue;
    await skipStage(context, spec, spec.absentMsMax);
  }
}

async function skipStage({ stores, now, log }: NodeContext, spec: StageSpec, absentMsMax: number): Promise<void> {
  const depth = (await stores.queue.depth(now())).find((row) => row.stage === spec.stage);
  if (depth === undefined || depth.oldestMs < absentMsMax) return;
  const jobs = await stores.queue.claim(spec.stage, { max: SKIP_AT_ONCE, leaseMs: SKIP_LEASE_MS, now: now() });
  for (const job of jobs) {
    const waitedMs = now() - job.message.acceptedAt;
    if (waitedMs < absentMsMax) {
      await stores.queue.fail(job, 'the stage runs nowhere', now() + absentMsMax - waitedMs);
      continue;
    }
    log.warn({ queueId: job.queueId, stage: spec.stage }, 'stage.absent');
    await stores.queue.settle(job, skipped(spec, 'the stage runs nowhere', now(), performance.now()));
  }
}

/** Every store is looked at, whatever becomes of the others. The search index heals itself. */
export async function verify({ stores }: NodeContext, repair: boolean): Promise<MaintenanceReport> {
  const damage: Damage[] = [];
  const { mail, queue, blobs, directory, samples, models } = stores;
  for (const [name, store] of Object.entries({ mail, queue, blobs, directory, samples, models })) {
    try {
      damage.push(...(await store.verify(repair)));
    } catch (error) {
      const { message, facts } = asMailError(error);
      const detail = `not verified: ${facts.detail ?? message}`;
      damage.push({ what: String(facts.file ?? `the ${name} store`), detail, repaired: false });
    }
  }
  return { problems: damage.length, repaired: damage.filter((one) => one.repaired).length, damage };
}

/** In the order in which they refer to each other: what the mail store names is among the blobs, which are copied last. */
export async function backup({ stores }: NodeContext, destination: string): Promise<MaintenanceReport> {
  const started = performance.now();
  await finished(destination, async () => {
    await stores.directory.backup(destination);
    await stores.queue.backup(destination);
    await stores.mail.backup(destination);
    await stores.blobs.backup(destination);
    await stores.samples.backup(destination);
    await stores.models.backup(join(destination, 'models'));
  });
  return { destination, tookMs: Math.round(performance.now() - started) };
}

export async function stats({ stores, now }: NodeContext): Promise<Readonly<Record<string, number>>> {
  const [mail, blobs, samples, search, depth] = await Promise.all([
    stores.mail.stats(),
    stores.blobs.stats(),
    stores.samples.stats(),
    stores.search.stats(),
    stores.queue.depth(now()),
  ]);
  const open = depth.reduce((sum, row) => sum + row.blocked + row.ready + row.running + row.waiting, 0);
  return {
    accounts: mail.accounts,
    messages: mail.messages,
    mailBytes: mail.stored,
    blobs: blobs.count,
    blobBytes: blobs.bytes,
    blobBytesStored: blobs.stored,
    labels: samples.labels,
    searchDocuments: search.documents,
    openJobs: open,
    deadJobs: depth.reduce((sum, row) => sum + row.dead, 0),
  };
}
