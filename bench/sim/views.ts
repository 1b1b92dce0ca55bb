/**
 * Which processes there are, and what each knows of the others: after a change, every process goes on with the view
 * before it until it has learnt. One change is under way at a time, so that two views are all there are.
 */

import { OwnerTable } from '../../core/mesh/owner-table.ts';
import { hashHigh, hashLow, type MeshNode } from '../../core/mesh/rendezvous.ts';
import type { Calendar } from './calendar.ts';

/** A node that comes back is another process of the same name. */
export interface Process {
  readonly number: number;
  readonly name: string;
  alive: boolean;
  draining: boolean;
  /** From when on it has learnt of the last change. */
  learnsAt: number;
}

export interface Change {
  readonly joins?: readonly MeshNode[];
  readonly leaves?: readonly Process[];
  /** How long until a process knows. */
  readonly learns: (process: Process) => number;
}

export class Views {
  readonly #clock: Calendar;
  readonly #table: OwnerTable;
  readonly #accounts: number;
  readonly processes: Process[] = [];
  /** By the table's number of a node. */
  readonly #processOf: Process[] = [];
  /** Owners under the view before, of the accounts that the last change moved. */
  readonly #before = new Map<number, Process>();
  readonly #gone = new Set<Process>();
  readonly #joined = new Set<Process>();
  #settledAt = 0;

  constructor(clock: Calendar, accounts: number) {
    this.#clock = clock;
    this.#accounts = accounts;
    this.#table = new OwnerTable(accounts);
  }

  /** The first view, known to all. */
  begin(nodes: readonly MeshNode[], accountName: (account: number) => string): void {
    for (const node of nodes) this.#join(node);
    for (let account = 0; account < this.#accounts; account++) {
      const name = accountName(account);
      this.#table.put(account, hashLow(name), hashHigh(name));
    }
  }

  /** Numbers of accounts by process that owns them under the newest view. */
  counts(): Map<Process, number> {
    const counts = new Map(this.members().map((process) => [process, 0]));
    for (let account = 0; account < this.#accounts; account++) {
      const owner = this.newest(account);
      counts.set(owner, counts.get(owner)! + 1);
    }
    return counts;
  }

  members(): Process[] {
    return this.processes.filter((process) => this.#isMember(process));
  }

  newest(account: number): Process {
    return this.#processOf[this.#table.owner(account)]!;
  }

  /** The owner as a process sees it now. */
  owner(account: number, seenBy: Process): Process {
    if (this.#clock.now >= seenBy.learnsAt) return this.newest(account);
    return this.#before.get(account) ?? this.newest(account);
  }

  /** Whether a process is among those that another knows. */
  knows(seenBy: Process, other: Process): boolean {
    if (this.#clock.now >= seenBy.learnsAt) return this.#isMember(other);
    return this.#gone.has(other) || (this.#isMember(other) && !this.#joined.has(other));
  }

  /** The accounts that moved, with their owner before; each process is told when it has learnt. */
  change(
    { joins = [], leaves = [], learns }: Change,
    learnt: (process: Process) => void,
  ): ReadonlyMap<number, Process> {
    const { now } = this.#clock;
    if (now < this.#settledAt) throw new Error('the change before is not known to all yet');
    this.#before.clear();
    this.#gone.clear();
    this.#joined.clear();
    const moved = (account: number, from: number): void => {
      if (!this.#before.has(account)) this.#before.set(account, this.#processOf[from]!);
    };
    for (const process of leaves) {
      this.#table.leave(process.name, moved);
      this.#gone.add(process);
    }
    for (const node of joins) this.#joined.add(this.#join(node, moved));
    for (const process of this.processes) {
      if (!process.alive) continue;
      const after = learns(process);
      process.learnsAt = now + after;
      this.#settledAt = Math.max(this.#settledAt, process.learnsAt);
      this.#clock.in(after, () => {
        if (process.alive) learnt(process);
      });
    }
    return this.#before;
  }

  #isMember(process: Process): boolean {
    const number = this.#table.numberOf(process.name);
    return number !== undefined && this.#processOf[number] === process;
  }

  #join(node: MeshNode, moved?: (account: number, from: number) => void): Process {
    const number = this.processes.length;
    const process = { number, name: node.id, alive: true, draining: false, learnsAt: 0 };
    this.processes.push(process);
    this.#processOf[this.#table.join(node, moved)] = process;
    return process;
  }
}
