/**
 * Two meshes on one database, and two databases on one NATS. The orders of starting that were thought of, each a test here
 * (or in test/unit/mesh-claim.test.ts, where it needs no server):
 *
 * - nodes run at one NATS, another starts at a second: it is refused, they go on, and others still join them;
 * - the first nodes of both start at once: those of one of them work, the others are refused;
 * - all nodes have ended, or were killed, and start again at another NATS: they wait for at most as long as a session lasts;
 * - JetStream is wiped under nodes that run: they go on, and a node that starts joins them;
 * - NATS is gone for good, nodes run without, and another starts at its replacement: it waits likewise, and they go on;
 * - no NATS can be reached at all: nodes start without (unit);
 * - both run already, since one of them started without NATS: they go on, and one line is told (unit).
 */

import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { connect } from 'nats';
import { loadConfig } from '../../core/config/load.ts';
import { type Node, startNode } from '../../mixins/node.ts';
import { openStores, type Stores } from '../../mixins/storage.ts';
import { failedStart } from '../support/cli.ts';
import { type ClusterServer, mongoServer, natsServer, withDatabase } from '../support/cluster-servers.ts';
import { newDataDir, removeDataDir } from '../support/server.ts';
import { missing } from './cluster-fixture.ts';
import { allSee } from './mesh-world.ts';

/** A session's, and what starting takes. */
const WAIT_MS_MAX = 14_000;
const skip = missing;

let mongo: ClusterServer;
let [one, two]: ClusterServer[] = [];
let root: string;

before(async () => {
  if (skip !== false) return;
  [mongo, one, two, root] = await Promise.all([mongoServer(), natsServer(), natsServer(), newDataDir()]);
});
after(async () => {
  if (skip !== false) return;
  await Promise.all([mongo.close(), one!.close(), two!.close()]);
  await removeDataDir(root);
});

/** A database of its own. */
class Mesh {
  readonly url = withDatabase(mongo.url, `two-${randomBytes(6).toString('hex')}`);
  readonly told: string[] = [];
  readonly #open = new Set<Stores>();

  /** What a node begins with. Which node, and what is told, is seen in `told`. */
  async node(name: string, nats: ClusterServer): Promise<Stores> {
    const config = loadConfig(environment(this.url, nats.url, name));
    const report = (event: string, { detail }: { detail?: unknown }) =>
      this.told.push(`${name} ${event} ${detail ?? ''}`);
    const stores = await openStores(config, Date.now, { node: name, report });
    this.#open.add(stores);
    return stores;
  }

  async stop(stores: Stores): Promise<void> {
    this.#open.delete(stores);
    await stores.close();
  }

  async close(): Promise<void> {
    const open = [...this.#open];
    this.#open.clear();
    await Promise.all(open.map((stores) => stores.close()));
  }
}

const environment = (mongoUrl: string, natsUrl: string, node: string) => ({
  MAILMESH_MONGO_URL: mongoUrl,
  MAILMESH_NATS_URL: natsUrl,
  MAILMESH_DATA_DIR: join(root, `${node}-${randomBytes(3).toString('hex')}`),
  MAILMESH_NODE_ID: node,
  MAILMESH_LOG_LEVEL: 'error',
});

const works = async (stores: Stores): Promise<void> => {
  await stores.mesh!.ping();
  await stores.queue.depth(Date.now());
  assert.equal(stores.mesh!.trouble(), null);
};

async function tookMs(work: () => Promise<unknown>): Promise<number> {
  const started = performance.now();
  await work();
  return performance.now() - started;
}

const isOther = (error: Error): boolean => {
  assert.match(
    error.message,
    /^this node meets others at NATS at 127\.0\.0\.1:\d+ \(stream made .+Z\), but .+ of the same /,
  );
  assert.match(
    error.message,
    /at another \(stream made .+Z\): give all nodes one MAILMESH_NATS_URL, or stop the others/,
  );
  assert.equal((error as NodeJS.ErrnoException).code, 'NATS_UNUSABLE');
  return true;
};

test('orders of starting', { skip, concurrency: true, timeout: 90_000 }, async (t) => {
  const order = (name: string, run: (mesh: Mesh) => Promise<void>) =>
    t.test(name, async () => {
      const mesh = new Mesh();
      try {
        await run(mesh);
      } finally {
        await mesh.close();
      }
    });

  await Promise.all([
    order('a node at another NATS is refused; those that run go on, and others join them', async (mesh) => {
      const [a, b] = await Promise.all([mesh.node('a', one!), mesh.node('b', one!)]);
      const name = `c-${randomBytes(3).toString('hex')}`;
      const err = await failedStart(join(root, name), environment(mesh.url, two!.url, name));
      assert.equal(err.trim().split('\n').length, 1, err);
      assert.match(err, /but a, b of the same database at another/);
      await assert.rejects(mesh.node('d', two!), isOther);
      const ms = await tookMs(() => mesh.node('e', one!));
      assert.ok(ms < 3_000, `${ms} ms`);
      await Promise.all([works(a), works(b)]);
      assert.deepEqual(
        mesh.told.filter((line) => line.includes('mesh.')),
        [],
      );
    }),

    order('of first nodes that start at once, those at one NATS work', async (mesh) => {
      const places = [one!, two!, one!, two!];
      const started = await Promise.allSettled(places.map((nats, i) => mesh.node(`n${i}`, nats)));
      const ok = started.map(({ status }) => status === 'fulfilled');
      assert.notEqual(ok[0], ok[1]);
      assert.deepEqual(ok.slice(0, 2), ok.slice(2));
      for (const result of started)
        if (result.status === 'rejected') isOther(result.reason as Error);
        else await works(result.value);
    }),

    order('after all have ended, nodes at another NATS wait for a session at most', async (mesh) => {
      await mesh.stop(await mesh.node('a', one!));
      const ms = await tookMs(() => Promise.all([mesh.node('a', two!), mesh.node('b', two!)]));
      assert.ok(ms < WAIT_MS_MAX, `${ms} ms`);
      await assert.rejects(mesh.node('c', one!), isOther);
    }),

    order('a wiped JetStream: nodes go on, and others join them', async (mesh) => {
      const nats = await natsServer();
      try {
        const a = await mesh.node('a', nats);
        await nats.wipe();
        const ms = await tookMs(() => mesh.node('b', nats));
        assert.ok(ms < WAIT_MS_MAX, `${ms} ms`);
        await works(a);
        await assert.rejects(mesh.node('c', two!), isOther);
        assert.deepEqual(
          mesh.told.filter((line) => line.includes('mesh.')),
          [],
        );
      } finally {
        await mesh.close();
        await nats.close();
      }
    }),

    order('a stream that is deleted under a node that neither sends nor follows: others join it', async (mesh) => {
      const a = await mesh.node('a', one!);
      const client = await connect({ servers: one!.url.replace('nats://', '') });
      try {
        await (await client.jetstreamManager()).streams.delete(`mailmesh-${a.mesh!.name}-jobs`);
      } finally {
        await client.close();
      }
      const ms = await tookMs(() => mesh.node('b', one!));
      assert.ok(ms < WAIT_MS_MAX, `${ms} ms`);
    }),

    order('a NATS that is gone, and its replacement', async (mesh) => {
      const old = await natsServer();
      try {
        const a = await mesh.node('a', old);
        await old.stop();
        const ms = await tookMs(() => mesh.node('b', two!));
        assert.ok(ms < WAIT_MS_MAX, `${ms} ms`);
        await a.mesh!.ping();
        assert.match(a.mesh!.trouble()!, /^NATS at .* is away$/);
      } finally {
        await mesh.close();
        await old.close();
      }
    }),
  ]);
});

test('a node with another secret for NATS ends in one line, without it', { skip, timeout: 60_000 }, async () => {
  const nats = await natsServer({ args: ['--user', 'mesh', '--pass', 'right'] });
  try {
    const url = withDatabase(mongo.url, `two-${randomBytes(6).toString('hex')}`);
    const at = (secret: string) => environment(url, nats.url.replace('//', `//mesh:${secret}@`), `secret-${secret}`);
    const err = await failedStart(join(root, 'secret'), at('wrong'));
    assert.match(err, /^mailmesh: NATS at 127\.0\.0\.1:\d+ refuses the user name, password or token\n$/);
    const stores = await openStores(loadConfig(at('right')), Date.now, { node: 'right' });
    await works(stores);
    await stores.close();
  } finally {
    await nats.close();
  }
});

test('two databases on one NATS do not hear each other', { skip, timeout: 60_000 }, async () => {
  const urls = ['x', 'y'].map((name) => withDatabase(mongo.url, `two-${name}${randomBytes(4).toString('hex')}`));
  const nodes: Node[] = [];
  const start = async (url: string, name: string): Promise<Node> => {
    const services = { MAILMESH_SERVICES: 'mailbox,search', MAILMESH_HTTP_PORT: '0' };
    const node = await startNode(loadConfig({ ...environment(url, one!.url, name), ...services }), { roles: 'all' });
    nodes.push(node);
    return node;
  };
  const spy = await connect({ servers: one!.url.replace('nats://', '') });
  const subjects = new Set<string>();
  spy.subscribe('>', { callback: (_error, { subject }) => void subjects.add(subject) });
  await spy.flush();
  try {
    // Of one name, and there before the others look for each other.
    const [x, y] = await Promise.all([start(urls[0]!, 'same'), start(urls[1]!, 'same')]);
    const [x2, y2] = await Promise.all([start(urls[0]!, 'x2'), start(urls[1]!, 'y2')]);
    await Promise.all([allSee([x!, x2!], 'mailbox', 2), allSee([y!, y2!], 'mailbox', 2)]);
    assert.deepEqual([...x!.context.mesh.everyNodeOf('mailbox')].sort(), ['same', 'x2']);
    assert.deepEqual([...y!.context.mesh.everyNodeOf('mailbox')].sort(), ['same', 'y2']);
    await spy.flush();
    const names = [x!, y!].map((node) => node.context.stores.mesh!.name);
    assert.notEqual(names[0], names[1]);
    // Those of NATS itself name streams, and inboxes are one connection's own.
    const ours = [...subjects].filter((subject) => !/^(\$JS|_INBOX)\./.test(subject));
    for (const name of names) assert.ok(ours.some((subject) => subject.endsWith(`${name}.DISCOVER`)));
    for (const subject of ours) assert.equal(names.filter((name) => subject.includes(name)).length, 1, subject);
    for (const node of nodes) assert.equal((await node.context.metrics.packetsDropped.get()).values[0]?.value ?? 0, 0);
  } finally {
    await Promise.all(nodes.map((node) => node.stop()));
    await spy.close();
  }
});
