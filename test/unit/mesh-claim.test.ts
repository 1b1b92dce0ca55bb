/** Which mesh has a database: nodes that run never stop, whatever becomes of NATS, and tell of another mesh when it lasts. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { MeshClaim } from '../../drivers/cluster/mesh-claim.ts';
import { NatsUnusable } from '../../drivers/cluster/nats.ts';

const TTL_MS = 10_000;

/** One database, and its clock. */
class World {
  now = 1_000_000;
  takes = 0;
  held: { owner: string; until: number } | undefined;
  readonly told: string[] = [];

  readonly locks = {
    take: async (_name: string, owner: string, ttlMs: number): Promise<boolean> => {
      this.takes++;
      if (this.held !== undefined && this.held.owner !== owner && this.held.until > this.now) return false;
      this.held = { owner, until: this.now + ttlMs };
      return true;
    },
    holder: async () => this.held,
  };

  /** @param at gives the NATS that the node is connected to; null for none */
  node(at: () => string | null, holder = this.locks.holder): MeshClaim {
    return new MeshClaim({
      ...{ locks: { ...this.locks, holder }, name: 'mesh', place: 'here:4222', now: () => this.now },
      identity: async () => at(),
      others: async () => ['a', 'b'],
      report: (event, { detail }) => this.told.push(`${event}: ${detail}`),
    });
  }
}

const LINE =
  'this node meets others at NATS at here:4222 (stream made two), but a, b of the same database at another (stream made one): ' +
  'give all nodes one MAILMESH_NATS_URL, or stop the others first';

test('a node that starts elsewhere is refused as soon as the lock is renewed', async () => {
  const world = new World();
  await world.node(() => 'one').join();
  const holder = async () => {
    world.now += 1_000;
    // A node of the first mesh.
    if (world.now === 1_006_000) world.held = { owner: 'one', until: world.now + TTL_MS };
    return world.held;
  };
  await assert.rejects(world.node(() => 'two', holder).join(), (error: Error) => {
    assert.ok(error instanceof NatsUnusable);
    assert.equal(error.message, LINE);
    return true;
  });
  assert.equal(world.held!.owner, 'one');
});

test('one that nobody renews is over when it runs out, and is taken', async () => {
  const world = new World();
  await world.node(() => 'one').join();
  const holder = async () => {
    world.now += 4_000;
    return world.held;
  };
  await world.node(() => 'two', holder).join();
  assert.equal(world.held!.owner, 'two');
});

test('without NATS a node starts, and keeps nothing for a NATS that it does not see', async () => {
  const world = new World();
  let at: string | null = 'one';
  const node = world.node(() => at);
  await node.join();
  const until = world.held!.until;
  at = null;
  await world.node(() => at).join();
  world.now += TTL_MS - 1;
  await node.renew();
  assert.equal(world.held!.until, until);
});

test('it is renewed when half of its time is over, by one node for all', async () => {
  const world = new World();
  const nodes = Array.from({ length: 5 }, () => world.node(() => 'one'));
  for (const node of nodes) await node.join();
  world.takes = 0;
  for (let ms = 0; ms < 60_000; ms += 3_000) {
    world.now += 3_000;
    for (const node of nodes) await node.renew();
    assert.ok(world.held!.until > world.now);
  }
  assert.equal(world.takes, 10);
});

test('a wiped NATS: nodes that run take the new one over without a word', async () => {
  const world = new World();
  let at = 'one';
  const nodes = Array.from({ length: 3 }, () => world.node(() => at));
  for (const node of nodes) await node.join();
  at = 'two';
  for (let ms = 0; ms < TTL_MS; ms += 3_000) {
    world.now += 3_000;
    for (const node of nodes) await node.renew();
  }
  assert.equal(world.held!.owner, 'two');
  assert.deepEqual([world.told, nodes.map(({ trouble }) => trouble)], [[], [null, null, null]]);
});

test('two meshes that both run already: the second tells of it once, and that it is over', async () => {
  const world = new World();
  const first = world.node(() => 'one');
  await first.join();
  let at: string | null = null;
  const second = world.node(() => at);
  await second.join();
  at = 'two';
  for (let ms = 0; ms < 60_000; ms += 3_000) {
    world.now += 3_000;
    await first.renew();
    await second.renew();
  }
  assert.deepEqual(world.told, [`mesh.split: ${LINE}`]);
  assert.deepEqual([first.trouble, second.trouble], [null, LINE]);
  at = 'one';
  await second.renew();
  assert.equal(second.trouble, null);
});
