/**
 * Which node owns an account: of all nodes, the one with the highest score for it (highest random weight hashing). Every
 * node comes to the same answer from the same set of nodes, in whatever order it knows them and without asking anybody.
 * A node that joins takes about 1/N of the accounts from all others alike, one that leaves gives its own to all others
 * alike, and no other account moves. It is an optimisation: the lease in the store decides who may write.
 */

/** A node as routing sees it. */
export interface MeshNode {
  /** Its name in the mesh; a node that comes back under the same name gets the same accounts. */
  readonly id: string;
  /** Its share in proportion to the others', 1 where not given. Positive and finite. */
  readonly weight?: number;
}

/** The first half of a name's hash: FNV-1a over UTF-16 units, spread by murmur3's finaliser. */
export const hashLow = (name: string): number => hashOf(name, 0x811c9dc5);
/** The second half, independent of the first. */
export const hashHigh = (name: string): number => hashOf(name, 0x6a09e667);

function hashOf(name: string, seed: number): number {
  let h = seed;
  for (let i = 0; i < name.length; i++) h = Math.imul(h ^ name.charCodeAt(i), 0x01000193);
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
  return h ^ (h >>> 16);
}

/**
 * How well an account fits a node, from the halves of both hashes: uniform over the signed 32-bit integers. Nodes of
 * equal weight are compared by it alone.
 */
export function score(low: number, high: number, nodeLow: number, nodeHigh: number): number {
  let h = Math.imul(low ^ nodeLow, 0x85ebca6b);
  h = Math.imul((h ^ (h >>> 15)) + high, 0xc2b2ae35) ^ nodeHigh;
  h = Math.imul(h ^ (h >>> 16), 0x27d4eb2f);
  return h ^ (h >>> 15);
}

interface Scored {
  readonly score: number;
  readonly weight: number;
  readonly id: string;
}

/** Whether a score at a weight stands above another; equal standing is settled by the names of the nodes. */
export function outranks(first: Scored, second: Scored): boolean {
  if (first.weight === second.weight) {
    if (first.score !== second.score) return first.score > second.score;
  } else {
    const difference = cost(first.score, first.weight) - cost(second.score, second.weight);
    if (difference !== 0) return difference < 0;
  }
  return first.id < second.id;
}

/**
 * An exponential variate whose rate is the weight, so the least of several is each node's with a probability in
 * proportion to its weight.
 */
const cost = (value: number, weight: number): number => -Math.log((value + 0x80000000 + 0.5) / 0x100000000) / weight;

/** A node with what is computed of it once. */
export interface Member {
  readonly id: string;
  readonly weight: number;
  readonly low: number;
  readonly high: number;
}

export const memberOf = ({ id, weight = 1 }: MeshNode): Member => ({
  id,
  weight,
  low: hashLow(id),
  high: hashHigh(id),
});

const scored = (low: number, high: number, { id, weight, low: nodeLow, high: nodeHigh }: Member): Scored => ({
  id,
  weight,
  score: score(low, high, nodeLow, nodeHigh),
});

/** All nodes, the owner first, then who would own the account if those before were gone. */
export function ranking(account: string, nodes: readonly MeshNode[]): readonly string[] {
  const low = hashLow(account);
  const high = hashHigh(account);
  const all = nodes.map((node) => scored(low, high, memberOf(node)));
  return all.sort((a, b) => (outranks(a, b) ? -1 : 1)).map(({ id }) => id);
}

/** The first two of the ranking, or fewer where there are fewer nodes. */
function firstTwo(account: string, members: readonly Member[]): readonly string[] {
  const low = hashLow(account);
  const high = hashHigh(account);
  let first: Scored | undefined;
  let second: Scored | undefined;
  for (const member of members) {
    const one = scored(low, high, member);
    if (first === undefined || outranks(one, first)) {
      second = first;
      first = one;
    } else if (second === undefined || outranks(one, second)) second = one;
  }
  return [first, second].flatMap((one) => (one === undefined ? [] : [one.id]));
}

/** undefined where there is no node. Hashes every node's name: a path taken often keeps an `OwnerCache`. */
export const ownerOf = (account: string, nodes: readonly MeshNode[]): string | undefined =>
  firstTwo(account, nodes.map(memberOf))[0];
