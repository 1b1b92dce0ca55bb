/**
 * Worker side of the queue's verification: every unfinished message has its open jobs, every job its message, and a job is
 * blocked exactly while a need of it is open. `repair` writes what follows from the plan and the verdicts.
 */

import type { DatabaseSync } from 'node:sqlite';
import type { Damage } from '../../core/ports/blob-store.ts';
import {
  BLOCKED,
  DEAD,
  DEAD_MESSAGE,
  DONE,
  messageOf,
  PLACES,
  QUEUED,
  READY,
  type StoredPlan,
} from './queue-schema.ts';

interface Message {
  readonly n: number;
  readonly id: string;
  readonly state: number;
  readonly accepted: string | null;
  readonly plan: string | null;
}
interface Job {
  readonly key: number;
  readonly state: number;
  readonly needs: number;
}

export function verifyQueue(db: DatabaseSync, repair: boolean, now: number): Damage[] {
  const damages: Damage[] = [];
  const report = (id: string, detail: string, repaired: boolean) =>
    damages.push({ what: `queue record ${id}`, detail, repaired });
  const orphans = db
    .prepare(`SELECT key FROM jobs WHERE NOT EXISTS
      (SELECT 1 FROM messages WHERE n = key / ${PLACES} AND state <= ${DEAD_MESSAGE})`)
    .all() as { key: number }[];
  for (const { key } of orphans) {
    report(`#${messageOf(key)}`, 'a job without an unfinished message', repair);
    if (repair) db.prepare('DELETE FROM jobs WHERE key = ?').run(key);
  }
  const messages = db
    .prepare(
      `SELECT n, id, state, accepted, plan FROM messages LEFT JOIN bodies USING (n) WHERE state <= ${DEAD_MESSAGE}`,
    )
    .all() as unknown as Message[];
  for (const message of messages) verifyMessage(db, message, repair, now, report);
  return damages;
}

function verifyMessage(
  db: DatabaseSync,
  message: Message,
  repair: boolean,
  now: number,
  report: (id: string, detail: string, repaired: boolean) => void,
): void {
  let plan: StoredPlan;
  try {
    JSON.parse(message.accepted ?? '');
    plan = JSON.parse(message.plan ?? '') as StoredPlan;
  } catch (error) {
    // Nothing can be made up for it; its jobs end in the dead letters when they are claimed.
    report(message.id, `the accepted message is unreadable: ${(error as Error).message}`, false);
    return;
  }
  const start = message.n * PLACES;
  const rows = <T>(sql: string) => db.prepare(sql).all(start, start + PLACES - 1) as unknown as T[];
  const jobs = new Map(
    rows<Job>('SELECT key, state, needs FROM jobs WHERE key BETWEEN ? AND ?').map((job) => [job.key - start, job]),
  );
  const settled = new Set(
    rows<{ key: number }>('SELECT key FROM settled WHERE key BETWEEN ? AND ?').map((row) => row.key - start),
  );
  let dead = false;
  plan.forEach(([stage, needs], place) => {
    const open = needs.filter((need) => !settled.has(need)).reduce((mask, need) => mask + 2 ** need, 0);
    const job = jobs.get(place);
    dead ||= job?.state === DEAD;
    if (settled.has(place)) {
      if (job === undefined) return;
      report(message.id, `job ${stage} is settled and open at once`, repair);
      if (repair) db.prepare('DELETE FROM jobs WHERE key = ?').run(job.key);
      jobs.delete(place);
    } else if (job === undefined) {
      report(message.id, `job ${stage} is missing`, repair);
      if (repair)
        db.prepare('INSERT INTO jobs VALUES (?, ?, ?, 0, ?, 0, NULL, NULL)').run(
          start + place,
          stage,
          open === 0 ? READY : BLOCKED,
          open,
        );
    } else if (job.needs !== open || (job.state === BLOCKED) !== (open !== 0)) {
      report(message.id, `job ${stage} waits for the wrong stages`, repair);
      if (repair)
        db.prepare('UPDATE jobs SET needs = ?, state = ?, due = 0, token = NULL WHERE key = ?').run(
          open,
          open === 0 ? READY : BLOCKED,
          job.key,
        );
    }
  });
  if (settled.size >= plan.length && jobs.size === 0) {
    report(message.id, 'all jobs are settled, but it is not finished', repair);
    if (repair) db.prepare(`UPDATE messages SET state = ${DONE}, finished = ? WHERE n = ?`).run(now, message.n);
  } else if (dead !== (message.state === DEAD_MESSAGE)) {
    report(message.id, 'its state does not follow from its jobs', repair);
    if (repair) db.prepare('UPDATE messages SET state = ? WHERE n = ?').run(dead ? DEAD_MESSAGE : QUEUED, message.n);
  }
}
