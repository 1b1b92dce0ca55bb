/**
 * Far more mail than the mesh can take: senders are held up or asked to come again, the queue stays within its bound,
 * memory within its own, readers go on, and all that was accepted arrives.
 */

import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { test } from 'node:test';
import { setTimeout as after } from 'node:timers/promises';
import { serversMissing } from '../../support/cluster-servers.ts';
import { rest } from '../../support/rest.ts';
import { FaultRun } from './fault.ts';
import { type LoadShape, STEADY } from './load.ts';
import { type Mesh, startMesh } from './mesh.ts';
import { patiently } from './patience.ts';

const OVERLOAD_MS = Number(process.env.FAULT_OVERLOAD_SECONDS ?? 120) * 1_000;
const QUEUE_MAX = 400;
/** Each node measures now and then only, and messages whose recipients were answered before are let in. */
const QUEUE_SLACK = 200;
const SAMPLE_MS = 1_000;
const MiB = 1024 * 1024;
/** What a process may gain between the second quarter and the last, and what all of them may together. */
const GROWTH = 1.3;
const GROWTH_TOGETHER = 1.2;

/** Senders that never wait, several times as many as keep two cores busy; some readers. */
const FLOOD: LoadShape = {
  sessions: { smtp: 24, lmtp: 4, store: 4, idle: 2 },
  pauseMs: 0,
  retryMs: 500,
  answerMsMax: patiently(30_000),
};

interface Samples {
  readonly waiting: number[];
  /** By node. */
  readonly memory: number[][];
}

async function residentBytes(pid: number): Promise<number> {
  const status = await readFile(`/proc/${pid}/status`, 'utf8');
  return Number(/^VmRSS:\s+(\d+) kB$/m.exec(status)?.[1]) * 1024;
}

async function sample(mesh: Mesh, samples: Samples): Promise<void> {
  const answer = await rest(mesh.up, '/v1/queue-depth', { key: mesh.key });
  if (answer.status === 200) {
    type Depth = Readonly<Record<'blocked' | 'ready' | 'running' | 'waiting', number>> & { readonly stage: string };
    const delivery = answer.json<Depth[]>().find(({ stage }) => stage === 'delivery');
    if (delivery !== undefined)
      samples.waiting.push(delivery.blocked + delivery.ready + delivery.running + delivery.waiting);
  }
  for (const [i, { server }] of mesh.nodes.entries())
    samples.memory[i]!.push(await residentBytes(server!.process.pid!));
}

const quarter = (all: readonly number[], n: number): number =>
  Math.max(...all.slice(Math.floor((all.length * (n - 1)) / 4), Math.ceil((all.length * n) / 4)));

const sum = (all: readonly number[]): number => all.reduce((total, one) => total + one, 0);

test('load far above capacity', { skip: await serversMissing(), timeout: 600_000 }, async (t) => {
  if (process.platform !== 'linux') return t.skip('memory of other processes is read from /proc');
  const mesh = await startMesh(t, { MAILMESH_QUEUE_MESSAGES_MAX: String(QUEUE_MAX) });
  const run = await FaultRun.on(t, mesh);
  const samples: Samples = { waiting: [], memory: mesh.nodes.map(() => []) };
  await run.fault(t, {
    name: `overload for ${OVERLOAD_MS / 1_000} s`,
    shape: FLOOD,
    excused: ['refused'],
    async inflict() {
      const until = performance.now() + OVERLOAD_MS;
      while (performance.now() < until) await Promise.all([sample(mesh, samples), after(SAMPLE_MS)]);
    },
    check({ failures }) {
      const refused = failures.filter(({ kind }) => kind === 'refused');
      assert.deepEqual(
        refused.filter(({ message }) => !/^4\d\d /.test(message)).map(({ client, message }) => `${client}: ${message}`),
        [],
        'only senders are refused',
      );
      const most = Math.max(...samples.waiting);
      const memory = samples.memory.map((all) => [quarter(all, 2), quarter(all, 4)] as const);
      const shown = memory.map(([before, after]) => `${Math.round(before / MiB)} → ${Math.round(after / MiB)} MiB`);
      t.diagnostic(`at most ${most} messages waiting of ${QUEUE_MAX} wanted; memory of the nodes ${shown.join(', ')}`);
      assert.ok(most <= QUEUE_MAX + QUEUE_SLACK, `the queue is bounded: ${most}`);
      for (const [before, after] of memory) assert.ok(after <= before * GROWTH, `memory is flat: ${shown.join(', ')}`);
      const [before, after] = [sum(memory.map(([first]) => first)), sum(memory.map(([, last]) => last))];
      assert.ok(after <= before * GROWTH_TOGETHER, `memory is flat together: ${shown.join(', ')}`);
    },
  });
  // The next message after the flood is taken at once: the bound lets go.
  await run.fault(t, { name: 'after the overload', shape: STEADY, excused: [], inflict: () => after(SAMPLE_MS) });
  return undefined;
});
