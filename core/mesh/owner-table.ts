/**
 * Owners of many accounts, kept up to date as nodes come and go: a join compares each account with the one new node, a
 * leave looks again only at the accounts of the node that left. At any time each entry equals what `ownerOf` says for
 * the same nodes. An account is a slot (a small number) with its two hashes; a slot costs 14 bytes.
 */

import { hashHigh, hashLow, type Member, type MeshNode, memberOf, outranks, score } from './rendezvous.ts';

/** Owner number of a slot that is empty, or of any slot while there is no node. */
export const NOBODY = 0xffff;
/** Numbers of nodes are 16 bits. */
const NODES_MAX = 0xffff;

/** Told of each slot whose owner changed: numbers of the node before (or NOBODY) and of the node now. */
export type Moved = (slot: number, from: number, to: number) => void;

export class OwnerTable {
  readonly #low: Int32Array;
  readonly #high: Int32Array;
  readonly #best: Int32Array;
  readonly #owner: Uint16Array;
  /** By number; a number is given again once its node has left. */
  readonly #members: (Member | undefined)[] = [];
  readonly #numbers = new Map<string, number>();
  /** Made when it is needed: many nodes may come at once. */
  #packed: Packed | undefined;
  /** Slots in use lie below. */
  #end = 0;

  constructor(slots: number) {
    this.#low = new Int32Array(slots);
    this.#high = new Int32Array(slots);
    this.#best = new Int32Array(slots);
    this.#owner = new Uint16Array(slots).fill(NOBODY);
  }

  get nodes(): readonly string[] {
    return [...this.#numbers.keys()];
  }

  /** The number of a node that is here. */
  numberOf(id: string): number | undefined {
    return this.#numbers.get(id);
  }

  idOf(number: number): string | undefined {
    return this.#members[number]?.id;
  }

  /** The number of the slot's owner. */
  owner(slot: number): number {
    return this.#owner[slot]!;
  }

  /** Puts an account into a slot, by the halves of its hash. */
  put(slot: number, low: number, high: number): void {
    this.#low[slot] = low;
    this.#high[slot] = high;
    if (slot >= this.#end) this.#end = slot + 1;
    this.#choose(slot);
  }

  /** A node that is here already with the same weight changes nothing. Its number. */
  join(node: MeshNode, moved?: Moved): number {
    const joined = memberOf(node);
    const { id, weight } = joined;
    const known = this.#numbers.get(id);
    if (known !== undefined) {
      if (this.#members[known]!.weight === weight) return known;
      this.leave(id, moved);
    }
    const free = this.#members.indexOf(undefined);
    const number = free < 0 ? this.#members.length : free;
    if (number >= NODES_MAX) throw new RangeError('too many nodes');
    this.#members[number] = joined;
    this.#numbers.set(id, number);
    this.#packed = undefined;
    for (let slot = 0; slot < this.#end; slot++) {
      const value = score(this.#low[slot]!, this.#high[slot]!, joined.low, joined.high);
      const before = this.#owner[slot]!;
      if (before !== NOBODY && !better(joined, value, this.#members[before]!, this.#best[slot]!)) continue;
      this.#best[slot] = value;
      this.#owner[slot] = number;
      moved?.(slot, before, number);
    }
    return number;
  }

  /** Without effect where it is not here. */
  leave(id: string, moved?: Moved): void {
    const number = this.#numbers.get(id);
    if (number === undefined) return;
    this.#numbers.delete(id);
    this.#members[number] = undefined;
    this.#packed = undefined;
    for (let slot = 0; slot < this.#end; slot++) {
      if (this.#owner[slot] !== number) continue;
      this.#choose(slot);
      moved?.(slot, number, this.#owner[slot]!);
    }
  }

  #choose(slot: number): void {
    const low = this.#low[slot]!;
    const high = this.#high[slot]!;
    this.#packed ??= pack(this.#members);
    const { lows, highs, numbers, groups } = this.#packed;
    let owner = NOBODY;
    let best = 0;
    for (const { from, to } of groups) {
      let at = from;
      let highest = score(low, high, lows[from]!, highs[from]!);
      for (let i = from + 1; i < to; i++) {
        const value = score(low, high, lows[i]!, highs[i]!);
        // Of equal ones the first stands, which has the lesser name.
        if (value <= highest) continue;
        highest = value;
        at = i;
      }
      const number = numbers[at]!;
      if (owner !== NOBODY && !better(this.#members[number]!, highest, this.#members[owner]!, best)) continue;
      owner = number;
      best = highest;
    }
    this.#best[slot] = best;
    this.#owner[slot] = owner;
  }
}

/** The nodes that are here as columns, by weight and then by name: among equal weights only integers are compared. */
interface Packed {
  readonly lows: Int32Array;
  readonly highs: Int32Array;
  readonly numbers: Uint16Array;
  readonly groups: readonly { readonly from: number; readonly to: number }[];
}

function pack(members: readonly (Member | undefined)[]): Packed {
  const here = members.flatMap((member, number) => (member === undefined ? [] : [{ ...member, number }]));
  here.sort((a, b) => a.weight - b.weight || (a.id < b.id ? -1 : 1));
  const groups: { readonly from: number; to: number }[] = [];
  here.forEach(({ weight }, i) => {
    if (weight !== here[i - 1]?.weight) groups.push({ from: i, to: i });
    groups.at(-1)!.to = i + 1;
  });
  return {
    groups,
    lows: Int32Array.from(here, ({ low }) => low),
    highs: Int32Array.from(here, ({ high }) => high),
    numbers: Uint16Array.from(here, ({ number }) => number),
  };
}

function better(member: Member, value: number, holder: Member, best: number): boolean {
  // Nearly all comparisons end here.
  if (member.weight === holder.weight && value !== best) return value > best;
  return outranks(
    { score: value, weight: member.weight, id: member.id },
    { score: best, weight: holder.weight, id: holder.id },
  );
}

/** Owners by account name for the accounts asked for lately, at most so many. */
export class OwnerCache {
  readonly #table: OwnerTable;
  readonly #slots = new Map<string, number>();
  readonly #accounts: string[] = [];
  readonly #entriesMax: number;
  #next = 0;

  constructor(entriesMax: number) {
    this.#entriesMax = entriesMax;
    this.#table = new OwnerTable(entriesMax);
  }

  get nodes(): readonly string[] {
    return this.#table.nodes;
  }

  /** Makes the given nodes those of the cache: joins and leaves what differs. */
  update(nodes: readonly MeshNode[]): void {
    const ids = new Set(nodes.map(({ id }) => id));
    for (const id of this.#table.nodes) if (!ids.has(id)) this.#table.leave(id);
    for (const node of nodes) this.#table.join(node);
  }

  /** undefined where there is no node. */
  ownerOf(account: string): string | undefined {
    return this.#table.idOf(this.#table.owner(this.#slots.get(account) ?? this.#enter(account)));
  }

  #enter(account: string): number {
    const slot = this.#next;
    this.#next = (slot + 1) % this.#entriesMax;
    const before = this.#accounts[slot];
    if (before !== undefined) this.#slots.delete(before);
    this.#accounts[slot] = account;
    this.#slots.set(account, slot);
    this.#table.put(slot, hashLow(account), hashHigh(account));
    return slot;
  }
}
