/**
 * What sizing takes for given: the load, the machines and their prices, and what other people's software does. Nothing
 * here is measured by this project but `MEASURED` and `SIMULATED`, which name their source and date. Change a line and run
 * `npm run scale -- --write`: every table of docs/scale.md follows.
 */

export const DAY_SECONDS = 86_400;

/** Kinds of message: how large, and how many of all. Their mean is 70 KB. */
export const MESSAGE_KINDS = [
  { name: 'text', bytes: 10_000, share: 0.84, made: 48 },
  { name: 'attachment', bytes: 120_000, share: 0.13, made: 6 },
  { name: 'large attachment', bytes: 1_500_000, share: 0.03, made: 1 },
] as const;
export type KindName = (typeof MESSAGE_KINDS)[number]['name'];

export const LOAD = {
  messagesPerAccountDay: 100,
  /** Of the messages accepted. */
  spamShare: 0.5,
  /** Users keep their mail for so long, on average; Junk is emptied by clients, the product itself never does. */
  hamKeptDays: 180,
  spamKeptDays: 30,
  /** Age of the accounts: what is remembered of expunged messages grows with it. */
  accountAgeDays: 3 * 365,
  /** Of the bytes of split attachments: some earlier message had the same ones. */
  attachmentSeenShare: 0.2,
  /** Flags, moves and expunges, in commits. */
  userCommitsPerAccountDay: 100,
  bodiesReadPerAccountDay: 30,
  envelopesReadPerAccountDay: 200,
  labelsPerAccountDay: 0.1,
  /** IMAP sessions that are open at the busiest time. */
  sessionsPerAccount: 0.5,
  /** The busiest hour over the mean. */
  peak: 3,
  addressesPerAccount: 2,
} as const;

/** MongoDB and its storage engine, as documented or as people report; no mongod was at hand. */
export const MONGO = {
  replicas: 3,
  /** Stored over BSON, block compression with zstd: of documents of names and texts, of packed hashes and postings, of
   * blobs of text, of the others, which are compressed already. */
  documentRatio: 0.5,
  packedRatio: 0.95,
  textBlobRatio: 0.55,
  binaryBlobRatio: 1,
  /** Of an index page that grows by random inserts. */
  pageFill: 0.7,
  /** Beside the part of a key that its neighbour does not have: record id and cell heads. */
  indexEntryBytes: 10,
  /** Of the mail shards' indexes: pages that a day's work touches and that must be in memory. */
  hotIndexShare: 0.25,
  /** Commits in the account's document that have not made room yet: half of 24, as in drivers/cluster/mail-store-carry.ts. */
  logEntries: 12,
  /** As in bench/sim/settings.ts: journaled single writes a second that the stand-in for MongoDB answered on one core. */
  writesPerCoreSecond: 1_000,
  /** Documents a second that one shard adds up in an aggregation. */
  scannedPerSecond: 500_000,
  /** What of a shard such sums may take. */
  scanShare: 0.1,
  /** One batch of upkeep, of 500 to 1,000 documents: found, asked about, changed, by a majority. */
  upkeepBatchMs: 60,
  /** From an insert to the majority's answer, between nodes of one region. */
  majorityMs: 4,
} as const;

/** NATS, likewise. */
export const NATS = {
  /** Messages in and out a second that a cluster of three servers carries without strain. */
  messagesPerSecond: 3_000_000,
  /** Messages a second of one stream on files: one server leads it. */
  streamMessagesPerSecond: 20_000,
  subscriptions: 10_000_000,
} as const;

/** One machine, or a part of one, and the share of it that the busiest hour may take. */
export const MACHINES = {
  nodeCores: 2,
  nodeMemoryGiB: 2,
  edgeMemoryGiB: 3,
  edgeConnections: 5_000,
  /** A server of one member of a shard, such that ACCOUNTS_PER_SHARD fit. */
  shardCores: 24,
  shardMemoryGiB: 256,
  shardDiskTB: 12,
  /** Accounts of one mesh with a MongoDB and a NATS of its own; more of them are several meshes. */
  meshAccounts: 1_000_000,
  busyShare: 0.6,
  /** Stages that stand still for so long, at the busiest time, are to turn no mail away. */
  outageSeconds: 300,
  /** A deleted blob's bytes come back within. */
  collectDays: 30,
  /** Between two visits of the monitoring to a node, as Prometheus is set up most often. */
  scrapeSeconds: 15,
} as const;

/** US dollars a month, bought for three years; put in your own. */
export const PRICES = { core: 12, memoryGiB: 1.5, fastDiskTB: 40, objectTB: 8 } as const;

/** One in so many: accounts of one mail shard. bench/sim/settings.ts simulates with the same number. */
export const ACCOUNTS_PER_SHARD = 100_000;

/** docs/benchmarks.md: one machine, one process, the embedded drivers; and what a mesh takes more. */
export const MEASURED = {
  date: '2026-11-25',
  acceptCpuMs: 0.64,
  wholeWayCpuMs: 1.79,
  wholeWay75KbCpuMs: 2.54,
  commitCpuMs: 0.56,
  envelopeCpuMs: 0.000_54,
  bodyCpuMs: 0.013_35,
  deliveriesPerSecond: 537,
  connectionBytes: 4_440,
  /** Of four brokers, for the whole way of a message of 10 KB; the store's is its own. */
  meshWayCpuMs: 14.32,
  /** Both brokers and NATS, for a commit that goes to another node. */
  hopCpuMs: 0.07,
  /** The cluster's indexer on a database in memory, 400 messages of 10 KB (2026-11-24; in no table there). */
  indexCpuMs: 0.99,
  restBytes: 228e6,
  loadBytes: 571e6,
} as const;

/** CPU of nodes whose stores are MongoDB and NATS instead of files of their own, for the same work. */
export const CLUSTER_FACTOR = MEASURED.meshWayCpuMs / MEASURED.wholeWayCpuMs;

/** `npm run sim -- --nodes 100 --accounts 1000000`: the mesh's own routing, leases and sweeps on a clock that jumps. */
export const SIMULATED = {
  date: '2026-11-24',
  nodes: 100,
  accounts: 1_000_000,
  writesPerSecond: 2_308,
  leaseQuestionsPerSecond: 2_061,
  leasesHeld: 12_218,
  killedNodeP99Seconds: 6.94,
  /** So many accounts come back within so many seconds. */
  stormAccounts: 100_000,
  stormSeconds: 10,
  stormPeakQuestionsPerSecond: 11_961,
  looksPerSecond: 6,
} as const;

/** What no benchmark of this project has measured yet, as factors on what was. */
export const UNMEASURED = {
  /** To read and note one heartbeat of another node. */
  heartbeatCpuMs: 0.05,
} as const;

/** Not exported where they are: mixins/maintenance.ts, drivers/cluster/queue-claimers.ts, k8s/base, k8s/overlays/large. */
export const FIXED = {
  featuresKeptDays: 30,
  upkeepShare: 0.5,
  upkeepBatch: 500,
  forgetBatch: 1_000,
  /** Between two looks of one node for overdue jobs, when it is alone. */
  lookSeconds: 4,
  edgeMemoryMiB: 768,
  autoscaledEdges: 60,
  autoscaledFilters: 100,
  autoscaledMailboxes: 60,
} as const;
