/**
 * Links that the kernel loses: the servers are in a network namespace of their own, and links of nodes to it go down, so that
 * packets are dropped without a word, addresses are not found, and connections live on or die as TCP has it. Clients reach
 * all nodes all the time.
 */

import { test } from 'node:test';
import { setTimeout as after } from 'node:timers/promises';
import { serversMissing } from '../../support/cluster-servers.ts';
import { ISOLATED_VARIABLE, namespacesMissing, serverRoom } from '../../support/server-room.ts';
import { BRIEF_MS, FaultRun, OUTAGE_MS } from './fault.ts';
import { NODES, startMesh } from './mesh.ts';

const CYCLES = 4;
const CYCLE_MS = 3_000;

async function missing(): Promise<string | false> {
  if (((process.env.MONGO_URL ?? '') || (process.env.NATS_URL ?? '')) !== '')
    return 'MONGO_URL or NATS_URL names a server that is not ours to move';
  if (process.env[ISOLATED_VARIABLE] !== undefined) return serversMissing();
  return (await namespacesMissing()) || 'npm run test:cluster runs it in a network namespace of its own';
}

test('faults of links', { skip: await missing(), timeout: 600_000 }, async (t) => {
  const room = await serverRoom(NODES);
  t.after(() => room.close());
  const mesh = await startMesh(t, {}, room);
  const run = await FaultRun.on(t, mesh);
  const forLinks = (links: readonly number[], act: (link: number) => Promise<void>) => Promise.all(links.map(act));

  await t.test('two nodes parted from the servers and the third node, then healed', (t) =>
    run.fault(t, {
      name: `links of two nodes down for ${OUTAGE_MS / 1_000} s`,
      excused: ['refused', 'ended', 'cut', 'silent'],
      async inflict() {
        await forLinks([0, 1], room.part);
        await after(OUTAGE_MS);
        await forLinks([0, 1], room.heal);
      },
    }),
  );

  await t.test('all nodes parted from the servers', (t) =>
    run.fault(t, {
      name: `all links down for ${BRIEF_MS / 1_000} s`,
      excused: ['refused', 'ended', 'cut', 'silent'],
      async inflict() {
        const all = mesh.nodes.map((_, link) => link);
        await forLinks(all, room.part);
        await after(BRIEF_MS);
        await forLinks(all, room.heal);
      },
    }),
  );

  await t.test('a link that comes and goes', (t) =>
    run.fault(t, {
      name: `a link down ${CYCLES} times for ${CYCLE_MS / 1_000} s`,
      excused: ['refused', 'ended', 'cut', 'silent'],
      async inflict() {
        for (let i = 0; i < CYCLES; i++) {
          await room.part(2);
          await after(CYCLE_MS);
          await room.heal(2);
          await after(CYCLE_MS);
        }
      },
    }),
  );
});
