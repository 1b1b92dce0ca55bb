/**
 * The ordered table of stages: what each needs, how long one try may take, how often it is tried and what its absence
 * means. A stage runs as soon as what it needs has settled. To add one: copy skeleton.ts, add a row, add a case file.
 */

import type { PlannedJob } from '../ports/queue.ts';
import { STAGES, type Stage } from './verdict.ts';

export interface StageSpec {
  readonly stage: Stage;
  readonly needs: readonly Stage[];
  /** One try's deadline, counted from its start. */
  readonly deadlineMs: number;
  /** After the last try the policy decides. */
  readonly attemptsMax: number;
  /** First pause between tries; doubles with jitter up to `backoffMsMax`. */
  readonly backoffMs: number;
  readonly backoffMsMax: number;
  /** `hold`: the message waits in the dead letters. `skip`: it goes on without, and the verdict says so. */
  readonly whenBroken: 'hold' | 'skip';
  /** With `skip`: how long nobody may claim the job before it is skipped; null: never. */
  readonly absentMsMax: number | null;
}

export const STAGE_TABLE: readonly StageSpec[] = [
  {
    stage: 'authentication',
    needs: [],
    deadlineMs: 15_000,
    attemptsMax: 3,
    backoffMs: 500,
    backoffMsMax: 10_000,
    whenBroken: 'skip',
    absentMsMax: 120_000,
  },
  {
    stage: 'attachments',
    needs: [],
    deadlineMs: 60_000,
    attemptsMax: 3,
    backoffMs: 500,
    backoffMsMax: 10_000,
    whenBroken: 'skip',
    absentMsMax: 120_000,
  },
  {
    stage: 'spam',
    needs: ['authentication', 'attachments'],
    deadlineMs: 15_000,
    attemptsMax: 4,
    backoffMs: 500,
    backoffMsMax: 10_000,
    whenBroken: 'skip',
    absentMsMax: 300_000,
  },
  {
    stage: 'placement',
    needs: ['spam'],
    deadlineMs: 10_000,
    attemptsMax: 10,
    backoffMs: 500,
    backoffMsMax: 60_000,
    whenBroken: 'skip',
    absentMsMax: 300_000,
  },
  {
    stage: 'delivery',
    needs: ['authentication', 'attachments', 'spam', 'placement'],
    deadlineMs: 60_000,
    attemptsMax: 40,
    backoffMs: 1_000,
    backoffMsMax: 3_600_000,
    whenBroken: 'hold',
    absentMsMax: null,
  },
];

export const stageSpec = (stage: Stage): StageSpec => STAGE_TABLE.find((row) => row.stage === stage)!;

/** Jobs that a message is accepted with. */
export const deliveryPlan = (): readonly PlannedJob[] => STAGE_TABLE.map(({ stage, needs }) => ({ stage, needs }));

/** The table is complete and ascends: each stage needs only stages above it. A test calls this. */
export function checkStageTable(table: readonly StageSpec[] = STAGE_TABLE): void {
  const seen = new Set<Stage>();
  for (const row of table) {
    for (const need of row.needs)
      if (!seen.has(need)) throw new RangeError(`${row.stage} needs ${need}, which is below it`);
    seen.add(row.stage);
  }
  for (const stage of STAGES) if (!seen.has(stage)) throw new RangeError(`no row for ${stage}`);
}
