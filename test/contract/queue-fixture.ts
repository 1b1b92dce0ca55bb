/** What the queue's contract cases share: messages, plans, verdicts, and how a driver is set up. */

import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { test } from 'node:test';
import { deliveryPlan } from '../../core/filter/stages.ts';
import type { Stage, Verdict } from '../../core/filter/verdict.ts';
import type { AcceptedMessage, RefusedMessage } from '../../core/mail/accepted.ts';
import { accountId, blobRef, type QueueId, queueId, type SessionId } from '../../core/mail/ids.ts';
import type { Delivery, Job, PlannedJob, Queue } from '../../core/ports/queue.ts';

export interface QueueFixture {
  /** Open and empty. */
  readonly queue: Queue;
  /** The queue's clock, milliseconds since 1970. */
  readonly clock: { now: number };
  reopen(): Promise<Queue>;
  /** Another queue on a copy of what a process killed now would leave. */
  afterKill(): Promise<Queue>;
  fromBackup(): Promise<Queue>;
  dispose(): Promise<void>;
}

export const NOW = 1_790_000_000_000;
export const LEASE = 60_000;
export const ALL = deliveryPlan();
export const plan = (...jobs: [Stage, ...Stage[]][]): PlannedJob[] =>
  jobs.map(([stage, ...needs]) => ({ stage, needs }));

export const idOf = (number: number): QueueId =>
  queueId(NOW + number, createHash('sha256').update(String(number)).digest());
export const blobOf = (number: number) => blobRef(createHash('sha256').update(`blob ${number}`).digest('hex'));

const client = {
  session: 's0000000000000' as SessionId,
  address: '192.0.2.1',
  port: 1234,
  helo: 'mail.example.org',
  protocol: 'ESMTPS',
  tls: { version: 'TLSv1.3', cipher: 'TLS_AES_256_GCM_SHA384' },
  account: null,
  user: null,
};

export const message = (number: number, more: Partial<AcceptedMessage> = {}): AcceptedMessage => ({
  queueId: idOf(number),
  acceptedAt: NOW + number,
  envelope: {
    sender: 'söndér@example.org',
    recipients: [{ address: 'alice@mail.localhost', account: accountId('abcdefghjkmnpqrs'), subaddress: 'tag' }],
    smtputf8: true,
    body: '8BITMIME',
  },
  client,
  blob: blobOf(number),
  size: 1000 + number,
  headers: 'Received: from mail.example.org\r\n',
  removed: [[10, 20]],
  messageId: `<${number}@example.org>`,
  subject: `Nummer ${number} \u{1f600}`,
  ...more,
});

export const refusal = (number: number, more: Partial<RefusedMessage> = {}): RefusedMessage => ({
  queueId: idOf(number),
  refusedAt: NOW + number,
  phase: 'RCPT',
  sender: 'sender@example.org',
  recipients: ['nobody@mail.localhost'],
  client,
  reply: '550 5.1.1 No such mailbox here',
  messageId: '',
  size: 0,
  ...more,
});

export const verdict = (stage: Stage, more: Partial<Verdict> = {}): Verdict => ({
  stage,
  result: 'pass',
  score: 0.25,
  reasons: ['because'],
  version: '1',
  durationMs: 3,
  at: NOW,
  headers: ['X-Stage: yes\r\n'],
  facts: { list: [1, 2, { deep: true }] },
  skipped: false,
  ...more,
});

export const delivery = (recipient: string, more: Partial<Delivery> = {}): Delivery => ({
  recipient,
  at: NOW,
  outcome: 'delivered',
  mailbox: 'INBOX',
  uid: 7,
  detail: '',
  ...more,
});

export const claim = (queue: Queue, stage: Stage, now = NOW, max = 100): Promise<Job[]> =>
  queue.claim(stage, { max, leaseMs: LEASE, now });

/** Claims the one job that is there. */
export async function claimOne(queue: Queue, stage: Stage, now = NOW): Promise<Job> {
  const jobs = await claim(queue, stage, now);
  assert.equal(jobs.length, 1, `jobs of ${stage}`);
  return jobs[0]!;
}

/** Runs stages of the one message in the queue, in order. */
export async function run(queue: Queue, ...stages: Stage[]): Promise<void> {
  for (const stage of stages) assert.equal(await queue.settle(await claimOne(queue, stage), verdict(stage)), true);
}

export const ids = (jobs: readonly { queueId: QueueId }[]): QueueId[] => jobs.map((job) => job.queueId);

export type QueueCase = (name: string, run: (queue: Queue, fixture: QueueFixture) => Promise<void>) => void;

export const casesOf =
  (driver: string, make: () => Promise<QueueFixture>): QueueCase =>
  (name, body) =>
    void test(`${driver} queue: ${name}`, async () => {
      const fixture = await make();
      try {
        await body(fixture.queue, fixture);
      } finally {
        await fixture.dispose();
      }
    });
