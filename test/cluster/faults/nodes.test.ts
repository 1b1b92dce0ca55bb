/** Nodes that drain, die, stop for a while or have a wrong clock: nothing is lost or doubled, and others serve on. */

import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as after } from 'node:timers/promises';
import { pathToFileURL } from 'node:url';
import { serversMissing } from '../../support/cluster-servers.ts';
import { FaultRun } from './fault.ts';
import { startMesh } from './mesh.ts';
import { patiently } from './patience.ts';

const CLOCK = pathToFileURL(join(import.meta.dirname, '..', '..', 'support', 'wrong-clock.mjs')).href;
/** Within this every account is served again after a kill. */
const SERVED_MS_MAX = patiently(10_000);
const BETWEEN_MS = 3_000;
/** Longer than a lease lasts. */
const PAST_LEASE_MS = 12_000;

test('faults of nodes', { skip: await serversMissing(), timeout: 600_000 }, async (t) => {
  const mesh = await startMesh(t);
  const run = await FaultRun.on(t, mesh);
  const [first, second, third] = mesh.nodes as [(typeof mesh.nodes)[0], (typeof mesh.nodes)[0], (typeof mesh.nodes)[0]];

  await t.test('SIGTERM of each node in turn', (t) =>
    run.fault(t, {
      name: 'SIGTERM of each node',
      excused: ['closed', 'ended'],
      outageMsMax: SERVED_MS_MAX,
      async inflict() {
        for (const node of mesh.nodes) {
          await node.stop();
          await after(BETWEEN_MS);
          await node.start();
          await after(BETWEEN_MS);
        }
      },
    }),
  );

  await t.test('kill -9 of each node in turn', (t) =>
    run.fault(t, {
      name: 'kill -9 of each node',
      excused: ['closed', 'ended', 'cut', 'refused', 'silent'],
      outageMsMax: SERVED_MS_MAX,
      async inflict(load) {
        for (const node of mesh.nodes) {
          await node.kill();
          await load.recovered(SERVED_MS_MAX);
          await node.start();
          await after(BETWEEN_MS);
        }
      },
    }),
  );

  await t.test('kill -9 of two nodes at once', (t) =>
    run.fault(t, {
      name: 'kill -9 of two nodes',
      excused: ['closed', 'ended', 'cut', 'refused', 'silent'],
      outageMsMax: SERVED_MS_MAX,
      async inflict(load) {
        await Promise.all([first.kill(), second.kill()]);
        await load.recovered(SERVED_MS_MAX);
        await Promise.all([first.start(), second.start()]);
      },
    }),
  );

  await t.test('SIGSTOP of a node past its leases, then SIGCONT', (t) =>
    run.fault(t, {
      name: 'SIGSTOP and SIGCONT',
      excused: ['closed', 'ended', 'cut', 'refused', 'silent'],
      async inflict(load) {
        third.server!.process.kill('SIGSTOP');
        await after(PAST_LEASE_MS);
        await load.recovered();
        third.server!.process.kill('SIGCONT');
      },
    }),
  );

  await t.test('a clock that is 5 minutes off', (t) =>
    run.fault(t, {
      name: 'clock 5 minutes off',
      excused: ['closed', 'ended'],
      outageMsMax: SERVED_MS_MAX,
      async inflict() {
        for (const [node, off] of [
          [first, 300_000],
          [second, -300_000],
        ] as const) {
          await node.stop();
          await node.start({ NODE_OPTIONS: `--import=${CLOCK}`, CLOCK_OFF_MS: String(off) });
        }
        // Leases of all accounts are renewed, and by wrong clocks would be taken away.
        await after(PAST_LEASE_MS);
        await Promise.all([first.stop(), second.stop()]);
        await Promise.all([first.start(), second.start()]);
      },
    }),
  );
});
