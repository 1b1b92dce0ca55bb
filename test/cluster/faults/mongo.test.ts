/** MongoDB restarted, gone or silent for a while: 451 meanwhile, nothing lost, and everything resumes by itself. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as after } from 'node:timers/promises';
import { serversMissing } from '../../support/cluster-servers.ts';
import { BRIEF_MS, FaultRun, OUTAGE_MS } from './fault.ts';
import type { LoadReport } from './load.ts';
import { type Mesh, startMesh } from './mesh.ts';

const SETTLE_MS = 3_000;

/** SMTP's refusals are the one that asks to come again, by this cause. */
function refusesFor451({ failures }: LoadReport): void {
  const others = failures
    .filter(
      ({ client, kind, message }) =>
        /^(smtp|lmtp) /.test(client) && kind === 'refused' && !/^451 4\.3\.0 /.test(message),
    )
    .map(({ message }) => message);
  assert.deepEqual(others, [], 'mail is refused with 451 4.3.0 only');
}

function processesOf({ nodes }: Mesh): readonly (number | undefined)[] {
  return nodes.map(({ server }) => server?.process.pid);
}

test('faults of MongoDB', { skip: await serversMissing(), timeout: 600_000 }, async (t) => {
  const mesh = await startMesh(t);
  if (!mesh.mongo.own) return t.skip('MONGO_URL names a server that is not ours to stop');
  const run = await FaultRun.on(t, mesh);
  const processes = processesOf(mesh);
  const check = (report: LoadReport): void => {
    refusesFor451(report);
    assert.deepEqual(processesOf(mesh), processes, 'no node was restarted');
    for (const { server } of mesh.nodes) assert.equal(server?.process.exitCode, null);
  };

  await t.test('killed and restarted', (t) =>
    run.fault(t, {
      name: 'MongoDB killed and restarted',
      excused: ['refused', 'ended', 'silent'],
      check,
      async inflict() {
        await mesh.mongo.restart();
        await after(SETTLE_MS);
      },
    }),
  );

  await t.test('stopped for a while', (t) =>
    run.fault(t, {
      name: `MongoDB stopped for ${OUTAGE_MS / 1_000} s`,
      excused: ['refused', 'ended', 'silent'],
      check(report) {
        check(report);
        assert.ok(
          report.failures.some(({ message }) => message.startsWith('451 4.3.0 ')),
          '451 meanwhile',
        );
      },
      async inflict() {
        await mesh.mongo.stop();
        await after(OUTAGE_MS);
        await mesh.mongo.start();
      },
    }),
  );

  await t.test('silent for a while', (t) =>
    run.fault(t, {
      name: `MongoDB silent for ${BRIEF_MS / 1_000} s`,
      excused: ['refused', 'ended', 'silent'],
      check,
      async inflict() {
        await mesh.mongo.pause();
        await after(BRIEF_MS);
        mesh.mongo.resume();
      },
    }),
  );
  return undefined;
});
