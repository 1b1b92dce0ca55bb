/**
 * What happens to the simulated mesh, one thing after another, and what is measured meanwhile. Each scenario ends in a row;
 * the load goes on all the time.
 */

import { base32 } from '../../core/mail/ids.ts';
import { LEASE } from '../../core/mesh/lease.ts';
import { Calendar } from './calendar.ts';
import { LeaseStore, type LeaseTraffic } from './lease-store.ts';
import { Mesh, type Writes } from './mesh.ts';
import { Random } from './random.ts';
import type { SimSettings } from './settings.ts';
import { type Change, type Process, Views } from './views.ts';

export interface ScenarioRow {
  readonly name: string;
  readonly seconds: number;
  /** Accounts that moved, as a share of all, and what share the change calls for. */
  readonly moved: number;
  readonly expected: number;
  /** Accounts on the node that has most, over the mean. */
  readonly balance: number;
  /** Writes of the busiest process over the mean of all. */
  readonly load: number;
  readonly writes: Writes;
  readonly traffic: LeaseTraffic;
  readonly leases: number;
  /** Time to the first write of accounts that lost their node, for a sample of them. */
  readonly recovery: readonly number[];
}

/** Those of the lost nodes' accounts that are written at once, as a share of all accounts. */
const PROBES_MAX = 0.001;
const PROBE_MS = 1_000;
/** News by message, such as a node that joins or drains. */
const NEWS_MS = [2, 200] as const;
/** Share of all accounts that come back at once in the lease storm, and in what time. */
const STORM = 0.1;
const STORM_MS = 10_000;
/** The load in a scenario that has nothing else to show. */
const STEADY_MS = 20_000;
/** Longer than any change takes to be known and over. */
const SCENARIO_MS = 22_000;

export class Scenarios {
  readonly #settings: SimSettings;
  readonly #clock = new Calendar();
  readonly #random: Random;
  readonly #views: Views;
  readonly #store: LeaseStore;
  readonly #mesh: Mesh;
  readonly #names: string[];
  /** When the load goes on. */
  #nextWrite = 0;

  constructor(settings: SimSettings) {
    this.#settings = settings;
    this.#random = new Random(settings.seed);
    this.#views = new Views(this.#clock, settings.accounts);
    this.#names = Array.from({ length: settings.nodes }, (_, i) => `node-${i}`);
    const id = new Uint8Array(16);
    this.#views.begin(
      this.#names.map((name) => ({ id: name })),
      () => {
        for (let i = 0; i < id.length; i++) id[i] = this.#random.bits() & 0xff;
        return base32(id);
      },
    );
    this.#store = new LeaseStore(this.#clock, settings.accounts, settings.store);
    this.#mesh = new Mesh({ clock: this.#clock, views: this.#views, store: this.#store, random: this.#random });
    this.#nextWrite = this.#gap();
  }

  get nowMs(): number {
    return this.#clock.now;
  }

  *rows(): Generator<ScenarioRow> {
    const { nodes, rack, accounts } = this.#settings;
    // Until leases are as many as the load keeps.
    this.#run(2 * LEASE.ttlMs);
    this.#take();
    yield this.#row('steady load', STEADY_MS, new Map(), 0);

    const joined = this.#change({ joins: [{ id: 'node-new' }] });
    yield this.#row('one node joins', SCENARIO_MS, joined, 1 / (nodes + 1));

    const drained = this.#processOf('node-new');
    drained.draining = true;
    const left = this.#change({ leaves: [drained] });
    this.#mesh.drain(drained);
    yield this.#row('it drains and stops', SCENARIO_MS, left, 1 / (nodes + 1));

    const killed = [this.#processOf('node-0')];
    yield this.#lose('one node is killed', killed, 1 / nodes);
    const lost = this.#names.slice(1, 1 + rack).map((name) => this.#processOf(name));
    yield this.#lose(`a rack of ${rack} nodes is killed`, lost, rack / (nodes - 1));

    const back = this.#change({ joins: [...killed, ...lost].map(({ name }) => ({ id: name })) });
    yield this.#row('all of them come back', SCENARIO_MS, back, (rack + 1) / nodes);

    for (let i = 0; i < accounts * STORM; i++)
      this.#clock.in(this.#random.between(0, STORM_MS), () => this.#mesh.write(this.#random.below(accounts)));
    yield this.#row(
      `lease storm: ${Math.round(accounts * STORM).toLocaleString('en')} accounts in 10 s`,
      STEADY_MS,
      new Map(),
      0,
    );
  }

  #processOf(name: string): Process {
    return this.#views.members().find((process) => process.name === name)!;
  }

  #change(change: Omit<Change, 'learns'>): ReadonlyMap<number, Process> {
    return this.#mesh.change({ ...change, learns: () => this.#random.between(...NEWS_MS) });
  }

  /** Processes die without a word; the accounts they had are written at once. */
  #lose(name: string, lost: readonly Process[], expected: number): ScenarioRow {
    const { beatMs, silenceMs, checkMs } = this.#settings;
    for (const process of lost) this.#mesh.kill(process);
    // The last sign of life was up to one beat ago (its time is a half second more or less, and kept in whole seconds);
    // all of the lost are known to be gone when the last one is.
    const quiet = Math.max(...lost.map(() => silenceMs + 1_000 - this.#random.between(0, beatMs + 500)));
    const moved = this.#mesh.change({ leaves: lost, learns: () => quiet + this.#random.between(0, checkMs) });
    const recovery: number[] = [];
    let probes = 0;
    const share = Math.min(1, (PROBES_MAX * this.#settings.accounts) / moved.size);
    for (const account of moved.keys()) {
      if (this.#random.next() >= share) continue;
      probes++;
      this.#clock.in(this.#random.between(0, PROBE_MS), () => {
        const since = this.#clock.now - lostAt;
        this.#mesh.write(account, (ms) => recovery.push(since + ms));
      });
    }
    const lostAt = this.#clock.now;
    const row = this.#row(name, SCENARIO_MS, moved, expected);
    if (recovery.length < probes) throw new Error(`${probes - recovery.length} of ${probes} accounts stayed lost`);
    return { ...row, recovery };
  }

  #row(name: string, ms: number, moved: ReadonlyMap<number, Process>, expected: number): ScenarioRow {
    // A map of the change: it is made anew by the next.
    let count = 0;
    for (const [account, from] of moved) if (this.#views.newest(account) !== from) count++;
    this.#run(ms);
    const counts = [...this.#views.counts().values()];
    const balance = (Math.max(...counts) * counts.length) / this.#settings.accounts;
    const { leases } = this.#mesh;
    const loads = this.#views.members().map(({ number }) => this.#mesh.load[number] ?? 0);
    const load = (Math.max(...loads) * loads.length) / loads.reduce((sum, each) => sum + each, 0);
    return {
      name,
      seconds: ms / 1_000,
      moved: count / this.#settings.accounts,
      expected,
      balance,
      load,
      leases,
      recovery: [],
      ...this.#take(),
    };
  }

  #take(): { readonly writes: Writes; readonly traffic: LeaseTraffic } {
    return { writes: this.#mesh.take(), traffic: this.#store.take() };
  }

  #gap(): number {
    return this.#random.gap(this.#settings.writesPerSecond / 1_000);
  }

  #run(ms: number): void {
    const { accounts, skew } = this.#settings;
    const arrive = (): number => {
      this.#mesh.write(this.#random.skewed(accounts, skew));
      this.#nextWrite = this.#clock.now + this.#gap();
      return this.#nextWrite;
    };
    this.#clock.run(this.#clock.now + ms, arrive, this.#nextWrite);
  }
}
