/** What both queues ask of a plan before they take a message with it. */

import { Fault } from '../core/mail/errors.ts';
import type { PlannedJob } from '../core/ports/queue.ts';

/** Stages in one plan: the embedded queue keeps a number with a bit for each. */
const PLAN_MAX = 48;

/** For each job the places of those that it needs. @throws Fault where the plan cannot be run */
export function placesOf(plan: readonly PlannedJob[]): number[][] {
  const stages = plan.map((job) => job.stage);
  if (plan.length > PLAN_MAX || new Set(stages).size !== plan.length)
    throw new Fault('a plan names each stage once', { stages: stages.join(' ') });
  const places = plan.map(({ needs }) => [...new Set(needs)].map((need) => stages.indexOf(need)));
  const runnable = new Set<number>();
  for (let before = -1; runnable.size > before; ) {
    before = runnable.size;
    for (const [place, needs] of places.entries()) if (needs.every((need) => runnable.has(need))) runnable.add(place);
  }
  // A job that needs itself, in a circle or not, or a stage that is not there, would wait for ever.
  if (runnable.size < plan.length) throw new Fault('a plan cannot be run', { plan: JSON.stringify(plan) });
  return places;
}
