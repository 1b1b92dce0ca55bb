/** The way of one message in words, from connection to mailbox: what `trace` and `queue show` print. */

import type { AcceptedMessage, RefusedMessage } from '../core/mail/accepted.ts';
import type { Client } from '../core/mail/envelope.ts';
import type { JobInfo, MessageRecord } from '../core/ports/queue.ts';
import { formatSize, formatSpan, formatTime, printable } from './format.ts';

type Step = readonly [at: number | null, what: string, details: readonly string[]];

const from = (client: Client): string =>
  `${client.address}:${client.port} as "${client.helo}" by ${client.protocol}${
    client.tls === null ? ', no TLS' : `, ${client.tls.version}`
  }${client.user === null ? '' : `, logged in as ${client.user}`} (session ${client.session})`;

function refusal(refused: RefusedMessage): Step {
  return [
    refused.refusedAt,
    `refused at ${refused.phase}`,
    [
      `from ${from(refused.client)}`,
      `sender <${refused.sender}>, recipients ${refused.recipients.map((one) => `<${one}>`).join(', ') || 'none'}`,
      `answered ${refused.reply}`,
    ],
  ];
}

function acceptance(accepted: AcceptedMessage): Step {
  const recipients = accepted.envelope.recipients.map(({ address }) => `<${address}>`).join(', ');
  return [
    accepted.acceptedAt,
    'accepted',
    [
      `from ${from(accepted.client)}`,
      `sender <${accepted.envelope.sender}>, recipients ${recipients}`,
      `${formatSize(accepted.size)}, Message-ID ${accepted.messageId || 'none'}, subject "${accepted.subject}"`,
    ],
  ];
}

function openJob(job: JobInfo, now: number): string {
  const tries = job.attempts === 0 ? '' : `, tried ${job.attempts} time${job.attempts === 1 ? '' : 's'}`;
  const error = job.lastError === null ? '' : `: ${job.lastError}`;
  switch (job.state) {
    case 'blocked':
      return `${job.stage} waits for ${job.needs.join(', ')}`;
    case 'waiting':
      return `${job.stage} waits until ${formatTime(job.dueAt)} (${formatSpan(Math.max(0, job.dueAt - now))})${tries}${error}`;
    case 'dead':
      return `${job.stage} gave up${tries}${error}`;
    default:
      return `${job.stage} is ${job.state}${tries}${error}`;
  }
}

function steps(record: MessageRecord): Step[] {
  const all: Step[] = [];
  if (record.accepted !== null) all.push(acceptance(record.accepted));
  if (record.refused !== null) all.push(refusal(record.refused));
  for (const verdict of Object.values(record.verdicts)) {
    const score = verdict.score === null ? '' : `, score ${verdict.score}`;
    all.push([
      verdict.at,
      `${verdict.stage}: ${verdict.result}${verdict.skipped ? ' (skipped)' : ''}`,
      [...verdict.reasons, `by ${verdict.version || 'unversioned'} in ${formatSpan(verdict.durationMs)}${score}`],
    ]);
  }
  for (const delivery of record.deliveries) {
    const where = delivery.mailbox === null ? '' : ` into ${delivery.mailbox}, uid ${delivery.uid}`;
    all.push([
      delivery.at,
      `${delivery.outcome} <${delivery.recipient}>${where}`,
      delivery.detail === '' ? [] : [delivery.detail],
    ]);
  }
  if (record.finishedAt !== null) all.push([record.finishedAt, `left the queue: ${record.state}`, []]);
  return all.sort((a, b) => (a[0] ?? 0) - (b[0] ?? 0));
}

/** Times are UTC; what is behind the first step carries how much later it came. */
export function describeWay(record: MessageRecord, now: number): string {
  const lines = [`${record.queueId}: ${record.state}`];
  const all = steps(record);
  const begun = all[0]?.[0] ?? now;
  for (const [at, what, details] of all) {
    const when = at === begun ? formatTime(at) : `+${formatSpan(Math.max(0, (at ?? begun) - begun))}`;
    lines.push(`  ${when.padEnd(19)}  ${printable(what)}`);
    for (const detail of details) lines.push(`  ${' '.repeat(19)}    ${printable(detail)}`);
  }
  for (const job of record.jobs)
    if (job.state !== 'done') lines.push(`  ${'now'.padEnd(19)}  ${printable(openJob(job, now))}`);
  return lines.join('\n');
}
