/**
 * `npm run bench`: speed and memory of a whole server beside its peers, where they are installed (Debian: postfix,
 * dovecot-imapd, dovecot-lmtpd, dovecot-pop3d). Prints a table of target, figure, peer and ratio.
 *
 *   --quick         a tenth of the work: to see that it runs, not for figures
 *   --only NAME     this measurement or row only; may be given several times
 *   --no-peers      ours only
 *   --write         puts the table into docs/benchmarks.md
 *   --profile DIR   CPU profiles of the server's threads are written there
 *   --help          this, and the names of measurements and rows
 */

import { mkdir } from 'node:fs/promises';
import { resolve } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { startDnsStub } from './dns-stub.ts';
import { headOf } from './help.ts';
import { describeMachine } from './machine.ts';
import { type MailmeshOptions, startMailmesh } from './mailmesh.ts';
import type { Figure, Figures, Measurement, Scale, Setting } from './measure.ts';
import { independence } from './measure-accounts.ts';
import { appending } from './measure-append.ts';
import { acceptance, delivery } from './measure-delivery.ts';
import { fetching } from './measure-fetch.ts';
import { atRest, connections } from './measure-memory.ts';
import { retrieving } from './measure-pop3.ts';
import { pushing, visibility } from './measure-push.ts';
import { MessageSource } from './messages.ts';
import { PEER_NAMES, Peers } from './peers.ts';
import { cpuMs } from './process-tree.ts';
import { type Measured, notesOf, tableOf, writeSection } from './report.ts';
import type { System } from './system.ts';

const MEASUREMENTS: readonly Measurement[] = [
  atRest,
  pushing,
  visibility,
  delivery,
  acceptance,
  appending,
  fetching,
  retrieving,
  connections,
  independence,
];

const FULL: Scale = {
  loadMs: 6_000,
  readMs: 3_000,
  mailbox: 10_000,
  bigMailbox: 100_000,
  samples: 200,
  idleConnections: 1_000,
  accounts: 10_000,
};
const QUICK: Scale = {
  loadMs: 1_500,
  readMs: 500,
  mailbox: 1_000,
  bigMailbox: 10_000,
  samples: 30,
  idleConnections: 100,
  accounts: 1_000,
};

const QUIET_MS = 250;
const QUIET_TRIES = 40;

/** Waits until the system has nothing left to do from before: less than a tenth of a core. */
async function quiet(system: System): Promise<void> {
  for (let tries = 0; tries < QUIET_TRIES; tries++) {
    const before = cpuMs(system.roots);
    await pause(QUIET_MS);
    if (cpuMs(system.roots) - before < QUIET_MS / 10) return;
  }
}

async function measure(measurement: Measurement, system: System, setting: Setting): Promise<Figures | string> {
  try {
    await quiet(system);
    return await measurement.run(system, setting);
  } catch (error) {
    return `failed: ${(error as Error).message.slice(0, 200)}`;
  }
}

const figureOf = (figures: Figures | string, row: string): Figure | string =>
  typeof figures === 'string' ? figures : (figures[row] ?? 'not measured');

async function compare(measurement: Measurement, own: System, peers: Peers | null, setting: Setting) {
  const figures = await measure(measurement, own, setting);
  const others: { name: string; figures: Figures | string }[] = [];
  for (const peer of peers === null ? [] : measurement.peers) {
    const missing = peers!.missing(peer);
    if (missing !== null) {
      others.push({ name: PEER_NAMES[peer], figures: missing });
      continue;
    }
    const found = await peers!.system(peer).then(
      (system) => measure(measurement, system, setting),
      (error: Error) => `does not start: ${error.message.slice(0, 200)}`,
    );
    others.push({ name: PEER_NAMES[peer], figures: found });
  }
  return measurement.rows.map((row): Measured => {
    const beside = others.filter((other) => typeof other.figures === 'string' || row.name in other.figures);
    return {
      row,
      own: figureOf(figures, row.name),
      peers: beside.map((other) => ({ name: other.name, figure: figureOf(other.figures, row.name) })),
    };
  });
}

function chosen(names: readonly string[]): readonly Measurement[] {
  if (names.length === 0) return MEASUREMENTS;
  const has = (one: Measurement, name: string): boolean =>
    one.name === name || one.rows.some((row) => row.name === name);
  const unknown = names.find((name) => !MEASUREMENTS.some((one) => has(one, name)));
  if (unknown !== undefined)
    throw new Error(
      `--only ${unknown}: one of ${MEASUREMENTS.map((one) => one.name).join(', ')}, or one of their rows`,
    );
  return MEASUREMENTS.filter((one) => names.some((name) => has(one, name)));
}

async function help(): Promise<string> {
  const names = MEASUREMENTS.map((one) => `${one.name}: ${one.rows.map((row) => row.name).join(', ')}`);
  return [...(await headOf(import.meta.filename)), '', ...names].join('\n');
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      quick: { type: 'boolean', default: false },
      only: { type: 'string', multiple: true, default: [] },
      peers: { type: 'boolean', default: true },
      write: { type: 'boolean', default: false },
      profile: { type: 'string' },
      help: { type: 'boolean', default: false },
    },
    allowNegative: true,
  });
  if (values.help) {
    console.log(await help());
    return;
  }
  const measurements = chosen(values.only);
  const machine = describeMachine();
  const begun = performance.now();
  const dns = await startDnsStub();
  const peers = values.peers ? new Peers() : null;
  const server: MailmeshOptions = { resolver: dns.address };
  const setting: Setting = {
    scale: values.quick ? QUICK : FULL,
    sources: { small: new MessageSource(10_000), large: new MessageSource(75_000) },
    server,
  };
  if (values.profile !== undefined) await mkdir(values.profile, { recursive: true });
  const profiling =
    values.profile === undefined ? {} : { nodeOptions: `--cpu-prof --cpu-prof-dir=${resolve(values.profile)}` };
  const own = await startMailmesh({ ...server, ...profiling });
  const measured: Measured[] = [];
  const stop = async (): Promise<void> => {
    await peers?.stop();
    await own.stop();
    dns.close();
  };
  const interrupted = (): void => void stop().then(() => process.exit(130));
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, interrupted);
  try {
    for (const measurement of measurements) {
      process.stderr.write(`${measurement.name} … `);
      const since = performance.now();
      measured.push(...(await compare(measurement, own, peers, setting)));
      process.stderr.write(`${((performance.now() - since) / 1000).toFixed(0)} s\n`);
    }
  } finally {
    for (const signal of ['SIGINT', 'SIGTERM'] as const) process.off(signal, interrupted);
    await stop();
  }
  const took = Math.round((performance.now() - begun) / 1000);
  console.log(`${machine}; the run took ${took} s\n\n${tableOf(measured)}\n\n${notesOf(measured)}`);
  if (values.write) {
    const command = ['npm run bench', ...(process.argv.length > 2 ? ['--', ...process.argv.slice(2)] : [])].join(' ');
    const head = `## Speed and memory\n\n${new Date().toISOString().slice(0, 10)}, \`${command}\`, on ${machine}. The run took ${took} s.`;
    const method =
      'All systems ran on the same machine, each with its own folder, fsync as by default. `ratio` is how many times better than the peer.';
    const file = await writeSection(
      'bench',
      `${head}\n\n${method}\n\n${tableOf(measured)}\n\nBehind the figures:\n\n${notesOf(measured)}`,
    );
    console.log(`\nwritten to ${file}`);
  }
  if (measured.some(({ own: figure }) => typeof figure === 'string')) process.exitCode = 1;
}

await main();
