/**
 * The queue while its servers and processes fail: what was acknowledged is done in the end, each stage is settled once,
 * and mail is taken as long as the database is there. Each test prints what it counted.
 */

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { type TestContext, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import type { Stage } from '../../core/filter/verdict.ts';
import { TemporaryError } from '../../core/mail/errors.ts';
import type { QueueId } from '../../core/mail/ids.ts';
import type { Job } from '../../core/ports/queue.ts';
import { LEASE, message, plan, verdict } from '../contract/queue-fixture.ts';
import { withDatabase } from '../support/cluster-servers.ts';
import { missing } from './cluster-fixture.ts';
import { ALL_STAGES, QueueMesh, type QueueNode } from './queue-mesh.ts';

const child = fileURLToPath(new URL('./queue-child.ts', import.meta.url));

function fault(name: string, run: (mesh: QueueMesh, t: TestContext) => Promise<void>): void {
  test(`queue: ${name}`, { skip: missing }, async (t) => {
    const mesh = await QueueMesh.start();
    try {
      await run(mesh, t);
    } finally {
      await mesh.close();
    }
  });
}

async function check(mesh: QueueMesh, t: TestContext, seenBy: Parameters<QueueMesh['allDone']>[0]): Promise<void> {
  const counts = await mesh.allDone(seenBy);
  t.diagnostic(JSON.stringify({ ...counts, answered451: mesh.refusals }));
  assert.deepEqual([counts.duplicated, counts.lost], [0, 0]);
  assert.deepEqual(await seenBy.queue.verify(false), []);
}

fault('NATS is killed under load and comes back', async (mesh, t) => {
  const edge = await mesh.node();
  const worker = await mesh.node({ stages: ALL_STAGES });
  await mesh.acknowledge(edge.queue, 40);
  await mesh.natsAt.kill();
  await mesh.acknowledge(edge.queue, 40);
  await mesh.natsAt.start();
  await mesh.acknowledge(edge.queue, 40);
  await check(mesh, t, worker);
  assert.equal(mesh.refusals, 0);
});

fault('mail flows from node to node while there is no NATS at all', async (mesh, t) => {
  const edge = await mesh.node();
  const workers = [
    await mesh.node({ stages: ['authentication', 'spam', 'delivery'] }),
    await mesh.node({ stages: ['attachments', 'placement'] }),
  ];
  await mesh.natsAt.stop();
  await mesh.acknowledge(edge.queue, 60);
  await check(mesh, t, workers[0]!);
  assert.equal(mesh.refusals, 0);
  assert.match(workers[0]!.queue.trouble!, /NATS/);
});

fault('all of JetStream is wiped while pointers wait in it', async (mesh, t) => {
  const edge = await mesh.node();
  await mesh.acknowledge(edge.queue, 60);
  await mesh.natsAt.wipe();
  const worker = await mesh.node({ stages: ALL_STAGES });
  await mesh.acknowledge(edge.queue, 30);
  await check(mesh, t, worker);
});

fault('MongoDB is killed under load and comes back', async (mesh, t) => {
  const node = await mesh.node({ stages: ALL_STAGES });
  await mesh.acknowledge(node.queue, 40);
  // Everyone is refused at least once.
  const clients = Array.from({ length: 4 }, (_, i) => mesh.accept(node.queue, () => mesh.refusals > i + 3));
  await mesh.mongoAt.kill();
  await Promise.all(clients);
  await assert.rejects(node.queue.show('0' as QueueId), TemporaryError);
  const at = performance.now();
  await mesh.mongoAt.start();
  await mesh.acknowledge(node.queue, 20);
  await check(mesh, t, node);
  t.diagnostic(`all done ${Math.round(performance.now() - at)} ms after it was told to come back`);
});

fault('nodes that claim at once never share a job', async (mesh, t) => {
  const nodes = await Promise.all([mesh.node(), mesh.node(), mesh.node()]);
  const ids = Array.from({ length: 150 }, (_, i) => i + 1);
  await Promise.all(ids.map((i) => nodes[0]!.queue.accept(message(i), plan(['spam']))));
  const claimed: QueueId[] = [];
  await Promise.all(
    nodes.map(async ({ queue }) => {
      for (let idle = 0; claimed.length < ids.length && idle < 200; idle++)
        for (const job of await queue.claim('spam', { max: 7, leaseMs: LEASE, now: Date.now() }))
          claimed.push(job.queueId);
    }),
  );
  t.diagnostic(`${claimed.length} claims of ${new Set(claimed).size} jobs`);
  assert.deepEqual([claimed.length, new Set(claimed).size], [ids.length, ids.length]);
});

fault('a worker is killed; another one ends what it had begun', async (mesh, t) => {
  const edge = await mesh.node();
  const args = [child, withDatabase(mesh.mongoAt.url, mesh.name), mesh.natsAt.url, mesh.name];
  const worker = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] });
  createInterface({ input: worker.stdout }).on('line', (line) => {
    const [, id, stage] = line.split(' ');
    mesh.count(id!, stage!);
  });
  const load = mesh.acknowledge(edge.queue, 120);
  await mesh.when(() => mesh.settled.size > 100, 'the worker works');
  worker.kill('SIGKILL');
  await once(worker, 'close');
  const at = performance.now();
  await load;
  const other = await mesh.node({ stages: ALL_STAGES });
  // The last lines of the killed process may not have been said: the store knows what it settled.
  for (const id of mesh.acknowledged)
    for (const { stage, state } of (await other.queue.show(id))!.jobs)
      if (state === 'done' && !mesh.settled.has(`${id} ${stage}`)) mesh.count(id, stage);
  await check(mesh, t, other);
  t.diagnostic(`done ${Math.round(performance.now() - at)} ms after the kill`);
});

fault('a clock that is five minutes off does no harm', async (mesh) => {
  const right = await mesh.node();
  for (const [letter, offMs] of [
    ['a', 300_000],
    ['b', -300_000],
  ] as const) {
    const now = (): number => Date.now() + offMs;
    const wrong = await mesh.node({ now });
    const ids = [1, 2].map((i) => `${letter.repeat(15)}${i}` as QueueId);
    const accept = (i: number) =>
      wrong.queue.accept(message(i, { queueId: ids[i]!, acceptedAt: now() }), plan(['spam']));
    const claim = (node: typeof right, at: number) => node.queue.claim('spam', { max: 1, leaseMs: LEASE, now: at });
    await accept(0);
    const job = await claimed(right, 'spam');
    assert.equal(job.queueId, ids[0]);
    assert.deepEqual(await claim(wrong, now()), [], 'a lease that runs was taken for one that has ended');
    assert.equal(await right.queue.settle(job, verdict('spam')), true);
    // A pause that is set by the wrong clock is as long by the right one.
    await accept(1);
    const [second] = await claim(wrong, now());
    assert.equal(await wrong.queue.fail(second!, 'later', now() + 60_000), true);
    const due = (await right.queue.nextDue('spam'))! - Date.now();
    assert.ok(due > 50_000 && due <= 61_000, `due in ${due} ms`);
    assert.equal(await wrong.queue.drop(second!.queueId, 'done with'), true);
  }
});

/** The next job of the stage, waited for as a worker does. */
async function claimed({ queue }: QueueNode, stage: Stage): Promise<Job> {
  for (;;) {
    let stop = (): void => {};
    const heard = new Promise<void>((resolve) => {
      stop = queue.onReady((ready) => ready === stage && resolve());
    });
    const [job] = await queue.claim(stage, { max: 1, leaseMs: LEASE, now: Date.now() });
    if (job === undefined) await heard;
    stop();
    if (job !== undefined) return job;
  }
}

fault('what is not a pointer is dropped, counted, and told in one line', async (mesh, t) => {
  const node = await mesh.node({ stages: ALL_STAGES });
  await mesh.acknowledge(node.queue, 1, 1);
  await mesh.allDone(node);
  const jetStream = node.nats.connection!.jetstream();
  const subject = `${mesh.name}.jobs.delivery`;
  const garbage = [
    '',
    'x',
    '0 0123456789abcdef a',
    '2 0123456789abcdef a',
    '1 ../../../../etc a',
    '\u0000'.repeat(200),
    '1',
  ];
  for (const bytes of garbage) await jetStream.publish(subject, bytes);
  // One that is as it should be, of a message that is not there: dropped in silence.
  await jetStream.publish(subject, '1 0123456789abcdef other');
  await assert.rejects(jetStream.publish(subject, 'x'.repeat(100_000)));
  await jetStream.publish(`${mesh.name}.jobs.nobody`, 'x');
  await mesh.acknowledge(node.queue, 20);
  await check(mesh, t, node);
  assert.equal(node.queue.messagesDropped, garbage.length);
  assert.equal(node.told.filter((line) => line.startsWith('queue.message-dropped')).length, 1);
});

test('queue: a limit of JetStream is told in one line, and mail flows without it', { skip: missing }, async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'mailmesh-nats-'));
  const file = join(folder, 'nats.conf');
  const user = { user: 'mailmesh', password: 'p%41ss' };
  await writeFile(file, JSON.stringify({ accounts: { A: { jetstream: { max_streams: 1 }, users: [user] } } }));
  const mesh = await QueueMesh.start(['-c', file], 'mailmesh:p%2541ss@');
  try {
    const edge = await mesh.node();
    await edge.nats.manager!.streams.delete(`${mesh.name}-jobs`);
    await edge.nats.manager!.streams.add({ name: 'of-others', subjects: ['of-others'] });
    const worker = await mesh.node({ stages: ALL_STAGES });
    await mesh.acknowledge(edge.queue, 20);
    await check(mesh, t, worker);
    const lines = worker.told.filter((line) => !line.startsWith('nats.connected'));
    assert.match(lines.join('\n'), /^queue\.pointers .*has reached a limit of JetStream.*$/);
    assert.match(worker.queue.trouble!, /limit of JetStream/);
  } finally {
    await mesh.close();
    await rm(folder, { recursive: true });
  }
});

fault('ten nodes start at once on empty servers', async (mesh, t) => {
  const nodes = await Promise.all(Array.from({ length: 10 }, () => mesh.node({ stages: ALL_STAGES })));
  await Promise.all(nodes.map(({ queue }) => mesh.acknowledge(queue, 40, 1)));
  await check(mesh, t, nodes[0]!);
  assert.deepEqual(
    nodes.flatMap(({ told }) => told.filter((line) => !line.startsWith('nats.connected'))),
    [],
  );
});
