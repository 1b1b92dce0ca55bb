/**
 * Networks between the nodes and their servers that part or are slow. Proxies keep the bytes, as a partition of the network
 * does, and clients can reach all nodes all the time, which is harder on a node than to be out of everybody's reach.
 */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as after } from 'node:timers/promises';
import { serversMissing } from '../../support/cluster-servers.ts';
import { BRIEF_MS, FaultRun, OUTAGE_MS } from './fault.ts';
import { type LoadShape, STEADY } from './load.ts';
import { type Mesh, startMesh } from './mesh.ts';

const SLOW_MS = 15_000;
/** There and back this makes what the fault is named after. */
const SLOW_NETWORK_MS = 200 / 2;
const SLOW_MONGO_MS = 100 / 2;
/** As patient as clients are where every round trip takes its time. */
const PATIENT: LoadShape = { ...STEADY, answerMsMax: 30_000 };

async function slowly(mesh: Mesh, { mongoMs, natsMs }: { mongoMs: number; natsMs: number }): Promise<void> {
  const set = (mongo: number, nats: number): void => {
    for (const node of mesh.nodes) {
      node.mongo.delayMs = mongo;
      node.nats.delayMs = nats;
    }
  };
  set(mongoMs, natsMs);
  await after(SLOW_MS);
  set(0, 0);
}

test('faults of the network', { skip: await serversMissing(), timeout: 600_000 }, async (t) => {
  const mesh = await startMesh(t);
  const run = await FaultRun.on(t, mesh);

  await t.test('two nodes parted from the servers and the third node, then healed', (t) =>
    run.fault(t, {
      name: `two nodes parted for ${OUTAGE_MS / 1_000} s`,
      excused: ['refused', 'ended', 'cut', 'silent'],
      async inflict() {
        const parted = mesh.nodes.slice(0, 2).flatMap(({ mongo, nats }) => [mongo, nats]);
        for (const proxy of parted) proxy.partition();
        await after(OUTAGE_MS);
        for (const proxy of parted) proxy.heal();
      },
    }),
  );

  await t.test('one node parted from NATS alone', (t) =>
    run.fault(t, {
      name: `one node parted from NATS for ${BRIEF_MS / 1_000} s`,
      excused: ['refused', 'ended', 'cut', 'silent'],
      async inflict() {
        mesh.nodes[0]!.nats.partition();
        await after(BRIEF_MS);
        mesh.nodes[0]!.nats.heal();
      },
    }),
  );

  await t.test('connections cut again and again', (t) =>
    run.fault(t, {
      name: 'connections cut',
      excused: ['refused'],
      async inflict() {
        for (let i = 0; i < 6; i++) {
          for (const { mongo, nats } of mesh.nodes) (i % 2 === 0 ? mongo : nats).cut();
          await after(1_000);
        }
      },
    }),
  );

  await t.test('a slow network', (t) =>
    run.fault(t, {
      name: 'network of 200 ms',
      shape: PATIENT,
      excused: [],
      inflict: () => slowly(mesh, { mongoMs: SLOW_NETWORK_MS, natsMs: SLOW_NETWORK_MS }),
      check: ({ steps }) => assert.ok(steps > 0, 'the work goes on'),
    }),
  );

  await t.test('a slow MongoDB', (t) =>
    run.fault(t, {
      name: 'MongoDB of +100 ms a call',
      shape: PATIENT,
      excused: [],
      inflict: () => slowly(mesh, { mongoMs: SLOW_MONGO_MS, natsMs: 0 }),
      check: ({ steps }) => assert.ok(steps > 0, 'the work goes on'),
    }),
  );
});
