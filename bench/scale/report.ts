/** The tables of docs/scale.md as text, by the names of the marks that they stand between. */

import { LEASE } from '../../core/mesh/lease.ts';
import { sweepSlowdown } from '../../core/mesh/sweep.ts';
import {
  ACCOUNTS_PER_SHARD,
  CLUSTER_FACTOR,
  FIXED,
  LOAD,
  MACHINES,
  MEASURED,
  MESSAGE_KINDS,
  MONGO,
  NATS,
  PRICES,
  SIMULATED,
  UNMEASURED,
} from './assumptions.ts';
import { type Limit, limits, type Remedy, reachedAt } from './limits.ts';
import {
  accountRows,
  costs,
  edgeBytes,
  type Retention,
  type Sizing,
  shardLoad,
  size,
  sum,
  TODAY,
  wholeWayCpuMs,
  writeRows,
} from './sizing.ts';
import type { MessageParts, Part, Units } from './units.ts';

const ORDERS = [10_000, 100_000, 1_000_000, 10_000_000, 100_000_000] as const;
const MOST = ORDERS[ORDERS.length - 1]!;
const MILLION = 1_000_000;

/** What can be had without many changes, for comparison. */
const SHORTER: Retention = { ...TODAY, traceDays: 7, featuresDays: 7, tombstonesKept: 1_000 };

/** Three digits, or whole. */
function show(value: number): string {
  if (value === 0) return '0';
  if (Math.abs(value) >= 100) return Math.round(value).toLocaleString('en');
  return Number(value.toPrecision(3)).toLocaleString('en', { maximumFractionDigits: 4 });
}

const SCALES = [
  [1e15, 'PB'],
  [1e12, 'TB'],
  [1e9, 'GB'],
  [1e6, 'MB'],
  [1e3, 'KB'],
] as const;

function bytes(value: number): string {
  const [unit, name] = SCALES.find(([one]) => value >= one) ?? [1, 'B'];
  return `${show(value / unit)} ${name}`;
}

const percent = (share: number): string => `${Math.round(share * 100)} %`;
const power = (accounts: number): string => `10^${Math.round(Math.log10(accounts))}`;

function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  return [head, head.map(() => '---'), ...rows].map((cells) => `| ${cells.join(' | ')} |`).join('\n');
}

/** A group of assumptions with their values as they are in the program. */
function assumed(name: string, values: Readonly<Record<string, number>>): string[][] {
  return Object.entries(values).map(([key, value]) => [
    `\`${name}.${key}\``,
    value.toLocaleString('en', { maximumFractionDigits: 6 }),
  ]);
}

function assumptionTable(): string {
  const kinds = MESSAGE_KINDS.map(({ name, bytes: of, share }) => [
    `message: ${name}`,
    `${bytes(of)}, ${percent(share)}`,
  ]);
  return table(
    ['assumption', 'value'],
    [
      ...kinds,
      ...assumed('LOAD', LOAD),
      ...assumed('MONGO', MONGO),
      ...assumed('NATS', NATS),
      ...assumed('MACHINES', MACHINES),
      ['`ACCOUNTS_PER_SHARD`', show(ACCOUNTS_PER_SHARD)],
      ['`CLUSTER_FACTOR`', show(CLUSTER_FACTOR)],
      ...assumed('UNMEASURED', UNMEASURED),
      ...assumed('FIXED', FIXED),
      ...assumed('PRICES', PRICES),
    ],
  );
}

const PARTS: readonly (readonly [keyof MessageParts, string])[] = [
  ['messages', 'message (row of a mailbox)'],
  ['contents', 'content (envelope, structure, layout)'],
  ['receipts', 'receipt of the delivery'],
  ['queue', 'custody record, finished'],
  ['features', 'features'],
  ['search', 'postings'],
  ['keptBlobs', 'blobs that stay'],
  ['passingBlobs', 'blobs that go again'],
];

function unitTable(units: Units): string {
  const ofPart = ({ documents, bytes: all, indexBytes }: Part): string =>
    documents === 0 ? '–' : `${show(documents)} × ${bytes(all / documents)} + ${bytes(indexBytes)}`;
  const rows = PARTS.map(([part, what]) => [
    what,
    ...units.kinds.map(({ parts }) => ofPart(parts[part])),
    `${bytes(units.message[part].bytes)} + ${bytes(units.message[part].indexBytes)}`,
  ]);
  return table(['of one message', ...units.kinds.map(({ name, bytes: of }) => `${name}, ${bytes(of)}`), 'mean'], rows);
}

function otherUnits({ account, tombstone, label, logEntryBytes }: Units): string {
  const row = (what: string, { bytes: all, indexBytes }: Omit<Part, 'documents'>): string[] => [
    what,
    bytes(all),
    bytes(indexBytes),
  ];
  return table(
    ['document', 'BSON', 'indexes'],
    [
      row('account without commits', account.accounts),
      ['one commit of a delivery in it', bytes(logEntryBytes), ''],
      row(`mailboxes, all ${show(account.mailboxes.documents)}`, account.mailboxes),
      row(`subscriptions, all ${show(account.subscriptions.documents)}`, account.subscriptions),
      row('directory entry', account.directoryAccounts),
      row('address', account.addresses),
      row('manifest of the search index', account.searchManifests),
      row('vanished message', tombstone),
      row('label', label),
    ],
  );
}

function documentTable(units: Units): string {
  const rows = accountRows(units);
  const total = (field: 'documents' | 'bytes' | 'stored' | 'indexBytes'): number => sum(rows.map((row) => row[field]));
  return table(
    [
      'collection',
      'what',
      'documents of an account',
      'BSON',
      'on disk',
      'indexes',
      `documents, ${power(MOST)}`,
      `on disk with indexes, ${power(MOST)}`,
    ],
    [
      ...rows.map((row) => [
        `\`${row.collection}\``,
        `${row.what} (${row.because})`,
        show(row.documents),
        bytes(row.bytes),
        bytes(row.stored),
        bytes(row.indexBytes),
        (row.documents * MOST).toExponential(1),
        bytes((row.stored + row.indexBytes) * MOST),
      ]),
      [
        '**all**',
        '',
        show(total('documents')),
        bytes(total('bytes')),
        bytes(total('stored')),
        bytes(total('indexBytes')),
        (total('documents') * MOST).toExponential(1),
        bytes((total('stored') + total('indexBytes')) * MOST),
      ],
    ],
  );
}

function shardTable(units: Units): string {
  const row = (what: string, retention: Retention): string[] => {
    const { disk, memory, writes } = shardLoad(units, retention);
    return [what, percent(disk), percent(memory), percent(writes)];
  };
  return table(
    [
      `a mail shard with ${show(ACCOUNTS_PER_SHARD)} accounts`,
      'disk',
      'memory for hot index pages',
      'writes at the busiest time',
    ],
    [
      row('as the product keeps things today', TODAY),
      row(
        `traces and features ${SHORTER.traceDays} days, ${show(SHORTER.tombstonesKept)} vanished messages a mailbox`,
        SHORTER,
      ),
    ],
  );
}

function writeTable(units: Units): string {
  const rows = writeRows(units);
  const cell = (value: number): string => (value === 0 ? '' : show(value));
  return table(
    ['documents written', 'for a message', 'for a commit of a user'],
    [
      ...rows.map(({ what, perMessage, perUserCommit }) => [what, cell(perMessage), cell(perUserCommit)]),
      ['**all**', show(sum(rows.map((one) => one.perMessage))), show(sum(rows.map((one) => one.perUserCommit)))],
    ],
  );
}

function wireTable({ wire }: Units): string {
  return table(
    ['message', 'subject', 'bytes, subject included'],
    [
      ['pointer to a job', '`mailmesh-<cluster>.jobs.<stage>`', show(wire.pointerBytes)],
      ['hint', '`mailmesh.<cluster>.hint.<bucket>.<account>`', show(wire.hintBytes)],
      ['commit of a delivery', '`MOL-mailmesh-<cluster>.REQ.<node>`', show(wire.commitBytes)],
      ['its answer', '`MOL-mailmesh-<cluster>.RES.<node>`', show(wire.answerBytes)],
      ['heartbeat', '`MOL-mailmesh-<cluster>.HEARTBEAT`', show(wire.heartbeatBytes)],
    ],
  );
}

const priceOf = (sizing: Sizing, blobsAs?: 'shards' | 'objects'): number =>
  (sum(costs(sizing, blobsAs).map(({ price }) => price)) / sizing.accounts) * MILLION;

function orderTable(units: Units): string {
  const all = ORDERS.map((accounts) => size(accounts, units));
  const row = (what: string, cell: (sizing: Sizing) => string): string[] => [what, ...all.map(cell)];
  const perSecond = (mean: number): string => `${show(mean)} (${show(mean * LOAD.peak)})`;
  return table(
    ['accounts', ...ORDERS.map((accounts) => power(accounts))],
    [
      row('meshes', ({ meshes }) => show(meshes)),
      row('messages a day', ({ accounts }) => (accounts * LOAD.messagesPerAccountDay).toLocaleString('en')),
      row('messages a second (busiest)', ({ rates: { messages } }) => perSecond(messages)),
      row('commits a second (busiest)', ({ rates: { commits } }) => perSecond(commits)),
      row('documents written a second (busiest)', ({ rates: { writes } }) => perSecond(writes)),
      row('documents', ({ rows }) => sum(rows.map(({ documents }) => documents)).toExponential(1)),
      row('mail on disk, one copy', ({ mailTB }) => bytes(mailTB * 1e12)),
      row('blobs on disk, one copy', ({ blobTB }) => bytes(blobTB * 1e12)),
      row('hot index pages of mail', ({ hotIndexGiB }) => `${show(hotIndexGiB)} GiB`),
      row('mail shards', ({ mailShards }) => show(mailShards)),
      row('blob shards', ({ blobShards }) => show(blobShards)),
      row('connections', ({ connections }) => show(connections)),
      row('edges', ({ nodes: { edge } }) => show(edge)),
      row('filters', ({ nodes: { filter } }) => show(filter)),
      row('mailbox nodes', ({ nodes: { mailbox } }) => show(mailbox)),
      row('pointers a second (busiest)', ({ rates: { pointers } }) => perSecond(pointers)),
      row('messages of NATS a second', ({ traffic }) => show(traffic.all)),
      row('of these heartbeats', ({ traffic }) => show(traffic.heartbeats)),
      row('bytes of NATS a second', ({ traffic }) => bytes(traffic.bytes)),
      row('US$ a month for a million accounts', (sizing) => show(priceOf(sizing))),
      row('likewise, blobs in an object store', (sizing) => show(priceOf(sizing, 'objects'))),
    ],
  );
}

const REMEDIES: Readonly<Record<Remedy, string>> = {
  option: 'an option',
  topology: 'other servers, no code',
  build: '**has to be built**',
};

/** Of limits that are reached from so many accounts on (the first order has what comes before it too), before ten times as many. */
function limitTable(all: readonly Limit[], from: number): string {
  const within = all
    .map((limit) => ({ ...limit, at: reachedAt(limit) }))
    .filter(({ at }) => (at >= from || from === ORDERS[0]) && at < 10 * from)
    .sort((a, b) => a.at - b.at);
  if (within.length === 0)
    return `Of what is computed here nothing is reached for the first time from ${power(from)} on.`;
  return table(
    ['what breaks', 'accounts of one mesh', 'what there is', 'what then changes', 'is it there'],
    within.map(({ what, at, has, unit, change, remedy }) => [
      what,
      Number(at.toPrecision(2)).toLocaleString('en'),
      `${show(has)} ${unit}`,
      change,
      REMEDIES[remedy],
    ]),
  );
}

function costTable(units: Units): string {
  const sizing = size(MILLION, units);
  const rows = costs(sizing);
  const cells = ({ what, machines, cores, memoryGiB, fastTB, objectTB, price }: (typeof rows)[number]): string[] => [
    what,
    show(machines),
    show(cores),
    show(memoryGiB),
    show(fastTB),
    show(objectTB),
    show(price),
  ];
  const total = (name: string, of: typeof rows) =>
    cells({
      what: name,
      machines: sum(of.map((row) => row.machines)),
      cores: sum(of.map((row) => row.cores)),
      memoryGiB: sum(of.map((row) => row.memoryGiB)),
      fastTB: sum(of.map((row) => row.fastTB)),
      objectTB: sum(of.map((row) => row.objectTB)),
      price: sum(of.map((row) => row.price)),
    });
  const other = costs(sizing, 'objects');
  return table(
    ['for a million accounts', 'machines', 'cores', 'memory, GiB', 'fast disk, TB', 'object store, TB', 'US$ a month'],
    [
      ...rows.map(cells),
      total('**all**', rows),
      cells(other.at(-1)!),
      total('**all, with it instead of blob shards**', other),
      total(
        '**likewise, with the shorter retention of the table above**',
        costs(size(MILLION, units, SHORTER), 'objects'),
      ),
    ],
  );
}

function checkTable(units: Units): string {
  const { leaseQuestionsPerSecond, leasesHeld, nodes: simulatedNodes } = SIMULATED;
  const stormPerSecond = SIMULATED.stormAccounts / SIMULATED.stormSeconds;
  const leaseSeconds = LEASE.ttlMs / 1_000;
  const slowdown = sweepSlowdown(simulatedNodes);
  const coresPerSecond = (cpuMs: number): number => (2 * 1_000) / cpuMs;
  return table(
    ['figure', 'by the arithmetic', 'measured', ''],
    [
      [
        `most lease questions a second when ${show(SIMULATED.stormAccounts)} accounts come back in ${SIMULATED.stormSeconds} s`,
        `${show(stormPerSecond)}/s + ${show(leaseQuestionsPerSecond)}/s = ${show(stormPerSecond + leaseQuestionsPerSecond)}`,
        `${show(SIMULATED.stormPeakQuestionsPerSecond)} simulated`,
        'who comes back while its lease runs does not ask',
      ],
      [
        'leases held at a time',
        `${show(leaseQuestionsPerSecond)}/s × ${leaseSeconds} s = ${show(leaseQuestionsPerSecond * leaseSeconds)}`,
        `${show(leasesHeld)} simulated`,
        'a lease lasts so long after it was asked for',
      ],
      [
        `looks for overdue jobs, ${simulatedNodes} nodes`,
        `${simulatedNodes} / (${FIXED.lookSeconds} s × ${slowdown}) = ${show(simulatedNodes / (FIXED.lookSeconds * slowdown))}/s`,
        `${SIMULATED.looksPerSecond}/s simulated`,
        'many nodes look less often each',
      ],
      [
        'writes again after a node is killed, 99 of 100 accounts',
        '≤ 5 + 1 + 1 s unnoticed, and the lease’s rest',
        `${show(SIMULATED.killedNodeP99Seconds)} s simulated`,
        'heartbeats, then leases',
      ],
      [
        'deliveries a second, 10 KB, two cores',
        `2 cores / ${MEASURED.wholeWayCpuMs} ms = ${show(coresPerSecond(MEASURED.wholeWayCpuMs))}`,
        '687',
        'the load generator and IMAP clients share the cores',
      ],
      [
        'likewise, 75 KB',
        `2 cores / ${MEASURED.wholeWay75KbCpuMs} ms = ${show(coresPerSecond(MEASURED.wholeWay75KbCpuMs))}`,
        show(MEASURED.deliveriesPerSecond),
        'likewise',
      ],
      [
        `CPU of a message of ${bytes(units.messageBytes)}`,
        `${show(wholeWayCpuMs(units.messageBytes))} ms`,
        `${MEASURED.wholeWayCpuMs} ms (10 KB), ${MEASURED.wholeWay75KbCpuMs} ms (75 KB)`,
        'between the two',
      ],
      [
        `memory of an edge with ${show(MACHINES.edgeConnections)} sessions`,
        `${bytes(MEASURED.restBytes)} + ${show(MACHINES.edgeConnections)} × (${bytes(MEASURED.connectionBytes)} + INBOX) = ${bytes(edgeBytes(MACHINES.edgeConnections, units))}`,
        `${bytes(MEASURED.restBytes)} at rest, ${bytes(MEASURED.connectionBytes)} a connection`,
        `the rows of selected mailboxes, ${show(units.rowBytes)} B a message, are the most of it`,
      ],
    ],
  );
}

/** All of them, by name. */
export function sections(units: Units): ReadonlyMap<string, string> {
  const all = limits(units);
  return new Map([
    ['orders', orderTable(units)],
    ['units', unitTable(units)],
    ['other-units', otherUnits(units)],
    ['documents', documentTable(units)],
    ['shard', shardTable(units)],
    ['writes', writeTable(units)],
    ['wire', wireTable(units)],
    ...ORDERS.map((accounts) => [`breaks-${power(accounts)}`, limitTable(all, accounts)] as const),
    ['cost', costTable(units)],
    ['checks', checkTable(units)],
    ['assumptions', assumptionTable()],
  ]);
}

const marks = (name: string) => ({ begin: `<!-- scale ${name}: begin -->`, end: `<!-- scale ${name}: end -->` });

/**
 * The page with these sections between their marks.
 * @throws Error where a mark is missing
 */
export function withSections(page: string, all: ReadonlyMap<string, string>): string {
  let text = page;
  for (const [name, section] of all) {
    const { begin, end } = marks(name);
    const from = text.indexOf(begin);
    const to = text.indexOf(end, from);
    if (from < 0 || to < 0) throw new Error(`docs/scale.md has no marks for ${name}: ${begin} … ${end}`);
    text = `${text.slice(0, from)}${begin}\n${section}\n${text.slice(to)}`;
  }
  return text;
}
