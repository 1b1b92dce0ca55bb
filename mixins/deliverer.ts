/**
 * Puts a message's copies into its recipients' mailboxes. Each copy has a dedupe key of queue id and recipient, so a
 * delivery that is tried again after a crash finds the first one instead of making a second.
 */

import type { ServiceBroker } from 'moleculer';
import { Assembler } from '../core/delivery/assemble.ts';
import { type Placement, place } from '../core/delivery/placement.ts';
import type { Recipient } from '../core/mail/envelope.ts';
import { NO_FLAGS } from '../core/mail/flags.ts';
import type { Delivery, Job } from '../core/ports/queue.ts';
import { commit } from './commit.ts';
import type { NodeContext } from './context.ts';
import { type RunHandler, type RunResult, StageFailure } from './stage-runner.ts';

/** Recipients of one message that are delivered to at a time. */
const AT_A_TIME = 16;

export const makeDeliverer =
  (context: NodeContext, broker: ServiceBroker): RunHandler =>
  async ({ job, blobs, signal }) => {
    const done = new Set(job.deliveries.map((delivery) => delivery.recipient));
    const open = job.message.envelope.recipients.filter((recipient) => !done.has(deliveryName(recipient)));
    const assembler = new Assembler({ message: job.message, verdicts: job.verdicts, blobs, now: context.now() });
    const deliveries: Delivery[] = [];
    const failures: string[] = [];
    for (let i = 0; i < open.length && !signal.aborted; i += AT_A_TIME) {
      const results = await Promise.allSettled(
        open.slice(i, i + AT_A_TIME).map((recipient) => deliver(context, broker, job, assembler, recipient)),
      );
      for (const result of results) {
        if (result.status === 'fulfilled') deliveries.push(result.value);
        else failures.push((result.reason as Error).message);
      }
    }
    if (failures.length > 0) throw new StageFailure(failures[0]!, deliveries);
    if (signal.aborted) throw new StageFailure('stopped before all recipients had their copy', deliveries);
    return verdict([...job.deliveries, ...deliveries], deliveries, context.version);
  };

/** Names one copy within a message: an alias and its account may both be recipients. */
const deliveryName = (recipient: Recipient): string => `${recipient.address} ${recipient.account}`;

function verdict(all: readonly Delivery[], deliveries: readonly Delivery[], version: string): RunResult {
  const delivered = all.filter((delivery) => delivery.outcome === 'delivered').length;
  return {
    result: delivered === all.length ? 'delivered' : delivered === 0 ? 'refused' : 'partly delivered',
    score: null,
    reasons: [`${delivered} of ${all.length} ${all.length === 1 ? 'copy' : 'copies'} delivered`],
    version,
    headers: [],
    facts: {},
    deliveries,
  };
}

async function deliver(
  context: NodeContext,
  broker: ServiceBroker,
  job: Job,
  assembler: Assembler,
  recipient: Recipient,
): Promise<Delivery> {
  const { metrics, now, log } = context;
  const name = deliveryName(recipient);
  const refused = (detail: string): Delivery => {
    log.warn({ queueId: job.queueId, recipient: recipient.address, detail }, 'delivery.refused');
    return { recipient: name, at: now(), outcome: 'refused', mailbox: null, uid: null, detail };
  };
  const placement = await placementOf(context, job, recipient);
  if (placement === undefined) return refused('the account is gone');
  const { content } = await assembler.assemble(recipient);
  const { results } = await commit(broker, {
    account: recipient.account,
    ops: [
      {
        t: 'append',
        mailbox: placement.mailbox,
        content,
        flags: NO_FLAGS,
        internalDate: Math.floor(job.message.acceptedAt / 1000),
        dedupe: `${job.queueId} ${name}`,
        quota: 'enforce',
      },
    ],
    session: job.queueId,
    by: 'filter',
  });
  const result = results[0]!;
  if (!result.ok) {
    if (result.why === 'noSuchMailbox') throw new Error(`the mailbox ${placement.name} is gone`);
    throw new Error(result.why === 'quota' ? 'the mailbox is over its quota' : `the mailbox refused it: ${result.why}`);
  }
  if (result.t !== 'append') throw new Error('the mail store answered something else');
  const at = now();
  metrics.delivered.inc({ role: placement.role ?? 'other' });
  metrics.deliveryLatency.observe(Math.max(0, at - job.message.acceptedAt) / 1000);
  log.info(
    {
      queueId: job.queueId,
      recipient: recipient.address,
      mailbox: placement.name,
      uid: result.uid,
      tookMs: at - job.message.acceptedAt,
      duplicate: result.duplicate,
    },
    'message.delivered',
  );
  return { recipient: name, at, outcome: 'delivered', mailbox: placement.name, uid: result.uid, detail: placement.why };
}

/** As the placement stage wrote it; where it wrote nothing, or an earlier try failed on it, it is decided anew. */
async function placementOf(
  { stores, config }: NodeContext,
  job: Job,
  recipient: Recipient,
): Promise<Placement | undefined> {
  const listed = (job.verdicts.placement?.facts.placements ?? []) as readonly Placement[];
  const written = listed.find((one) => one.account === recipient.account && one.recipient === recipient.address);
  if (written !== undefined && job.attempt === 1) return written;
  return place(recipient, await stores.mail.mailboxes(recipient.account), job.verdicts.spam, config.subaddressMailbox);
}
