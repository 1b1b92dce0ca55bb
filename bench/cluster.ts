/**
 * `npm run bench:cluster`: 1, 2 and 4 brokers on this machine beside one NATS and one MongoDB-compatible server. The
 * machine is shared by all of them and by the load generator, so wall time says little: CPU time per message, by kind of
 * process, and how it grows with the brokers, is what counts.
 *
 *   --quick         a quarter of the work: to see that it runs, not for figures
 *   --brokers N     only so many; may be given several times
 *   --write         puts the tables into docs/benchmarks.md
 *   --help          this
 */

import { setTimeout as pause } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { type HopCost, measureHop } from './cluster-hop.ts';
import { type BenchMesh, type Cost, startMesh } from './cluster-mesh.ts';
import { sendFor, Watch } from './deliver-load.ts';
import { startDnsStub } from './dns-stub.ts';
import { headOf } from './help.ts';
import { ImapClient } from './imap-client.ts';
import { describeMachine } from './machine.ts';
import { repeat } from './measure.ts';
import { MessageSource } from './messages.ts';
import { proportionalBytes } from './process-tree.ts';
import { writeSection } from './report.ts';
import { deliveredTo } from './system.ts';

const BROKERS = [1, 2, 4];
const CONNECTIONS = 8;
/** The store of the tests takes so long for what the brokers accept in seconds. */
const DRAIN_MS_MAX = 300_000;
const FULL = { settleMs: 30_000, restMs: 20_000, warmMs: 4_000, loadMs: 10_000 };
const QUICK = { settleMs: 5_000, restMs: 5_000, warmMs: 1_500, loadMs: 2_500 };
type Times = typeof FULL;
/** At rest a neighbour of this machine shows most: the middle of so many times counts. */
const RESTS = 3;

interface Work {
  readonly count: number;
  readonly ms: number;
  readonly cost: Cost;
  readonly natsBytes: number;
}

interface Result {
  readonly brokers: number;
  readonly delivery: Work;
  readonly commands: Work;
  /** At rest: shares of one core, and bytes of all brokers. */
  readonly rest: Cost;
  readonly bytes: number;
}

async function measured(mesh: BenchMesh, work: () => Promise<number>): Promise<Work> {
  const [costBefore, bytesBefore, begun] = [mesh.cost(), await mesh.natsBytes(), performance.now()];
  const count = await work();
  const ms = performance.now() - begun;
  const [cost, natsBytes] = [mesh.cost(), (await mesh.natsBytes()) - bytesBefore];
  return {
    count,
    ms,
    natsBytes,
    cost: {
      brokers: cost.brokers - costBefore.brokers,
      queue: cost.queue - costBefore.queue,
      store: cost.store - costBefore.store,
    },
  };
}

/** Shares of one core while nothing happens for `ms`. */
async function resting(mesh: BenchMesh, ms: number): Promise<Cost> {
  const idle = await measured(mesh, async () => {
    await pause(ms);
    return 1;
  });
  const share = (of: keyof Cost): number => idle.cost[of] / idle.ms;
  return { brokers: share('brokers'), queue: share('queue'), store: share('store') };
}

/** Mail by SMTP to all nodes, until all of it is to be seen by IMAP. */
async function deliver(mesh: BenchMesh, source: MessageSource, ms: number): Promise<number> {
  const users = deliveredTo(mesh.nodes[0]!);
  const watch = await Watch.on(mesh.nodes[0]!, users, DRAIN_MS_MAX);
  const connections = CONNECTIONS / mesh.nodes.length;
  const counts = await Promise.all(
    mesh.nodes.map((node, i) => {
      const own = users.slice(i * connections, (i + 1) * connections);
      return sendFor(node, 'smtp', { ms, connections, users: own, source });
    }),
  );
  const sent = counts.reduce((sum, count) => sum + count, 0);
  const seen = await watch.until(sent);
  watch.close();
  if (seen < sent) throw new Error(`only ${seen} of ${sent} messages were to be seen in time`);
  return seen;
}

/** Each user works on every node in turn: reading, flags, and back. */
async function command(mesh: BenchMesh, ms: number): Promise<number> {
  const users = deliveredTo(mesh.nodes[0]!);
  const clients = await Promise.all(
    users.map((user, i) => ImapClient.open(mesh.nodes[(i + 1) % mesh.nodes.length]!.ports.imap!, user)),
  );
  for (const client of clients) await client.run('SELECT INBOX');
  const commands = ['FETCH 1 (FLAGS ENVELOPE)', 'STORE 1 +FLAGS (\\Flagged)', 'NOOP', 'STORE 1 -FLAGS (\\Flagged)'];
  const counts = await Promise.all(
    clients.map((client) => repeat(ms, async (call) => void (await client.run(commands[call % commands.length]!)))),
  );
  for (const client of clients) client.close();
  return counts.reduce((sum, count) => sum + count, 0);
}

async function run(brokers: number, times: Times, resolver: string): Promise<Result> {
  const source = new MessageSource(10_000);
  const mesh = await startMesh(brokers, resolver);
  try {
    // Starting has an end, and its rubbish is collected.
    await pause(times.settleMs);
    const rests: Cost[] = [];
    for (let i = 0; i < RESTS; i++) rests.push(await resting(mesh, times.restMs));
    const bytes = proportionalBytes(mesh.nodes.flatMap(({ roots }) => roots));
    await deliver(mesh, source, times.warmMs);
    const delivery = await measured(mesh, () => deliver(mesh, source, times.loadMs));
    const commands = await measured(mesh, () => command(mesh, times.loadMs));
    const middle = (of: keyof Cost): number => rests.map((rest) => rest[of]).sort((a, b) => a - b)[RESTS >> 1]!;
    const rest = { brokers: middle('brokers'), queue: middle('queue'), store: middle('store') };
    return { brokers, delivery, commands, rest, bytes };
  } finally {
    await mesh.stop();
  }
}

const per = (ms: number, { count }: Work): string => `${(ms / count).toFixed(2)} ms`;
const rate = ({ count, ms }: Work): string => `${Math.round((count * 1_000) / ms).toLocaleString('en')}/s`;
const total = ({ brokers, queue, store }: Cost): number => brokers + queue + store;

function workTable(what: string, works: readonly (readonly [brokers: number, Work])[]): string {
  const first = works[0]![1];
  const lines = [
    `| brokers | ${what} | CPU of brokers | of NATS | of the store | together | against ${works[0]![0]} | bytes over NATS |`,
    '| --- | --- | --- | --- | --- | --- | --- | --- |',
  ];
  for (const [brokers, work] of works) {
    const { cost } = work;
    const growth = total(cost) / work.count / (total(first.cost) / first.count);
    const cells = [
      ...[brokers, rate(work), per(cost.brokers, work), per(cost.queue, work), per(cost.store, work)],
      ...[
        per(total(cost), work),
        `${growth.toFixed(2)}×`,
        Math.round(work.natsBytes / work.count).toLocaleString('en'),
      ],
    ];
    lines.push(`| ${cells.join(' | ')} |`);
  }
  return lines.join('\n');
}

function restTable(results: readonly Result[]): string {
  const percent = (share: number, brokers = 1): string => `${((share * 100) / brokers).toFixed(2)} %`;
  const lines = [
    '| brokers | core a broker | core of NATS | core of the store | memory a broker |',
    '| --- | --- | --- | --- | --- |',
  ];
  for (const { brokers, rest, bytes } of results)
    lines.push(
      `| ${brokers} | ${percent(rest.brokers, brokers)} | ${percent(rest.queue)} | ${percent(rest.store)} | ${Math.round(bytes / brokers / 2 ** 20)} MB |`,
    );
  return lines.join('\n');
}

function verdicts(results: readonly Result[], hop: HopCost): string {
  const { brokers, delivery: most } = results.at(-1)!;
  const resting = Math.max(...results.map(({ rest, brokers: all }) => (rest.brokers * 100) / all));
  const row = (what: string, value: number, unit = 'ms'): string =>
    `| ${what} | ≤ 1 ${unit} | ${value.toFixed(2)} ${unit} | ${value <= 1 ? 'reached' : 'missed'} |`;
  return [
    '| CPU time | target | figure | |',
    '| --- | --- | --- | --- |',
    row('a commit that goes to another node instead of staying: both brokers and NATS', hop.brokers + hop.nats),
    row(`NATS a message, ${brokers} brokers`, most.cost.queue / most.count),
    row('a broker with all roles at rest, the highest of these', resting, '% of a core'),
  ].join('\n');
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      quick: { type: 'boolean', default: false },
      brokers: { type: 'string', multiple: true, default: [] },
      write: { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
    },
  });
  if (values.help) {
    console.log((await headOf(import.meta.filename)).join('\n'));
    return;
  }
  const counts = values.brokers.length === 0 ? BROKERS : values.brokers.map(Number);
  if (counts.some((count) => !BROKERS.includes(count))) throw new Error(`--brokers: ${BROKERS.join(', ')}`);
  const times = values.quick ? QUICK : FULL;
  const machine = describeMachine();
  const dns = await startDnsStub();
  const results: Result[] = [];
  let hop: HopCost;
  try {
    process.stderr.write('a hop … ');
    hop = await measureHop();
    for (const count of counts) {
      process.stderr.write(`${count} … `);
      results.push(await run(count, times, dns.address));
    }
    process.stderr.write('\n');
  } finally {
    dns.close();
  }
  const pick = (of: 'delivery' | 'commands') => results.map((result) => [result.brokers, result[of]] as const);
  const text = [
    'Whole pipeline: SMTP to all brokers, until the message is to be seen by IMAP; 10 KB messages, 8 connections.',
    workTable('messages', pick('delivery')),
    'IMAP: 8 sessions, each on another broker than its mail came by; a quarter FETCH, a quarter NOOP, half STORE.',
    workTable('commands', pick('commands')),
    'At rest, before any mail, with all roles in each broker, the middle of three times 20 s:',
    restTable(results),
    verdicts(results, hop),
  ].join('\n\n');
  console.log(`${machine}\n\n${text}`);
  if (!values.write) return;
  const head = `## The mesh\n\n${new Date().toISOString().slice(0, 10)}, \`npm run bench:cluster\`, on ${machine}.`;
  const method =
    'Brokers, NATS, the store (a stand-in for MongoDB, see docs/deployment.md) and the load generator share these cores: messages a second say less than CPU time a message and how it grows with the brokers. The steps of a message are taken by whichever broker is free; what goes from one to another (half of the steps with two brokers, three quarters with four, never more than all) is read from the store once more, and that is the growth.';
  console.log(`\nwritten to ${await writeSection('bench:cluster', `${head}\n\n${method}\n\n${text}`)}`);
}

await main();
