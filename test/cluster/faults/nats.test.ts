/** NATS restarted, gone for a while, or empty: mail is delayed and never refused, and all that was accepted arrives. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as after } from 'node:timers/promises';
import { serversMissing } from '../../support/cluster-servers.ts';
import { FaultRun, OUTAGE_MS } from './fault.ts';
import type { LoadReport } from './load.ts';
import { startMesh } from './mesh.ts';

const SETTLE_MS = 3_000;

/** Taking mail in needs the database alone. */
function refusesNoMail({ failures }: LoadReport): void {
  const refused = failures.filter(({ client }) => /^(smtp|lmtp) /.test(client)).map(({ message }) => message);
  assert.deepEqual(refused, [], 'no mail is refused');
}

test('faults of NATS', { skip: await serversMissing(), timeout: 600_000 }, async (t) => {
  const mesh = await startMesh(t);
  if (!mesh.nats.own) return t.skip('NATS_URL names a server that is not ours to stop');
  const run = await FaultRun.on(t, mesh);

  await t.test('killed and restarted', (t) =>
    run.fault(t, {
      name: 'NATS killed and restarted',
      excused: ['refused', 'ended', 'silent'],
      check: refusesNoMail,
      async inflict() {
        await mesh.nats.restart();
        await after(SETTLE_MS);
      },
    }),
  );

  await t.test('stopped for a while', (t) =>
    run.fault(t, {
      name: `NATS stopped for ${OUTAGE_MS / 1_000} s`,
      excused: ['refused', 'ended', 'silent'],
      check: refusesNoMail,
      async inflict() {
        await mesh.nats.stop();
        await after(OUTAGE_MS);
        await mesh.nats.start();
      },
    }),
  );

  await t.test('its JetStream folder wiped', (t) =>
    run.fault(t, {
      name: 'JetStream wiped',
      excused: ['refused', 'ended', 'silent'],
      check: refusesNoMail,
      async inflict() {
        await mesh.nats.wipe();
        await after(SETTLE_MS);
      },
    }),
  );
  return undefined;
});
