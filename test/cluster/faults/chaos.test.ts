/**
 * Parts of a mesh that fail whenever they like, several at once: each node, its networks, MongoDB and NATS go through
 * troubles of their own, as a seed has them. Clients may see any failure but a wrong answer; what was promised holds.
 */

import { test } from 'node:test';
import { setTimeout as after } from 'node:timers/promises';
import { eventually } from '../../support/clients.ts';
import { type ClusterServer, serversMissing } from '../../support/cluster-servers.ts';
import type { TcpProxy } from '../../support/tcp-proxy.ts';
import { FaultRun, OUTAGE_MS } from './fault.ts';
import { type MeshNode, startMesh } from './mesh.ts';
import { patiently } from './patience.ts';

const CALM_MS_MAX = 12_000;
/** Longer than a lease lasts, and than nodes are silent before they are taken for dead. */
const TROUBLE_MS_MAX = 10_000;
const START_MS_MAX = patiently(60_000);

interface Trouble {
  readonly name: string;
  begin(): Promise<unknown> | unknown;
  /** Undoes it. */
  end(): Promise<unknown> | unknown;
}

/** Whoever looks after a node that does not start without its database tries again. */
const started = (node: MeshNode): Promise<unknown> =>
  eventually(`start of ${node.name}`, () => node.start().catch(() => undefined), START_MS_MAX);

/** In an outage a drain may not come to its end in time: then the node ends as if it were killed. */
const stopped = (node: MeshNode): Promise<unknown> =>
  node.stop().catch((error: Error) => {
    if (!error.message.includes('draining took too long')) throw error;
  });

const nodeTroubles = (node: MeshNode): readonly Trouble[] => [
  { name: 'kill -9', begin: () => node.kill(), end: () => started(node) },
  { name: 'SIGTERM', begin: () => stopped(node), end: () => started(node) },
  {
    name: 'SIGSTOP',
    begin: () => node.server!.process.kill('SIGSTOP'),
    end: () => node.server!.process.kill('SIGCONT'),
  },
];

const proxyTroubles = (proxy: TcpProxy): readonly Trouble[] => [
  { name: 'cut', begin: () => proxy.cut(), end: () => undefined },
  { name: 'parted', begin: () => proxy.partition(), end: () => proxy.heal() },
  { name: 'refused', begin: () => proxy.refuse(), end: () => proxy.heal() },
  {
    name: 'slow',
    begin() {
      proxy.delayMs = 100;
    },
    end() {
      proxy.delayMs = 0;
    },
  },
];

const serverTroubles = (server: ClusterServer): readonly Trouble[] => [
  { name: 'killed', begin: () => server.kill(), end: () => server.start() },
  { name: 'silent', begin: () => server.pause(), end: () => server.resume() },
];

test('faults at random, several at once', { skip: await serversMissing(), timeout: 600_000 }, async (t) => {
  const mesh = await startMesh(t);
  if (!mesh.nats.own || !mesh.mongo.own) return t.skip('NATS_URL or MONGO_URL names a server that is not ours to stop');
  const run = await FaultRun.on(t, mesh);
  const wiped = { name: 'wiped', begin: () => mesh.nats.wipe(), end: () => undefined };
  const parts: readonly (readonly [string, readonly Trouble[]])[] = [
    ['MongoDB', serverTroubles(mesh.mongo)],
    ['NATS', [...serverTroubles(mesh.nats), wiped]],
    ...mesh.nodes.flatMap((node): [string, readonly Trouble[]][] => [
      [node.name, nodeTroubles(node)],
      [`MongoDB of ${node.name}`, proxyTroubles(node.mongo)],
      [`NATS of ${node.name}`, proxyTroubles(node.nats)],
    ]),
  ];
  const happened: string[] = [];

  await t.test('whatever fails, nothing is lost or doubled', (t) =>
    run.fault(t, {
      name: `chaos for ${OUTAGE_MS / 1_000} s`,
      excused: ['refused', 'ended', 'closed', 'cut', 'silent'],
      several: true,
      async inflict() {
        const beganAt = performance.now();
        await Promise.all(
          parts.map(async ([part, troubles]) => {
            for (;;) {
              await after(run.random() * CALM_MS_MAX);
              if (performance.now() - beganAt > OUTAGE_MS) return;
              const trouble = troubles[Math.floor(run.random() * troubles.length)]!;
              happened.push(`${Math.round((performance.now() - beganAt) / 1_000)} s: ${part} ${trouble.name}`);
              await trouble.begin();
              await after(run.random() * TROUBLE_MS_MAX);
              await trouble.end();
            }
          }),
        );
      },
    }),
  );
  t.diagnostic(happened.join(', '));
  return undefined;
});
