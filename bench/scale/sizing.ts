/**
 * The arithmetic: from what one message and one account take to what so many accounts need. Pure; everything it takes for
 * given comes from assumptions.ts, the product's options and `measureUnits`.
 */

import { loadConfig } from '../../core/config/load.ts';
import { STAGE_TABLE } from '../../core/filter/stages.ts';
import { mailTables, RECEIPT_AGE_MS, TOMBSTONE_AGE_MS } from '../../drivers/cluster/mail-store-schema.ts';
import { brokerOptions } from '../../moleculer.config.ts';
import {
  ACCOUNTS_PER_SHARD,
  CLUSTER_FACTOR,
  DAY_SECONDS,
  FIXED,
  LOAD,
  MACHINES,
  MEASURED,
  MESSAGE_KINDS,
  MONGO,
  NATS,
  PRICES,
  SIMULATED,
} from './assumptions.ts';
import { RecordingMongo } from './recording-mongo.ts';
import type { Part, Unit, Units } from './units.ts';

const DAY_MS = DAY_SECONDS * 1_000;
const GiB = 2 ** 30;
const TB = 1e12;

/** How long things are kept: the product's own where nothing else is said. */
export interface Retention {
  readonly traceDays: number;
  readonly featuresDays: number;
  /** Vanished uids that a mailbox remembers at least. */
  readonly tombstonesKept: number;
  readonly blobGraceDays: number;
}

const config = loadConfig({});
const HEARTBEAT_SECONDS = brokerOptions(config, 'scale', null).heartbeatInterval!;
export const TODAY: Retention = {
  traceDays: config.traceRetentionMs / DAY_MS,
  featuresDays: FIXED.featuresKeptDays,
  tombstonesKept: mailTables(new RecordingMongo().asMongo).tombstonesKept,
  blobGraceDays: config.blobGraceMs / DAY_MS,
};

type Group = 'mail' | 'trace' | 'search' | 'blobs';

/** What one account has in one collection. */
export interface Row {
  readonly group: Group;
  readonly collection: string;
  readonly what: string;
  /** How the number of documents comes about. */
  readonly because: string;
  readonly documents: number;
  /** As BSON. */
  readonly bytes: number;
  /** On the disk of one replica, indexes apart. */
  readonly stored: number;
  readonly indexBytes: number;
}

export const sum = (numbers: Iterable<number>): number => [...numbers].reduce((all, one) => all + one, 0);

/** Messages of an account that are there on average. */
export const liveMessages = (load = LOAD): number =>
  load.messagesPerAccountDay * ((1 - load.spamShare) * load.hamKeptDays + load.spamShare * load.spamKeptDays);

/** What is remembered of those that are gone, of INBOX and Junk: the rule is `#sweep` in drivers/cluster/mail-store-gc.ts. */
export function tombstones({ tombstonesKept }: Retention, load = LOAD): number {
  const ofMailbox = (shareOfMail: number, keptDays: number): number => {
    const perDay = load.messagesPerAccountDay * shareOfMail;
    const gone = perDay * Math.max(0, load.accountAgeDays - keptDays);
    return Math.min(gone, Math.max(tombstonesKept, (perDay * TOMBSTONE_AGE_MS) / DAY_MS));
  };
  return ofMailbox(1 - load.spamShare, load.hamKeptDays) + ofMailbox(load.spamShare, load.spamKeptDays);
}

/** Bytes of blobs that an account keeps, by how they are stored; equal attachments count once. */
function keptBlobs(units: Units): { readonly part: Part; readonly stored: number } {
  const parts = units.kinds.map(({ name, parts: { keptBlobs: part } }) => {
    const kind = MESSAGE_KINDS.find((one) => one.name === name)!;
    const isText = name === 'text';
    const times = kind.share * (isText ? 1 : 1 - LOAD.attachmentSeenShare);
    const ratio = isText ? MONGO.textBlobRatio : MONGO.binaryBlobRatio;
    return { ...scaled(part, times), stored: part.bytes * times * ratio };
  });
  const part = {
    documents: sum(parts.map(({ documents }) => documents)),
    bytes: sum(parts.map(({ bytes }) => bytes)),
    indexBytes: sum(parts.map(({ indexBytes }) => indexBytes)),
  };
  return { part, stored: sum(parts.map(({ stored }) => stored)) };
}

const scaled = ({ documents, bytes, indexBytes }: Part, times: number): Part => ({
  documents: documents * times,
  bytes: bytes * times,
  indexBytes: indexBytes * times,
});

/** Everything that one account has in MongoDB. */
export function accountRows(units: Units, retention: Retention = TODAY): readonly Row[] {
  const perDay = LOAD.messagesPerAccountDay;
  const live = liveMessages();
  const { message, account, tombstone, label } = units;
  const row = (
    [group, collection, what, because]: readonly [Group, string, string, string],
    part: Part,
    times: number,
    ratio: number = MONGO.documentRatio,
  ): Row => {
    const all = scaled(part, times);
    return { group, collection, what, because, ...all, stored: all.bytes * ratio };
  };
  const one = (unit: Unit): Part => ({ documents: 1, ...unit });
  const logged = { ...account.accounts, bytes: account.accounts.bytes + MONGO.logEntries * units.logEntryBytes };
  const blobs = keptBlobs(units);
  const forDays = (days: number): string => `${perDay}/day × ${days} days`;
  return [
    row(['mail', 'accounts', 'account with its last commits', '1'], logged, 1),
    row(['mail', 'mailboxes', 'mailboxes', 'those it begins with'], account.mailboxes, 1),
    row(['mail', 'subscriptions', 'subscriptions', 'likewise'], account.subscriptions, 1),
    row(['mail', 'messages', 'messages', 'kept mail'], message.messages, live),
    row(
      [
        'mail',
        'messages',
        'vanished messages',
        `beyond ${retention.tombstonesKept.toLocaleString('en')} a mailbox those of ${TOMBSTONE_AGE_MS / DAY_MS} days`,
      ],
      one(tombstone),
      tombstones(retention),
    ),
    row(['mail', 'contents', 'contents', 'kept mail'], message.contents, live),
    row(
      ['mail', 'receipts', 'receipts of deliveries', forDays(RECEIPT_AGE_MS / DAY_MS)],
      message.receipts,
      (perDay * RECEIPT_AGE_MS) / DAY_MS,
    ),
    row(['mail', 'directoryAccounts', 'directory entry', '1'], account.directoryAccounts, 1),
    row(['mail', 'addresses', 'addresses', '1 and aliases'], account.addresses, LOAD.addressesPerAccount),
    row(
      ['trace', 'queue', 'custody records', forDays(retention.traceDays)],
      message.queue,
      perDay * retention.traceDays,
    ),
    row(
      ['trace', 'features', 'features for learning', forDays(retention.featuresDays)],
      message.features,
      perDay * retention.featuresDays,
      MONGO.packedRatio,
    ),
    row(
      ['trace', 'labels', 'labels', `${LOAD.labelsPerAccountDay}/day, for ever`],
      one(label),
      LOAD.labelsPerAccountDay * LOAD.accountAgeDays,
    ),
    row(['search', 'searchManifests', 'manifest', '1'], account.searchManifests, 1),
    row(['search', 'searchBuckets', 'buckets of postings', 'kept mail'], message.search, live, MONGO.packedRatio),
    {
      ...{ group: 'blobs', collection: 'blobs', what: 'kept, with their chunks', because: 'kept mail' },
      ...scaled(blobs.part, live),
      stored: blobs.stored * live,
    },
    row(
      ['blobs', 'blobs', 'received, on their way out', forDays(retention.blobGraceDays)],
      message.passingBlobs,
      perDay * retention.blobGraceDays,
      MONGO.binaryBlobRatio,
    ),
  ];
}

/** Documents that MongoDB inserts, changes or deletes for one message in its whole life, and for one commit of a user. */
export function writeRows({ message }: Units): readonly { what: string; perMessage: number; perUserCommit: number }[] {
  const roots = STAGE_TABLE.filter(({ needs }) => needs.length === 0).length;
  const blobs = message.keptBlobs.documents + message.passingBlobs.documents;
  const leases = SIMULATED.leaseQuestionsPerSecond / SIMULATED.writesPerSecond;
  const row = (what: string, perMessage: number, perUserCommit = 0) => ({ what, perMessage, perUserCommit });
  return [
    row('blobs with chunks: put, marked, deleted', 3 * blobs),
    row(
      `custody: accepted, ${roots} claims, ${STAGE_TABLE.length} verdicts, forgotten`,
      2 + roots + STAGE_TABLE.length,
    ),
    row('features: put, forgotten', 2),
    row('account: the commit point', 1, 1),
    row('account: leases, as simulated', leases, leases),
    row('content: put, marked, deleted, and the note that it may be', 5),
    row('message: put, vanished', 2, 1),
    row('receipt: put, deleted', 2),
    row('mailbox: counters, once for many commits', 1 / MONGO.logEntries, 1 / MONGO.logEntries),
    row('search: buckets as first written and merged once, manifest twice', 2 * message.search.documents + 2),
  ];
}

export interface Rates {
  readonly messages: number;
  readonly commits: number;
  /** Documents written. */
  readonly writes: number;
  readonly pointers: number;
  readonly labels: number;
}

/** A second, on average; the busiest hour has LOAD.peak times as much. */
export function rates(accounts: number, units: Units): Rates {
  const perSecond = (perAccountDay: number): number => (accounts * perAccountDay) / DAY_SECONDS;
  const messages = perSecond(LOAD.messagesPerAccountDay);
  const userCommits = perSecond(LOAD.userCommitsPerAccountDay);
  const writes = writeRows(units);
  return {
    messages,
    commits: messages + userCommits,
    writes:
      messages * sum(writes.map(({ perMessage }) => perMessage)) +
      userCommits * sum(writes.map(({ perUserCommit }) => perUserCommit)),
    // A node at the door runs no stage: it points to those that need nothing else.
    pointers: messages * STAGE_TABLE.filter(({ needs }) => needs.length === 0).length,
    labels: perSecond(LOAD.labelsPerAccountDay),
  };
}

/** CPU of the whole way of one message of the mean size, between the two sizes that were measured. */
export function wholeWayCpuMs(bytes: number): number {
  const perByte = (MEASURED.wholeWay75KbCpuMs - MEASURED.wholeWayCpuMs) / (75_000 - 10_000);
  return MEASURED.wholeWayCpuMs + Math.max(0, bytes - 10_000) * perByte;
}

/** Memory of an edge whose sessions all have an INBOX of their own selected. */
export const edgeBytes = (sessions: number, { rowBytes }: Units): number =>
  MEASURED.restBytes + sessions * (MEASURED.connectionBytes + inboxMessages() * rowBytes);

const inboxMessages = (): number => LOAD.messagesPerAccountDay * (1 - LOAD.spamShare) * LOAD.hamKeptDays;

export interface Nodes {
  readonly edge: number;
  readonly filter: number;
  readonly mailbox: number;
  /** Trainers, of which one works, and gateways. */
  readonly other: number;
  readonly all: number;
}

export function nodes(accounts: number, units: Units): Nodes {
  const { messages, commits } = rates(accounts, units);
  const factor = CLUSTER_FACTOR;
  const reading =
    (accounts / DAY_SECONDS) *
    (LOAD.bodiesReadPerAccountDay * MEASURED.bodyCpuMs + LOAD.envelopesReadPerAccountDay * MEASURED.envelopeCpuMs);
  const ofCores = (cpuMsPerSecond: number): number =>
    (cpuMsPerSecond * LOAD.peak) / 1_000 / (MACHINES.nodeCores * MACHINES.busyShare);
  const filterMs = wholeWayCpuMs(units.messageBytes) - MEASURED.acceptCpuMs - MEASURED.commitCpuMs;
  const atLeast = (count: number): number => Math.max(2, Math.ceil(count));
  const edge = atLeast(
    Math.max(
      ofCores(factor * (messages * MEASURED.acceptCpuMs + reading)),
      (accounts * LOAD.sessionsPerAccount) / MACHINES.edgeConnections,
    ),
  );
  const filter = atLeast(ofCores(factor * messages * filterMs));
  const mailbox = atLeast(
    ofCores(commits * (factor * MEASURED.commitCpuMs + MEASURED.hopCpuMs) + factor * messages * MEASURED.indexCpuMs),
  );
  return { edge, filter, mailbox, other: 4, all: edge + filter + mailbox + 4 };
}

/** Messages and bytes a second through NATS; each delivery counts beside what was published. */
export interface Traffic {
  readonly pointers: number;
  readonly commits: number;
  readonly hints: number;
  readonly heartbeats: number;
  readonly all: number;
  readonly bytes: number;
}

/** Of one mesh. */
export function traffic(accounts: number, units: Units): Traffic {
  const { pointers, commits, messages } = rates(accounts, units);
  const { wire } = units;
  const nodeCount = nodes(accounts, units).all;
  const beats = nodeCount / HEARTBEAT_SECONDS;
  // Published, acknowledged by the stream, given to a node, acknowledged by it.
  const pointerTimes = 4;
  const hintTimes = 2 + LOAD.sessionsPerAccount;
  const parts = {
    pointers: pointers * pointerTimes,
    commits: commits * 4,
    hints: commits * hintTimes,
    // To NATS once, and from it to every other node.
    heartbeats: beats * nodeCount,
  };
  const userCommits = commits - messages;
  const bytes =
    parts.pointers * wire.pointerBytes +
    // A user's commit is as large as an answer.
    2 * (messages * wire.commitBytes + userCommits * wire.answerBytes + commits * wire.answerBytes) +
    parts.hints * wire.hintBytes +
    parts.heartbeats * wire.heartbeatBytes;
  return { ...parts, all: sum(Object.values(parts)), bytes };
}

export interface ShardLoad {
  readonly disk: number;
  readonly memory: number;
  readonly writes: number;
}

/** Of one mail shard with ACCOUNTS_PER_SHARD accounts: shares of what the machine has. */
export function shardLoad(units: Units, retention: Retention = TODAY): ShardLoad {
  const rows = accountRows(units, retention).filter(({ group }) => group !== 'blobs');
  const { writes } = rates(ACCOUNTS_PER_SHARD, units);
  const bytes = ACCOUNTS_PER_SHARD * sum(rows.map(({ stored, indexBytes }) => stored + indexBytes));
  const hot = ACCOUNTS_PER_SHARD * sum(rows.map(({ indexBytes }) => indexBytes)) * MONGO.hotIndexShare;
  return {
    disk: bytes / (MACHINES.shardDiskTB * TB),
    memory: hot / (MACHINES.shardMemoryGiB * GiB),
    writes: (writes * LOAD.peak) / (MACHINES.shardCores * MONGO.writesPerCoreSecond * MACHINES.busyShare),
  };
}

export interface Sizing {
  readonly accounts: number;
  /** Each with a MongoDB and a NATS of its own; what is told of nodes and traffic is of all of them. */
  readonly meshes: number;
  readonly rows: readonly Row[];
  readonly rates: Rates;
  readonly nodes: Nodes;
  readonly traffic: Traffic;
  readonly connections: number;
  /** Terabytes on one replica. */
  readonly mailTB: number;
  readonly blobTB: number;
  readonly hotIndexGiB: number;
  readonly mailShards: number;
  readonly blobShards: number;
  readonly natsServers: number;
}

export function size(accounts: number, units: Units, retention: Retention = TODAY): Sizing {
  const rows = accountRows(units, retention).map((row) => ({
    ...row,
    documents: row.documents * accounts,
    bytes: row.bytes * accounts,
    stored: row.stored * accounts,
    indexBytes: row.indexBytes * accounts,
  }));
  const onDisk = (isBlob: boolean): number =>
    sum(rows.map(({ group, stored, indexBytes }) => ((group === 'blobs') === isBlob ? stored + indexBytes : 0))) / TB;
  const meshes = Math.ceil(accounts / MACHINES.meshAccounts);
  const { all: messages, bytes, ...kinds } = traffic(accounts / meshes, units);
  const times = (one: number): number => one * meshes;
  const ofMesh = nodes(accounts / meshes, units);
  const fullest = Math.max(1, ...Object.values(shardLoad(units, retention)));
  return {
    ...{ accounts, meshes, rows, rates: rates(accounts, units) },
    nodes: {
      edge: times(ofMesh.edge),
      filter: times(ofMesh.filter),
      mailbox: times(ofMesh.mailbox),
      other: times(ofMesh.other),
      all: times(ofMesh.all),
    },
    traffic: {
      pointers: times(kinds.pointers),
      commits: times(kinds.commits),
      hints: times(kinds.hints),
      heartbeats: times(kinds.heartbeats),
      all: times(messages),
      bytes: times(bytes),
    },
    connections: accounts * LOAD.sessionsPerAccount,
    mailTB: onDisk(false),
    blobTB: onDisk(true),
    hotIndexGiB:
      (sum(rows.map(({ group, indexBytes }) => (group === 'blobs' ? 0 : indexBytes))) * MONGO.hotIndexShare) / GiB,
    mailShards: Math.max(1, Math.ceil((accounts * fullest) / ACCOUNTS_PER_SHARD)),
    blobShards: Math.max(1, Math.ceil(onDisk(true) / MACHINES.shardDiskTB)),
    natsServers: times(3 * Math.max(1, Math.ceil((messages * LOAD.peak) / NATS.messagesPerSecond))),
  };
}

export interface CostRow {
  readonly what: string;
  readonly machines: number;
  readonly cores: number;
  readonly memoryGiB: number;
  readonly fastTB: number;
  readonly objectTB: number;
  /** US dollars a month. */
  readonly price: number;
}

/** @param blobsAs where blobs lie: in shards of MongoDB, or in an object store that keeps its copies itself */
export function costs(sizing: Sizing, blobsAs: 'shards' | 'objects' = 'shards'): readonly CostRow[] {
  const row = (
    what: string,
    machines: number,
    each: { readonly cores: number; readonly memoryGiB: number },
    { fastTB = 0, objectTB = 0 } = {},
  ): CostRow => {
    const cores = machines * each.cores;
    const memoryGiB = machines * each.memoryGiB;
    const price =
      cores * PRICES.core + memoryGiB * PRICES.memoryGiB + fastTB * PRICES.fastDiskTB + objectTB * PRICES.objectTB;
    return { what, machines, cores, memoryGiB, fastTB, objectTB, price };
  };
  const { nodes: of, mailShards, blobShards, mailTB, blobTB, natsServers } = sizing;
  const { replicas } = MONGO;
  const node = { cores: MACHINES.nodeCores, memoryGiB: MACHINES.nodeMemoryGiB };
  const shard = { cores: MACHINES.shardCores, memoryGiB: MACHINES.shardMemoryGiB };
  // They find what they are asked for by its name and keep little in memory.
  const blobShard = { cores: 4, memoryGiB: 32 };
  return [
    row('edges', of.edge, { ...node, memoryGiB: MACHINES.edgeMemoryGiB }),
    row('filters', of.filter, node),
    row('mailbox nodes', of.mailbox, node),
    row('trainers and gateways', of.other, node),
    row('NATS', natsServers, { cores: 8, memoryGiB: 16 }),
    row('mail shards', mailShards * replicas, shard, { fastTB: mailTB * replicas }),
    blobsAs === 'shards'
      ? row('blob shards', blobShards * replicas, blobShard, { fastTB: blobTB * replicas })
      : row('object store', 0, node, { objectTB: blobTB }),
  ];
}
