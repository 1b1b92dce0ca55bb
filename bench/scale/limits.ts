/**
 * What breaks first: each limit with what so many accounts ask of it in one mesh, and the number of accounts at which that
 * is more than there is. The order and the words of the tables in docs/scale.md come from here.
 */

import { loadConfig } from '../../core/config/load.ts';
import { HINT_BUCKETS } from '../../mixins/hint-bus.ts';
import {
  ACCOUNTS_PER_SHARD,
  CLUSTER_FACTOR,
  FIXED,
  LOAD,
  MACHINES,
  MEASURED,
  MONGO,
  NATS,
  UNMEASURED,
} from './assumptions.ts';
import { accountRows, edgeBytes, nodes, rates, shardLoad, sum, traffic } from './sizing.ts';
import type { Units } from './units.ts';

/** `option`: a setting. `topology`: more or other servers, no code. `build`: code that is not there. */
export type Remedy = 'option' | 'topology' | 'build';

export interface Limit {
  readonly what: string;
  /** What it is measured in, and the arithmetic in words. */
  readonly unit: string;
  /** Asked of it by so many accounts, and what it has, of one mesh. */
  readonly asked: (accounts: number) => number;
  readonly has: number;
  readonly change: string;
  readonly remedy: Remedy;
}

const ACCOUNTS_LEAST = 100;
const ACCOUNTS_MOST = 1e12;

/** @returns Infinity where it is never reached */
export function reachedAt({ asked, has }: Pick<Limit, 'asked' | 'has'>): number {
  let [low, high] = [Math.log(ACCOUNTS_LEAST), Math.log(ACCOUNTS_MOST)];
  if (asked(Math.exp(high)) <= has) return Number.POSITIVE_INFINITY;
  for (let step = 0; step < 100; step++) {
    const middle = (low + high) / 2;
    if (asked(Math.exp(middle)) > has) high = middle;
    else low = middle;
  }
  return Math.exp(high);
}

const TB = 1e12;

export function limits(units: Units): readonly Limit[] {
  const { queueMessagesMax } = loadConfig({});
  const { stream } = units.wire;
  const perAccount = accountRows(units);
  const stored = sum(perAccount.map(({ stored: bytes, indexBytes }) => bytes + indexBytes));
  const blobs = sum(perAccount.filter(({ what }) => what.startsWith('kept,')).map(({ documents }) => documents));
  const peak = (perSecond: number): number => perSecond * LOAD.peak;
  const upkeepPerSecond = (batch: number): number => (batch * 1_000 * FIXED.upkeepShare) / MONGO.upkeepBatchMs;
  // Custody record, features, receipt; content with the note that it may go, and its blobs.
  const forgotten = 5 + units.message.keptBlobs.documents + units.message.passingBlobs.documents;
  const fullest = Math.max(...Object.values(shardLoad(units)));
  return [
    {
      what: 'memory of an access node in k8s/base',
      unit: 'MiB, with sessions that have selected an INBOX of the mean size',
      asked: (accounts) =>
        edgeBytes((accounts * LOAD.sessionsPerAccount) / nodes(accounts, units).edge, units) / 2 ** 20,
      has: FIXED.edgeMemoryMiB,
      change: `${MACHINES.edgeMemoryGiB} GiB for an edge, or fewer sessions on each (averageValue of its autoscaler)`,
      remedy: 'option',
    },
    {
      what: 'one machine: disk',
      unit: 'TB',
      asked: (accounts) => (accounts * stored) / TB,
      has: MACHINES.shardDiskTB,
      change: 'the mesh, with blobs sharded from the beginning: they are most of the bytes',
      remedy: 'topology',
    },
    {
      what: 'one machine: deliveries in the busiest hour',
      unit: 'messages/s, as measured on two cores',
      asked: (accounts) => peak(rates(accounts, units).messages),
      has: MEASURED.deliveriesPerSecond,
      change: 'the mesh',
      remedy: 'topology',
    },
    {
      what: 'one replica set without its blobs',
      unit: 'accounts, by the fullest of disk, memory and writes',
      asked: (accounts) => accounts * fullest,
      has: ACCOUNTS_PER_SHARD,
      change: 'shards, with the keys of this page',
      remedy: 'topology',
    },
    {
      what: 'scrapes of /metrics: each adds up all accounts',
      unit: 'documents/s of one shard, a tenth of what it can',
      asked: (accounts) =>
        (nodes(accounts, units).all / MACHINES.scrapeSeconds) * Math.min(accounts, ACCOUNTS_PER_SHARD),
      has: MONGO.scannedPerSecond * MONGO.scanShare,
      change:
        'sums of the stores by one node (the leader of upkeep) and kept, as those of blobs are; until then scrape more seldom',
      remedy: 'build',
    },
    {
      what: 'MAILMESH_QUEUE_MESSAGES_MAX',
      unit: `messages that wait after ${MACHINES.outageSeconds} s without filters at the busiest time`,
      asked: (accounts) => peak(rates(accounts, units).messages) * MACHINES.outageSeconds,
      has: queueMessagesMax,
      change: 'a larger number: the records lie in MongoDB, not in memory',
      remedy: 'option',
    },
    {
      what: 'pointers that the stream keeps',
      unit: `pointers of ${MACHINES.outageSeconds} s, likewise`,
      asked: (accounts) => peak(rates(accounts, units).pointers) * MACHINES.outageSeconds,
      has: stream.messagesMax,
      change:
        'nothing is lost: the oldest are dropped and their jobs found by the sweep. The stream may be made larger by hand, it is used as it is',
      remedy: 'topology',
    },
    ...(['edge', 'filter', 'mailbox'] as const).map((role) => {
      const has = { edge: FIXED.autoscaledEdges, filter: FIXED.autoscaledFilters, mailbox: FIXED.autoscaledMailboxes };
      return {
        what: `maxReplicas of ${role === 'edge' ? 'access' : role} in k8s/overlays/large`,
        unit: 'nodes',
        asked: (accounts: number) => nodes(accounts, units)[role],
        has: has[role],
        change: role === 'edge' ? 'a larger number, and larger edges: see Connections' : 'a larger number',
        remedy: 'option' as const,
      };
    }),
    {
      what: 'a pass of the collector over all blobs',
      unit: `blobs in ${MACHINES.collectDays} days, by one node`,
      asked: (accounts) => accounts * blobs,
      has: upkeepPerSecond(FIXED.upkeepBatch) * 86_400 * MACHINES.collectDays,
      change:
        'collection by shares, as sweeps have them, or of what the mail store says may be gone; until then deleted mail holds its bytes for longer',
      remedy: 'build',
    },
    {
      what: 'upkeep by one node: what has to be forgotten',
      unit: 'documents/s',
      asked: (accounts) => rates(accounts, units).messages * forgotten,
      has: upkeepPerSecond(FIXED.forgetBatch),
      change: 'upkeep by shares. Shorter MAILMESH_TRACE_RETENTION_MS makes the stock smaller, not the flow',
      remedy: 'build',
    },
    {
      what: 'one JetStream stream',
      unit: 'pointers/s',
      asked: (accounts) => peak(rates(accounts, units).pointers),
      has: NATS.streamMessagesPerSecond,
      change: 'a stream for each partition of the buckets that records have already, or several meshes',
      remedy: 'build',
    },
    {
      what: 'heartbeats: every node to every other',
      unit: 'messages/s, half of what NATS carries',
      asked: (accounts) => traffic(accounts, units).heartbeats,
      has: NATS.messagesPerSecond / 2,
      change: 'larger edges first; then several meshes, each with a MongoDB and a NATS of its own',
      remedy: 'topology',
    },
    {
      what: 'heartbeats: one node’s processor',
      unit: 'share of a core',
      asked: (accounts) => (nodes(accounts, units).all / 2_000) * UNMEASURED.heartbeatCpuMs,
      has: 0.1,
      change: 'likewise',
      remedy: 'topology',
    },
    {
      what: 'watches of sessions as subscriptions',
      unit: 'subscriptions of one NATS',
      asked: (accounts) => accounts * LOAD.sessionsPerAccount,
      has: NATS.subscriptions,
      change: 'several meshes; within one, watches by bucket instead of by account',
      remedy: 'build',
    },
    {
      what: 'NATS as a whole',
      unit: 'messages/s',
      asked: (accounts) => peak(traffic(accounts, units).all),
      has: NATS.messagesPerSecond,
      change: 'more servers, then several meshes',
      remedy: 'topology',
    },
    {
      what: 'buckets that search nodes share',
      unit: 'cores of indexing on average',
      asked: (accounts) => (rates(accounts, units).messages * MEASURED.indexCpuMs * CLUSTER_FACTOR) / 1_000,
      has: HINT_BUCKETS * MACHINES.busyShare,
      change: 'more buckets: a constant',
      remedy: 'build',
    },
    {
      what: 'the log of labels: one place after the other',
      unit: 'labels/s',
      asked: (accounts) => peak(rates(accounts, units).labels),
      has: 1_000 / MONGO.majorityMs,
      change: 'a log for each mesh; one model for all of them needs the logs read together',
      remedy: 'build',
    },
  ];
}
