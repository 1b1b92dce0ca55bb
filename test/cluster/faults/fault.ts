/**
 * One fault under load, from quiet to quiet: the load runs, the fault comes and goes, every client succeeds again, the
 * queue empties, and everything that was promised is counted. One line of figures per fault is printed.
 */

import assert from 'node:assert/strict';
import type { TestContext } from 'node:test';
import { setTimeout as after } from 'node:timers/promises';
import { randomFrom } from '../../crash/kill.ts';
import { drained, inspect } from './inspect.ts';
import { judge, Ledger } from './ledger.ts';
import { Load, type LoadReport, type LoadShape, STEADY } from './load.ts';
import { allReady, type Mesh } from './mesh.ts';
import { ReadinessWatch } from './readiness-watch.ts';
import { type Failure, makeFlagged } from './sessions.ts';

/** How long an outage takes that everything has to be through with before it ends: waits, leases, silence noticed. */
export const OUTAGE_MS = Number(process.env.FAULT_SECONDS ?? 60) * 1_000;
/** Of outages that are the same but for what is away: longer than any lease. */
export const BRIEF_MS = Math.min(OUTAGE_MS, 12_000);
/** Parts of names, with bars between them: the other faults are skipped. */
const ONLY = process.env.FAULT ?? '';
const WARM_MS = 2_000;

export interface Fault {
  readonly name: string;
  readonly shape?: LoadShape;
  /** Failures that clients may see; `wrong` is never excused. */
  readonly excused: readonly Failure['kind'][];
  /** Of the longest that any client may be without success. */
  readonly outageMsMax?: number;
  /** Several at once: a node can't know from one look to the next what fails behind another's, so readiness is not judged. */
  readonly several?: boolean;
  /** Does it and undoes it. */
  inflict(load: Load): Promise<void>;
  /** Looks closer at what the load has seen. */
  check?(report: LoadReport): void | Promise<void>;
}

/** Runs faults one after the other on one mesh; what was promised under the first must hold after the last. */
export class FaultRun {
  readonly mesh: Mesh;
  readonly #ledger = new Ledger();
  /** Of the run's seed. */
  readonly random: () => number;
  #count = 0;

  private constructor(mesh: Mesh, random: () => number) {
    this.mesh = mesh;
    this.random = random;
  }

  static async on(t: TestContext, mesh: Mesh): Promise<FaultRun> {
    const seed = Number(process.env.SEED ?? Date.now() % 1_000_000);
    t.diagnostic(`seed ${seed}`);
    const run = new FaultRun(mesh, randomFrom(seed));
    await makeFlagged({
      ...{ server: mesh.up, accounts: mesh.accounts, ledger: run.#ledger, random: run.random },
      ...{ tag: 'flagged', answerMsMax: STEADY.answerMsMax },
    });
    return run;
  }

  async fault(t: TestContext, fault: Fault): Promise<void> {
    const { name, shape = STEADY, excused, outageMsMax, several = false, inflict, check } = fault;
    if (!ONLY.split('|').some((part) => name.includes(part))) return t.skip('FAULT names another');
    const { mesh } = this;
    // A fault before this one may have failed half-way.
    await Promise.all(mesh.nodes.map((node) => node.server ?? node.start()));
    await allReady(mesh);
    const before = this.#ledger.promised.size;
    const tag = `f${this.#count++}`;
    const load = new Load(mesh, this.#ledger, { tag, shape, random: this.random });
    const watch = new ReadinessWatch(mesh);
    let report: LoadReport;
    try {
      await load.recovered();
      await after(WARM_MS);
      load.mark();
      await inflict(load);
      await load.recovered();
      report = load.report();
      await allReady(mesh);
    } finally {
      await load.stop();
      await watch.stop();
    }
    await drained(mesh);
    const found = await inspect(mesh, this.#count);
    const verdict = judge(this.#ledger, found);
    const ours = (copy: string): boolean => copy.includes(`-${tag}-`);
    const count = (kind: string): number => report.failures.filter((failure) => failure.kind === kind).length;
    const figures = [
      `${this.#ledger.promised.size - before} acknowledged`,
      `${[...found.mailboxes.keys()].filter(ours).length} stored`,
      `${verdict.doubled.length} duplicated`,
      `${verdict.lost.length} lost`,
      `longest outage ${(report.outageMs / 1_000).toFixed(1)} s (${report.outageOf})`,
      `${report.steps} steps, ${count('refused')} refused, ${count('closed') + count('ended')} told to go, ${count('cut')} cut, ${count('silent')} unanswered`,
    ];
    t.diagnostic(`${name}: ${figures.join(', ')}`);
    assert.deepEqual(verdict, { lost: [], doubled: [], strange: [], misplaced: [], wrongFlags: [] });
    const unexcused = report.failures.filter(({ kind }) => kind === 'wrong' || !excused.includes(kind));
    assert.deepEqual(
      unexcused.map(({ kind, client, node, message }) => `${kind}: ${client} at ${node}: ${message}`),
      [],
      'no client sees another failure',
    );
    if (!several) assert.deepEqual(watch.lies(report.failures), [], 'readiness tells the truth');
    if (outageMsMax !== undefined) assert.ok(report.outageMs <= outageMsMax, `an outage of ${report.outageMs} ms`);
    await check?.(report);
  }
}
