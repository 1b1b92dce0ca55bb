/**
 * Who on this node waits for which stage's jobs, and what is there for them: jobs that were leased to them in the change
 * that made them ready (a message on its way on one node costs no claims), and pointers from the other nodes. Decides
 * when a claim must also ask the store, which alone knows everything: retries, ended leases, pointers that were lost.
 */

import type { QueueId } from '../../core/mail/ids.ts';
import type { Handed, HandOut } from './queue-changes.ts';

/** A job that is leased to this process and not claimed yet. */
interface HandedJob extends Handed {
  readonly queueId: QueueId;
}

/** A pointer: the job may be ready. `done` tells NATS, with a delay where it must come again. */
export interface Ticket {
  readonly queueId: QueueId;
  done(againMs?: number): void;
}

/** How this process shares the looking for overdue jobs with others that run the stage. */
export interface Sweep {
  /** By how much longer it waits between two looks than if it were alone. */
  slowdown(stage: string): number;
  /** Its part of everything, which goes from 0 to 1; with each step wider twice as large, until it is everything. */
  share(stage: string, wider: number): { readonly from: number; readonly to: number };
}

/** Claimers look by themselves every few seconds; one that was not seen for longer is not there any more. */
const SEEN_MS = 8_000;
/** More than a claimer takes at once is left to all nodes. */
const HANDED_MAX = 32;
/** How often the store is asked for all stages at once: pointers tell of new jobs, so this is for what was lost. */
const LOOK_MS = 4_000;
/** And by a claimer that is kept busy by pointers, for jobs that fall due. */
const ASK_BUSY_MS = 1_000;
/** Without NATS the store is the only way. */
const ASK_ALONE_MS = 200;

class Claimer {
  leaseMs: number;
  seenAt: number;
  askedAt = Number.NEGATIVE_INFINITY;
  /** It was given jobs since, without the store. */
  busy = false;
  /** The store may hold ready jobs of this stage that nobody will point to here. */
  more = true;
  /** There was more than one look finds: the next one is for a share. */
  backlog = false;
  /** How often nothing was left in it: others may be at rest, or gone. */
  wider = 0;
  /** The earliest retry that this node knows of. */
  dueAt = Number.POSITIVE_INFINITY;
  /** Leases promised in changes that are being written. */
  promised = 0;
  readonly handed: HandedJob[] = [];
  readonly tickets: Ticket[] = [];
  /** Called when tickets were taken. */
  readonly taken: (() => void)[] = [];
  /** Asking goes one after the other, so that two claims do not run for the same jobs. */
  asking: Promise<unknown> = Promise.resolve();

  constructor(leaseMs: number, seenAt: number) {
    this.leaseMs = leaseMs;
    this.seenAt = seenAt;
  }
}

export class Claimers {
  readonly #stages = new Map<string, Claimer>();
  readonly #newToken: () => string;
  readonly #sweep: Sweep;
  #lookedAt = Number.NEGATIVE_INFINITY;

  constructor(newToken: () => string, sweep: Sweep) {
    this.#newToken = newToken;
    this.#sweep = sweep;
  }

  get stages(): readonly string[] {
    return [...this.#stages.keys()];
  }

  has(stage: string): boolean {
    return this.#stages.has(stage);
  }

  /** A claim was made. @returns whether it is the stage's first */
  seen(stage: string, leaseMs: number, now: number): boolean {
    const claimer = this.#stages.get(stage);
    if (claimer === undefined) {
      this.#stages.set(stage, new Claimer(leaseMs, now));
      return true;
    }
    claimer.leaseMs = leaseMs;
    claimer.seenAt = now;
    return false;
  }

  /** Leases what becomes ready at `now`, while its stage's claimer waits here and nothing older may be before it. */
  handOut(now: number): HandOut {
    return (stage) => {
      const claimer = this.#stages.get(stage);
      if (claimer === undefined || Math.abs(now - claimer.seenAt) >= SEEN_MS) return;
      if (claimer.more || claimer.tickets.length > 0) return;
      if (claimer.handed.length + claimer.promised >= HANDED_MAX) return;
      claimer.promised++;
      return this.lease(stage, now + claimer.leaseMs);
    };
  }

  lease(stage: string, until: number): Handed {
    return { stage, token: this.#newToken(), until };
  }

  /** The change with these leases was not written. */
  withdraw(handed: readonly Handed[]): void {
    for (const { stage } of handed) this.#stages.get(stage)!.promised--;
  }

  /** The change with these leases stands. */
  hand(queueId: QueueId, handed: readonly Handed[]): void {
    for (const lease of handed) {
      const claimer = this.#stages.get(lease.stage)!;
      claimer.promised--;
      claimer.handed.push({ ...lease, queueId });
    }
  }

  takeHanded(stage: string, max: number): readonly HandedJob[] {
    const claimer = this.#stages.get(stage)!;
    const some = claimer.handed.splice(0, max);
    if (some.length > 0) claimer.busy = true;
    return some;
  }

  addTicket(stage: string, ticket: Ticket): void {
    this.#stages.get(stage)!.tickets.push(ticket);
  }

  takeTickets(stage: string, max: number): readonly Ticket[] {
    const claimer = this.#stages.get(stage)!;
    const some = claimer.tickets.splice(0, max);
    if (some.length === 0) return some;
    claimer.busy = true;
    for (const tell of claimer.taken.splice(0)) tell();
    return some;
  }

  /** Resolves when fewer than `most` tickets wait. */
  async room(stage: string, most: number): Promise<void> {
    const { tickets, taken } = this.#stages.get(stage)!;
    while (tickets.length >= most) await new Promise<void>((resolve) => void taken.push(resolve));
  }

  mayHaveMore(stage: string): void {
    const claimer = this.#stages.get(stage);
    if (claimer !== undefined) claimer.more = true;
  }

  /** Part of everything to look at next, or null for all of it. */
  lookAt(stage: string): ReturnType<Sweep['share']> | null {
    const { backlog, wider } = this.#stages.get(stage)!;
    return backlog ? this.#sweep.share(stage, wider) : null;
  }

  /**
   * What the look at `lookAt` has come to.
   * @param full it found as many jobs as it may
   * @returns whether to look elsewhere first: nothing is there, or everybody finds the same
   */
  looked(stage: string, found: number, full: boolean): boolean {
    const claimer = this.#stages.get(stage)!;
    if (claimer.backlog && found > 0) return false;
    if (claimer.backlog) claimer.wider++;
    else if (!full) {
      claimer.wider = 0;
      return false;
    }
    const wasShare = claimer.backlog;
    const { from, to } = this.#sweep.share(stage, claimer.wider);
    claimer.backlog = to - from < 1;
    return wasShare || claimer.backlog;
  }

  dueAt(stage: string, due: number): void {
    const claimer = this.#stages.get(stage);
    if (claimer !== undefined) claimer.dueAt = Math.min(claimer.dueAt, due);
  }

  /** Whether a claim asks the store before it takes pointers, so that jobs fall due however many new ones come. */
  mustAskFirst(stage: string, now: number): boolean {
    const { busy, dueAt } = this.#stages.get(stage)!;
    return dueAt <= now || (busy && this.#isLongAgo(stage, now, ASK_BUSY_MS));
  }

  /** Whether a claim that is not filled asks the store. */
  mustAsk(stage: string, now: number, pointed: boolean): boolean {
    const { dueAt, more } = this.#stages.get(stage)!;
    return more || dueAt <= now || (!pointed && this.#isLongAgo(stage, now, ASK_ALONE_MS));
  }

  /** Whether it is time to ask the store for all stages. Whoever is told so does it. */
  mustLook(stage: string, now: number): boolean {
    if (Math.abs(now - this.#lookedAt) < LOOK_MS * this.#sweep.slowdown(stage)) return false;
    this.#lookedAt = now;
    return true;
  }

  #isLongAgo(stage: string, now: number, ms: number): boolean {
    return Math.abs(now - this.#stages.get(stage)!.askedAt) >= ms * this.#sweep.slowdown(stage);
  }

  /** Runs `ask` after those before it, which may have left it nothing to do. */
  ask<T>(stage: string, now: number, ask: () => Promise<T>): Promise<T> {
    const claimer = this.#stages.get(stage)!;
    const result = claimer.asking.then(() => {
      claimer.more = false;
      claimer.busy = false;
      claimer.askedAt = now;
      if (claimer.dueAt <= now) claimer.dueAt = Number.POSITIVE_INFINITY;
      return ask();
    });
    claimer.asking = result.catch(() => {
      claimer.more = true;
    });
    return result;
  }
}
