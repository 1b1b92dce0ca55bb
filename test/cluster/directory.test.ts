/** The cluster's directory keeps the port's promises, with two nodes at once and through the end of the server. */

import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { ClientError, TemporaryError } from '../../core/mail/errors.ts';
import type { Directory } from '../../core/ports/directory.ts';
import { ClusterDirectory } from '../../drivers/cluster/directory.ts';
import type { AddressDocument } from '../../drivers/cluster/directory-documents.ts';
import { EmbeddedDirectory } from '../../drivers/embedded/directory.ts';
import { directoryContract } from '../contract/directory.contract.ts';
import { account, alice, bob, credential, NOW, rejects, withTwo } from '../contract/directory-fixture.ts';
import { mongoServer } from '../support/cluster-servers.ts';
import { Database, interposed, missing, sharedServer } from './cluster-fixture.ts';

const archive = (folder: string) => new EmbeddedDirectory({ folder, now: () => NOW });

interface World {
  readonly database: Database;
  /** A node with a connection of its own. */
  node(name?: string, now?: () => number): Promise<ClusterDirectory>;
}

async function withNodes(work: (world: World) => Promise<void>, server = sharedServer()): Promise<void> {
  const database = await Database.create(await server);
  try {
    await work({
      database,
      node: async (name, now = () => NOW) => {
        const mongo = await database.connect();
        const directory = new ClusterDirectory({ mongo, now, archive, ...(name === undefined ? {} : { node: name }) });
        await directory.open();
        return directory;
      },
    });
  } finally {
    await database.dispose();
  }
}

if (missing === false)
  directoryContract('cluster', async () => {
    const root = await mkdtemp(join(tmpdir(), 'mailmesh-directory-'));
    const database = await Database.create(await sharedServer());
    const start = async () => {
      const directory = new ClusterDirectory({ mongo: await database.connect(), now: () => NOW, archive, node: 'a' });
      await directory.open();
      return directory;
    };
    const directory = await start();
    const copies: Directory[] = [];
    return {
      directory,
      reopen: start,
      fromBackup: async () => {
        await directory.backup(join(root, 'copy'));
        const copy = archive(join(root, 'copy'));
        await copy.open();
        copies.push(copy);
        return copy;
      },
      dispose: async () => {
        for (const copy of copies) await copy.close();
        await database.dispose();
        await rm(root, { recursive: true });
      },
    };
  });

const it = (goal: string, work: () => Promise<void>) =>
  void test(`cluster directory: ${goal}`, { skip: missing }, work);

const fulfilled = (results: readonly PromiseSettledResult<unknown>[]) =>
  results.filter((result) => result.status === 'fulfilled').length;

it('of two nodes that want one address for an account and an alias, one gets it', () =>
  withNodes(async ({ node }) => {
    const [a, b] = [await node(), await node()];
    for (let round = 0; round < 10; round++) {
      const address = `x${round}@example.org`;
      const results = await Promise.allSettled([
        a.addAccount(account(`a${round}`, { address }), credential('YQ==')),
        b.addAccount(account(`b${round}`, { address }), credential('YQ==')),
        b.addAlias({ address, accounts: [alice.id], createdAt: NOW }),
      ]);
      assert.equal(fulfilled(results), 1);
      assert.equal((await a.resolve(address)).length, 1);
    }
    const accounts = await a.accounts(null, 100);
    assert.equal(accounts.length, await b.countAccounts());
    assert.deepEqual(
      (await a.verify()).filter((damage) => !damage.detail.includes(alice.id)),
      [],
    );
  }));

it('a domain removed while addresses are added: who is refused has left nothing', () =>
  withNodes(async ({ node }) => {
    const [a, b] = [await node(), await node()];
    for (let round = 0; round < 12; round++) {
      const name = `d${round}.example`;
      await a.addDomain({ name, catchAll: null, createdAt: NOW });
      const [removal, ...adding] = await Promise.allSettled([
        a.removeDomain(name),
        b.addAccount(account(`u${round}`, { address: `u@${name}` }), credential('YQ==')),
        b.addAlias({ address: `v@${name}`, accounts: [alice.id], createdAt: NOW }),
      ]);
      assert.equal((await a.domain(name)) !== undefined, removal.status === 'rejected');
      const addresses = [...(await b.resolve(`u@${name}`)), ...(await b.resolve(`v@${name}`))].length;
      assert.equal(addresses, fulfilled(adding));
    }
  }));

it('an address whose domain goes just before it is claimed is refused', () =>
  withNodes(async ({ database, node }) => {
    const a = await node();
    await a.addDomain({ name: 'example.org', catchAll: null, createdAt: NOW });
    const mongo = interposed(await database.connect(), 'addresses', 'insertOne', () => a.removeDomain('example.org'));
    const b = new ClusterDirectory({ mongo, now: () => NOW, archive });
    await rejects(b.addAccount(alice, credential('YQ==')), 'conflict');
    assert.deepEqual(await a.resolve(alice.address), []);
    assert.equal(await a.account(alice.id), undefined);
  }));

it('a domain that gets an address just before it is deleted stays', () =>
  withNodes(async ({ database, node }) => {
    const a = await node();
    await a.addDomain({ name: 'example.org', catchAll: null, createdAt: NOW });
    const step = () => a.addAccount(alice, credential('YQ=='));
    const b = new ClusterDirectory({
      mongo: interposed(await database.connect(), 'domains', 'deleteOne', step),
      now: () => NOW,
      archive,
    });
    await rejects(b.removeDomain('example.org'), 'conflict');
    assert.equal((await a.domain('example.org'))?.name, 'example.org');
  }));

it('two moves to one address, and a new account that wants it: one gets it, the others keep what they had', () =>
  withNodes(async ({ node }) => {
    const [a, b] = [await node(), await node()];
    await withTwo(a);
    for (let round = 0; round < 8; round++) {
      const address = `x${round}@example.org`;
      const [before, after] = [await a.account(alice.id), await b.account(bob.id)];
      const moves = await Promise.allSettled([
        a.updateAccount({ ...before!, address }),
        b.updateAccount({ ...after!, address }),
        a.addAccount(account(`c${round}`, { address }), credential('YQ==')),
      ]);
      const winners = moves.filter((one) => one.status === 'fulfilled' && one.value !== false).length;
      assert(winners <= 1, `${winners} winners`);
      const targets = await b.resolve(address);
      assert.equal(targets.length, winners);
      for (const owner of [alice.id, bob.id]) {
        const now = (await a.account(owner))!;
        assert.deepEqual(await a.addressesOf(owner), [now.address]);
        assert.deepEqual(await b.resolve(now.address), [owner]);
      }
    }
    assert.deepEqual(await a.verify(), []);
  }));

it('an account moves from one address to the other at one moment, wherever a crash cuts it off', () =>
  withNodes(async ({ database, node }) => {
    const a = await node();
    await withTwo(a);
    const addresses = (await database.connect()).collection<AddressDocument>('addresses');
    const unsure = { sure: false, rev: alice.rev, nonce: 'n' };
    // As it is when the account itself is not changed yet…
    await addresses.insertOne({
      ...{ _id: 'new@example.org', kind: 'account', domain: 'example.org', accounts: [alice.id], createdAt: NOW },
      ...unsure,
    });
    await addresses.updateOne({ _id: alice.address }, { $set: unsure });
    const b = await node();
    assert.deepEqual(await b.resolve(alice.address), [alice.id]);
    assert.deepEqual(await b.resolve('new@example.org'), []);
    assert.deepEqual(await b.addressesOf(alice.id), [alice.address]);
    assert.deepEqual(await b.accounts(null, 10), [alice, bob]);
    assert.equal((await b.accountByAddress(alice.address))?.id, alice.id);
    // … the move can be made again …
    assert.equal(await b.updateAccount({ ...alice, address: 'new@example.org' }), true);
    assert.deepEqual(await b.resolve(alice.address), []);
    assert.deepEqual(await b.resolve('new@example.org'), [alice.id]);
    // … and one that was left half way does not keep the address from others, nor can it end afterwards.
    await addresses.insertOne({
      ...{ _id: 'third@example.org', kind: 'account', domain: 'example.org', accounts: [alice.id], createdAt: NOW },
      ...{ ...unsure, rev: alice.rev + 1 },
    });
    await b.addAlias({ address: 'third@example.org', accounts: [bob.id], createdAt: NOW });
    assert.equal(await a.updateAccount({ ...alice, rev: alice.rev + 1 }), false);
    assert.deepEqual(await b.resolve('third@example.org'), [bob.id]);
    assert.deepEqual(await b.verify(), []);
  }));

it('a removal that was cut off is finished by whoever opens the directory next', () =>
  withNodes(async ({ database, node }) => {
    const a = await node();
    await withTwo(a);
    await a.setCatchAll('example.org', alice.id);
    await a.addAlias({ address: 'both@example.org', accounts: [alice.id, bob.id], createdAt: NOW });
    const mongo = await database.connect();
    await mongo.collection('directoryRemovals').insertOne({ _id: alice.id });
    await mongo
      .collection<{ _id: string; removing: boolean }>('directoryAccounts')
      .updateOne({ _id: alice.id }, { $set: { removing: true } });
    assert.equal(await a.account(alice.id), undefined);
    assert.equal((await a.verify()).length, 1);
    const b = await node();
    assert.deepEqual(await b.resolve('both@example.org'), [bob.id]);
    assert.deepEqual(await b.resolve(alice.address), []);
    assert.equal((await b.domain('example.org'))?.catchAll, null);
    assert.deepEqual(await b.verify(), []);
  }));

it('what one node adds the other sees at once; what it changes, a second later at most', () =>
  withNodes(async ({ node }) => {
    let now = NOW;
    const [a, b] = [await node(), await node(undefined, () => now)];
    assert.deepEqual(await b.resolve(alice.address), []);
    assert.equal(await b.domain('example.org'), undefined);
    await withTwo(a);
    assert.deepEqual(await b.resolve(alice.address), [alice.id]);
    assert.equal((await b.domain('example.org'))?.name, 'example.org');
    await a.updateAccount({ ...alice, address: 'alicia@example.org', enabled: false });
    assert.equal((await b.account(alice.id))?.enabled, false);
    assert.equal(await b.accountByAddress(alice.address), undefined);
    assert.equal((await b.accountByAddress('alicia@example.org'))?.id, alice.id);
    now += 1000;
    assert.deepEqual(await b.resolve(alice.address), []);
    await a.setCredential(alice.id, credential('bmV3'));
    assert.deepEqual(await b.credential(alice.id), credential('bmV3'));
  }));

it('of two nodes under one idempotency key, one works', () =>
  withNodes(async ({ node }) => {
    const nodes = [await node(), await node()];
    for (let round = 0; round < 5; round++) {
      const key = `k${round}`;
      const answers = await Promise.all([0, 1, 0, 1].map((n) => nodes[n]!.once(key, 'r', NOW)));
      assert.equal(answers.filter((answer) => answer === undefined).length, 1);
      await nodes[round % 2]!.finishOnce(key, round);
      assert.equal(await nodes[0]!.once(key, 'r', NOW), round);
    }
  }));

it('another node’s request at work is not taken for one that was cut off', () =>
  withNodes(async ({ node }) => {
    const a = await node('a');
    assert.equal(await a.once('k', 'r', NOW), undefined);
    const b = await node('b');
    assert.equal(await b.once('k', 'r', NOW), null);
    await rejects(b.once('k', 'other', NOW), 'conflict');
  }));

it('ten nodes open at once', () =>
  withNodes(async ({ node }) => {
    const nodes = await Promise.all(Array.from({ length: 10 }, () => node()));
    await withTwo(nodes[0]!);
    assert.deepEqual(await nodes[9]!.resolve(alice.address), [alice.id]);
  }));

test('cluster directory: without a server every call is a TemporaryError, and made again changes nothing twice', {
  skip: missing === false && (process.env.MONGO_URL ?? '') !== '' ? 'MONGO_URL is not ours to kill' : missing,
}, async () => {
  const own = await mongoServer();
  try {
    await withNodes(async ({ node }) => {
      const a = await node();
      await withTwo(a);
      const adding = Array.from({ length: 10 }, (_, i) => account(`n${i}`));
      const before = Promise.allSettled(adding.map((one) => a.addAccount(one, credential('YQ=='))));
      await own.kill();
      for (const result of await before)
        assert(result.status === 'fulfilled' || result.reason instanceof TemporaryError, String(result));
      await assert.rejects(a.resolve('else@example.org'), TemporaryError);
      await assert.rejects(a.once('k', 'r', NOW), TemporaryError);
      await own.start();
      await Promise.all(adding.map((one) => a.addAccount(one, credential('YQ=='))));
      assert.equal(await a.countAccounts(), adding.length + 2);
      assert.deepEqual(await a.accounts('n', 100), adding);
      assert.equal(await a.once('k', 'r', NOW), undefined);
      await assert.rejects(a.addAccount({ ...adding[0]!, address: 'y@example.org' }, credential('YQ==')), ClientError);
      assert.deepEqual(await a.verify(), []);
    }, Promise.resolve(own));
  } finally {
    await own.close();
  }
});
