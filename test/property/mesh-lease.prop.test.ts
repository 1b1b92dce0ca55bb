/** The rules of leases: who holds, who lets go, and how long is waited; then several nodes that follow them. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { givesBack, heldUntil, LEASE, retryAfter, writeStep } from '../../core/mesh/lease.ts';

const time = fc.integer({ min: 0, max: 100_000 });
const random = fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true });

test('only a node that routing names, and that does not drain, writes or asks for a lease', () => {
  fc.assert(
    fc.property(time, time, fc.boolean(), fc.boolean(), (until, now, mine, draining) => {
      const step = writeStep({ until, now, mine, draining });
      assert.equal(step === 'decline', !mine || draining);
      if (step === 'write') assert.ok(until - now >= LEASE.renewMs);
      if (step === 'renew') assert.ok(until > now && until - now < LEASE.renewMs);
      if (step === 'take') assert.ok(until <= now);
    }),
  );
});

test('a lease is given back exactly when it is held, nothing runs under it, and the account is another’s', () => {
  const now = 10;
  for (const mine of [true, false])
    for (const draining of [true, false])
      for (const running of [0, 1])
        for (const until of [0, 10, 11]) {
          const expected = until === 11 && running === 0 && (!mine || draining);
          assert.equal(givesBack({ until, now, mine, draining }, running), expected);
        }
});

test('a lease never lasts longer for its holder than for the store', () => {
  fc.assert(
    fc.property(time, time, time, fc.integer({ min: -300_000, max: 300_000 }), (askedAt, there, back, skew) => {
      // The store grants it when the request arrives, and its clock differs from the node's by the skew.
      const grantedAt = askedAt + there;
      const ends = grantedAt + skew + LEASE.ttlMs;
      assert.ok(heldUntil(askedAt) + skew <= ends);
      assert.ok(heldUntil(askedAt) <= grantedAt + back + LEASE.ttlMs);
    }),
  );
});

test('who wants the lease of a node that is gone takes it soon, at its end at the latest, and not all at the same time', () => {
  fc.assert(
    fc.property(time, fc.nat(40), random, (leftMs, tries, r) => {
      const wait = retryAfter({ leftMs, lives: false }, tries, r);
      assert.ok(wait >= 0 && wait <= leftMs && wait <= LEASE.spreadMs);
    }),
  );
  const [soon, late] = [0.1, 0.9].map((r) => retryAfter({ leftMs: 5_000, lives: false }, 0, r));
  assert.ok(late! - soon! > LEASE.spreadMs / 2);
});

test('who waits for a living node asks soon, then less often, and never much after the lease has run out', () => {
  fc.assert(
    fc.property(time, fc.nat(60), random, (leftMs, tries, r) => {
      const wait = retryAfter({ leftMs, lives: true }, tries, r);
      assert.ok(wait >= 0 && wait <= LEASE.retryMsMax * 1.5 && wait <= leftMs + LEASE.retryMs);
      assert.ok(wait <= retryAfter({ leftMs, lives: true }, tries + 1, r));
    }),
  );
  assert.ok(retryAfter({ leftMs: 6_000, lives: true }, 0, 0.5) <= 2 * LEASE.retryMs);
  assert.ok(retryAfter({ leftMs: -3, lives: true }, 0, 0) === 0);
});

/** One account in a store that grants as the port says, and nodes whose clocks and views differ. */
class World {
  now = 0;
  holder = -1;
  epoch = 0;
  ends = 0;
  readonly until: number[];
  readonly held: number[];

  constructor(nodes: number) {
    this.until = Array.from({ length: nodes }, () => 0);
    this.held = Array.from({ length: nodes }, () => 0);
  }

  /** A write that arrives at a node; whether it was done. */
  write(node: number, mine: boolean, skew: number): boolean {
    const clock = this.now + skew;
    const step = writeStep({ until: this.until[node]!, now: clock, mine, draining: false });
    if (step === 'decline') {
      if (givesBack({ until: this.until[node]!, now: clock, mine, draining: false }, 0)) this.#release(node);
      return false;
    }
    if (step !== 'write') {
      if (this.holder !== node && this.holder >= 0 && this.now < this.ends) return false;
      if (this.holder !== node) this.epoch++;
      this.holder = node;
      this.ends = this.now + LEASE.ttlMs;
      this.until[node] = heldUntil(clock);
      this.held[node] = this.epoch;
    }
    return this.held[node] === this.epoch;
  }

  #release(node: number): void {
    this.until[node] = 0;
    if (this.holder === node) this.holder = -1;
  }
}

test('whatever the views and clocks were, once they agree the owner gets the lease within its time and keeps it', () => {
  const event = fc.record({ node: fc.nat(3), mine: fc.boolean(), after: fc.nat(4_000) });
  fc.assert(
    fc.property(
      fc.array(event, { maxLength: 60 }),
      fc.array(fc.integer({ min: 0, max: 1e6 }), { minLength: 4, maxLength: 4 }),
      (events, skews) => {
        const world = new World(4);
        for (const { node, mine, after } of events) {
          world.now += after;
          world.write(node, mine, skews[node]!);
        }
        // From here on all views name node 0; the others still live but hear nothing, as after a partition.
        const settled = world.now + LEASE.ttlMs;
        world.now = settled;
        assert.ok(world.write(0, true, skews[0]!));
        for (let i = 0; i < 20; i++) {
          world.now += 997;
          assert.equal(world.write(1 + (i % 3), false, skews[1 + (i % 3)]!), false);
          assert.ok(world.write(0, true, skews[0]!));
        }
      },
    ),
  );
});

test('no two nodes ever believe at the same time that they hold the lease', () => {
  const event = fc.record({ node: fc.nat(2), mine: fc.boolean(), after: fc.nat(3_000) });
  fc.assert(
    fc.property(fc.array(event, { maxLength: 100 }), (events) => {
      const world = new World(3);
      for (const { node, mine, after } of events) {
        world.now += after;
        world.write(node, mine, 0);
        assert.ok(world.until.filter((until) => until > world.now).length <= 1);
      }
    }),
  );
});
