/**
 * Nodes that write accounts as the product's do: an edge routes by its own view, the node asked follows core/mesh/lease.ts
 * and the edge asks again while nobody is in charge. What happens inside of one node takes no time.
 */

import { givesBack, heldUntil, LEASE, type LeaseView, retryAfter, writeStep } from '../../core/mesh/lease.ts';
import type { Calendar } from './calendar.ts';
import type { LeaseStore } from './lease-store.ts';
import type { Random } from './random.ts';
import type { Change, Process, Views } from './views.ts';

/** As in mixins/commit.ts: the pauses before an edge asks again, and its patience with one answer and with all. */
const PAUSE_MS = 15;
const PAUSE_MS_MAX = 300;
const ATTEMPT_MS = 6_000;
const DEADLINE_MS = 20_000;
/** A client whose edge died connects to another after so long. */
const RECONNECT_MS = 1_000;
/** From edge to node and back. */
const HOP_MS = 1;
/** As in mixins/actor.ts: leases given back at a time, and accounts remembered before those run out are forgotten. */
const RELEASED_AT_ONCE = 32;
const REMEMBERED = 10_000;

interface Write {
  readonly account: number;
  readonly begun: number;
  readonly done: ((ms: number) => void) | undefined;
  edge: Process;
  pause: number;
}

interface Held {
  until: number;
  epoch: number;
}

interface Node {
  readonly process: Process;
  readonly held: Map<number, Held>;
  /** Writes that wait for the same lease. */
  readonly asking: Map<number, Write[]>;
}

/** Writes since the last `take`. */
export interface Writes {
  count: number;
  /** Times of those that did not find their lease held, or had to ask more than one node. */
  waits: number[];
  failed: number;
  fenced: number;
}

export interface MeshParts {
  readonly clock: Calendar;
  readonly views: Views;
  readonly store: LeaseStore;
  readonly random: Random;
}

export class Mesh {
  readonly #parts: MeshParts;
  readonly #nodes: Node[] = [];
  /** The processes that can be connected to. */
  #edges: Process[] = [];
  #writes: Writes = { count: 0, waits: [], failed: 0, fenced: 0 };
  /** Writes by process, for the balance of load. */
  readonly load: number[] = [];

  constructor(parts: MeshParts) {
    this.#parts = parts;
    this.#follow();
  }

  take(): Writes {
    const writes = this.#writes;
    this.#writes = { count: 0, waits: [], failed: 0, fenced: 0 };
    this.load.length = 0;
    return writes;
  }

  /** Leases that have not run out. */
  get leases(): number {
    const { now } = this.#parts.clock;
    let count = 0;
    for (const { held, process } of this.#nodes)
      if (process.alive) for (const { until } of held.values()) if (until > now) count++;
    return count;
  }

  change(change: Change): ReadonlyMap<number, Process> {
    const moved = this.#parts.views.change(change, (process) => this.#settle(this.#nodes[process.number]!));
    this.#follow();
    return moved;
  }

  /** The process is gone with all that it had in memory. Others learn of it by a change. */
  kill(process: Process): void {
    process.alive = false;
    const node = this.#nodes[process.number]!;
    for (const writes of node.asking.values()) for (const write of writes) this.#again(write, 0);
    node.asking.clear();
    node.held.clear();
    this.#follow();
  }

  /** It is in charge of nothing from now on, gives everything back, and then ends. */
  drain(process: Process): void {
    process.draining = true;
    this.#settle(this.#nodes[process.number]!, () => {
      process.alive = false;
      this.#follow();
    });
  }

  write(account: number, done?: (ms: number) => void): void {
    const edge = this.#edge();
    this.#attempt({ account, begun: this.#parts.clock.now, done, edge, pause: PAUSE_MS });
  }

  #follow(): void {
    const { processes } = this.#parts.views;
    for (let i = this.#nodes.length; i < processes.length; i++)
      this.#nodes.push({ process: processes[i]!, held: new Map(), asking: new Map() });
    this.#edges = processes.filter(({ alive, draining }) => alive && !draining);
  }

  #edge(): Process {
    return this.#edges[this.#parts.random.below(this.#edges.length)]!;
  }

  #attempt(write: Write): void {
    const { clock, views } = this.#parts;
    if (!write.edge.alive) {
      write.edge = this.#edge();
      this.#again(write, RECONNECT_MS);
      return;
    }
    const target = views.owner(write.account, write.edge);
    if (target.alive) {
      this.#arrive(this.#nodes[target.number]!, write);
      return;
    }
    // The broker fails what waits for a node when the node is known to be gone.
    const known = Math.max(0, write.edge.learnsAt - clock.now);
    this.#again(write, Math.min(known, ATTEMPT_MS));
  }

  /** After so long, and the pause that grows. */
  #again(write: Write, after: number): void {
    const { clock, random } = this.#parts;
    const pause = write.pause * (0.5 + random.next());
    write.pause = Math.min(PAUSE_MS_MAX, write.pause * 2);
    if (clock.now + after + pause - write.begun > DEADLINE_MS) {
      this.#writes.count++;
      this.#writes.failed++;
      return;
    }
    clock.in(after + pause, () => this.#attempt(write));
  }

  #arrive(node: Node, write: Write): void {
    const { clock } = this.#parts;
    const { account } = write;
    const held = node.held.get(account);
    const step = writeStep(this.#view(node, account, held));
    if (step === 'write') this.#commit(node, held!.epoch, write);
    else if (step === 'decline') this.#again(write, HOP_MS);
    else {
      const waiting = node.asking.get(account);
      if (waiting !== undefined) {
        waiting.push(write);
        return;
      }
      const writes = [write];
      node.asking.set(account, writes);
      this.#ask(node, account, writes, 0, clock.now + ATTEMPT_MS);
    }
  }

  #view({ process }: Node, account: number, held: Held | undefined): LeaseView {
    const { clock, views } = this.#parts;
    const mine = views.owner(account, process) === process;
    return { until: held?.until ?? 0, now: clock.now, mine, draining: process.draining };
  }

  #commit(node: Node, epoch: number, write: Write): void {
    const { store, clock } = this.#parts;
    if (!store.commit(write.account, epoch)) {
      this.#writes.fenced++;
      node.held.delete(write.account);
      this.#again(write, 0);
      return;
    }
    this.#writes.count++;
    const { number } = node.process;
    this.load[number] = (this.load[number] ?? 0) + 1;
    const waited = clock.now - write.begun;
    if (waited > 0) this.#writes.waits.push(waited);
    write.done?.(waited);
  }

  #ask(node: Node, account: number, writes: Write[], tries: number, deadline: number, gone?: number): void {
    const { clock, store, random, views } = this.#parts;
    const { process } = node;
    const askedAt = clock.now;
    const isOver = (): boolean => !process.alive || node.asking.get(account) !== writes;
    const giveUp = (): void => {
      node.asking.delete(account);
      for (const write of writes) this.#again(write, HOP_MS);
    };
    store.lease(account, { process: process.number, gone, ttlMs: LEASE.ttlMs }, (epoch) => {
      if (isOver()) return;
      if (epoch !== undefined) {
        node.asking.delete(account);
        const held = { until: heldUntil(askedAt), epoch };
        this.#remember(node, account, held);
        for (const write of writes) this.#commit(node, epoch, write);
        // Routing may have changed while the store was asked.
        if (givesBack(this.#view(node, account, held), 0)) this.#release(node, account);
        return;
      }
      store.holder(account, (holder) => {
        if (isOver()) return;
        const lives = holder !== undefined && views.knows(process, views.processes[holder.process]!);
        const pause = holder === undefined ? 0 : retryAfter({ leftMs: holder.leftMs, lives }, tries, random.next());
        if (clock.now + pause > deadline || process.draining) return giveUp();
        clock.in(pause, () => {
          if (isOver()) return;
          this.#ask(node, account, writes, tries + 1, deadline, lives ? undefined : holder?.process);
        });
      });
    });
  }

  #remember(node: Node, account: number, held: Held): void {
    const { now } = this.#parts.clock;
    if (node.held.size >= REMEMBERED)
      for (const [other, { until }] of node.held) if (until <= now) node.held.delete(other);
    node.held.set(account, held);
  }

  /** Gives back what is another's, a few at a time. */
  #settle(node: Node, done?: () => void): void {
    const leaving = [...node.held].filter(([account, held]) => givesBack(this.#view(node, account, held), 0));
    const next = (): void => {
      const some = leaving.splice(0, RELEASED_AT_ONCE);
      if (some.length === 0) done?.();
      let open = some.length;
      for (const [account] of some)
        this.#release(node, account, () => {
          if (--open === 0 && node.process.alive) next();
        });
    };
    next();
  }

  #release(node: Node, account: number, done?: () => void): void {
    node.held.delete(account);
    this.#parts.store.release(account, node.process.number, () => done?.());
  }
}
