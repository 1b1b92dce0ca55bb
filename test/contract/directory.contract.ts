/** What every directory driver promises (core/ports/directory.ts). */

import assert from 'node:assert/strict';
import { directoryAccountsContract } from './directory-accounts.contract.ts';
import {
  account,
  alice,
  bob,
  casesOf,
  credential,
  type DirectoryFixture,
  NOW,
  rejects,
  withTwo,
} from './directory-fixture.ts';

const HOUR = 3_600_000;

export function directoryContract(driver: string, make: () => Promise<DirectoryFixture>): void {
  const it = casesOf(driver, make);
  directoryAccountsContract(it);

  it('a new directory is empty', async (d) => {
    assert.deepEqual(await d.domains(), []);
    assert.deepEqual(await d.accounts(null, 10), []);
    assert.deepEqual(await d.aliases(null, 10), []);
    assert.deepEqual(await d.apiKeys(), []);
    assert.equal(await d.countAccounts(), 0);
    assert.equal(await d.domain('example.org'), undefined);
    assert.deepEqual(await d.resolve('nobody@example.org'), []);
  });

  // Domains
  it('a domain added is found and listed by name', async (d) => {
    await d.addDomain({ name: 'b.example', catchAll: null, createdAt: NOW });
    await d.addDomain({ name: 'a.example', catchAll: alice.id, createdAt: NOW + 1 });
    assert.deepEqual(await d.domain('a.example'), { name: 'a.example', catchAll: alice.id, createdAt: NOW + 1 });
    assert.deepEqual(
      (await d.domains()).map((domain) => domain.name),
      ['a.example', 'b.example'],
    );
  });
  it('a domain asked for in vain is found once it is added', async (d) => {
    assert.equal(await d.domain('a.example'), undefined);
    await d.addDomain({ name: 'a.example', catchAll: null, createdAt: NOW });
    assert.equal((await d.domain('a.example'))?.name, 'a.example');
  });
  it('a domain that is there is not added again', async (d) => {
    await d.addDomain({ name: 'a.example', catchAll: null, createdAt: NOW });
    await rejects(d.addDomain({ name: 'a.example', catchAll: alice.id, createdAt: NOW }), 'mailboxExists');
    assert.equal((await d.domain('a.example'))?.catchAll, null);
  });
  it('of two that add one domain at once, one does', async (d) => {
    const domain = { name: 'a.example', catchAll: null, createdAt: NOW };
    const results = await Promise.allSettled([d.addDomain(domain), d.addDomain(domain)]);
    assert.deepEqual(results.map((result) => result.status).sort(), ['fulfilled', 'rejected']);
  });
  it('a catch-all is set and taken away', async (d) => {
    await d.addDomain({ name: 'a.example', catchAll: null, createdAt: NOW });
    assert.equal(await d.setCatchAll('a.example', alice.id), true);
    assert.equal((await d.domain('a.example'))?.catchAll, alice.id);
    assert.equal(await d.setCatchAll('a.example', null), true);
    assert.equal((await d.domain('a.example'))?.catchAll, null);
  });
  it('a catch-all of a domain that is not there is not set', async (d) => {
    assert.equal(await d.setCatchAll('a.example', alice.id), false);
    assert.equal(await d.domain('a.example'), undefined);
  });
  it('an empty domain is removed, once', async (d) => {
    await d.addDomain({ name: 'a.example', catchAll: null, createdAt: NOW });
    assert.equal(await d.removeDomain('a.example'), true);
    assert.equal(await d.domain('a.example'), undefined);
    assert.equal(await d.removeDomain('a.example'), false);
  });
  it('a domain with an account is not removed', async (d) => {
    await withTwo(d);
    await rejects(d.removeDomain('example.org'), 'conflict');
    await d.removeAccount(alice.id);
    await rejects(d.removeDomain('example.org'), 'conflict');
    await d.removeAccount(bob.id);
    assert.equal(await d.removeDomain('example.org'), true);
  });
  it('a domain with an alias is not removed', async (d) => {
    await withTwo(d);
    await d.addDomain({ name: 'a.example', catchAll: null, createdAt: NOW });
    await d.addAlias({ address: 'info@a.example', accounts: [alice.id], createdAt: NOW });
    await rejects(d.removeDomain('a.example'), 'conflict');
    await d.removeAlias('info@a.example');
    assert.equal(await d.removeDomain('a.example'), true);
  });
  it("a subdomain's addresses do not hold the domain", async (d) => {
    await d.addDomain({ name: 'example', catchAll: null, createdAt: NOW });
    await d.addAccount(account('x', { address: 'x@a.example' }), credential('YQ=='));
    assert.equal(await d.removeDomain('example'), true);
  });
  it('a quoted local part with an @ belongs to the domain behind the last one', async (d) => {
    await d.addDomain({ name: 'a.example', catchAll: null, createdAt: NOW });
    await d.addDomain({ name: 'b.example', catchAll: null, createdAt: NOW });
    await d.addAccount(account('x', { address: 'x@a.example@b.example' }), credential('YQ=='));
    assert.equal(await d.removeDomain('a.example'), true);
    await rejects(d.removeDomain('b.example'), 'conflict');
  });

  // Aliases
  it('an alias leads to its accounts in their order', async (d) => {
    await withTwo(d);
    await d.addAlias({ address: 'team@example.org', accounts: [bob.id, alice.id], createdAt: NOW + 5 });
    assert.deepEqual(await d.resolve('team@example.org'), [bob.id, alice.id]);
    const alias = { address: 'team@example.org', accounts: [bob.id, alice.id], createdAt: NOW + 5 };
    assert.deepEqual(await d.alias('team@example.org'), alias);
    assert.equal(await d.accountByAddress('team@example.org'), undefined);
  });
  it("an account's address is no alias", async (d) => {
    await withTwo(d);
    assert.equal(await d.alias(alice.address), undefined);
    assert.equal(await d.removeAlias(alice.address), false);
    assert.equal(await d.setAliasAccounts(alice.address, [bob.id]), false);
    assert.deepEqual(await d.resolve(alice.address), [alice.id]);
  });
  it('an alias is not made where an account or alias is', async (d) => {
    await withTwo(d);
    await rejects(d.addAlias({ address: alice.address, accounts: [bob.id], createdAt: NOW }), 'mailboxExists');
    await d.addAlias({ address: 'info@example.org', accounts: [alice.id], createdAt: NOW });
    await rejects(d.addAlias({ address: 'info@example.org', accounts: [bob.id], createdAt: NOW }), 'mailboxExists');
    assert.deepEqual(await d.resolve('info@example.org'), [alice.id]);
  });
  it('an alias is given other accounts in one step', async (d) => {
    await withTwo(d);
    await d.addAlias({ address: 'info@example.org', accounts: [alice.id], createdAt: NOW });
    assert.deepEqual(await d.resolve('info@example.org'), [alice.id]);
    assert.equal(await d.setAliasAccounts('info@example.org', [bob.id, alice.id]), true);
    assert.deepEqual(await d.resolve('info@example.org'), [bob.id, alice.id]);
    assert.equal((await d.alias('info@example.org'))?.createdAt, NOW);
    assert.equal(await d.setAliasAccounts('none@example.org', [bob.id]), false);
  });
  it('a removed alias is gone, once', async (d) => {
    await withTwo(d);
    await d.addAlias({ address: 'info@example.org', accounts: [alice.id], createdAt: NOW });
    assert.deepEqual(await d.resolve('info@example.org'), [alice.id]);
    assert.equal(await d.removeAlias('info@example.org'), true);
    assert.deepEqual(await d.resolve('info@example.org'), []);
    assert.equal(await d.removeAlias('info@example.org'), false);
  });
  it('aliases are listed by address in pages, accounts not among them', async (d) => {
    await withTwo(d);
    for (const name of ['z', 'y', 'x'])
      await d.addAlias({ address: `${name}@example.org`, accounts: [bob.id], createdAt: NOW });
    assert.deepEqual(
      (await d.aliases(null, 2)).map((alias) => alias.address),
      ['x@example.org', 'y@example.org'],
    );
    assert.deepEqual(
      (await d.aliases('y@example.org', 2)).map((alias) => alias.address),
      ['z@example.org'],
    );
  });
  it("an account's addresses are its own first, then its aliases", async (d) => {
    await withTwo(d);
    for (const name of ['zz', 'aa'])
      await d.addAlias({ address: `${name}@example.org`, accounts: [alice.id, bob.id], createdAt: NOW });
    assert.deepEqual(await d.addressesOf(bob.id), [bob.address, 'aa@example.org', 'zz@example.org']);
    assert.deepEqual(await d.addressesOf(account('carol').id), []);
  });

  // API keys
  it('an API key is found by its hash and listed, oldest first', async (d) => {
    const key = (id: string, at: number) =>
      ({ id, name: `key ${id}`, scope: 'read', hash: `hash-${id}`, createdAt: at, revoked: false }) as const;
    await d.addApiKey(key('b', NOW));
    await d.addApiKey({ ...key('a', NOW + 1), scope: 'admin' });
    assert.deepEqual(await d.apiKeyByHash('hash-b'), key('b', NOW));
    assert.equal((await d.apiKeyByHash('hash-a'))?.scope, 'admin');
    assert.equal(await d.apiKeyByHash('hash-c'), undefined);
    assert.deepEqual(
      (await d.apiKeys()).map((one) => one.id),
      ['b', 'a'],
    );
  });
  it('a revoked key stays listed as revoked, and a look-up says so at once', async (d) => {
    const key = { id: 'a', name: 'a', scope: 'admin', hash: 'h', createdAt: NOW, revoked: false } as const;
    await d.addApiKey(key);
    assert.equal((await d.apiKeyByHash('h'))?.revoked, false);
    assert.equal(await d.revokeApiKey('a'), true);
    assert.equal((await d.apiKeyByHash('h'))?.revoked, true);
    assert.equal((await d.apiKeys())[0]?.revoked, true);
    assert.equal(await d.revokeApiKey('a'), false);
    assert.equal(await d.revokeApiKey('b'), false);
  });

  // Idempotency
  it('the first under a key works, later ones get its answer', async (d) => {
    assert.equal(await d.once('k', 'r', NOW), undefined);
    assert.equal(await d.once('k', 'r', NOW + 1), null);
    await d.finishOnce('k', { id: 7, list: ['ü'] });
    assert.deepEqual(await d.once('k', 'r', NOW + 2), { id: 7, list: ['ü'] });
    assert.equal(await d.once('other', 'r', NOW), undefined);
  });
  it('of many at once under one key, exactly one works', async (d) => {
    const answers = await Promise.all(Array.from({ length: 20 }, () => d.once('k', 'r', NOW)));
    assert.equal(answers.filter((answer) => answer === undefined).length, 1);
    assert.equal(answers.filter((answer) => answer === null).length, 19);
  });
  it('another request under a used key is refused', async (d) => {
    await d.once('k', 'r1', NOW);
    await rejects(d.once('k', 'r2', NOW), 'conflict');
    await d.finishOnce('k', 1);
    await rejects(d.once('k', 'r2', NOW), 'conflict');
    assert.equal(await d.once('k', 'r1', NOW), 1);
  });
  it('a key whose request came to nothing is free for the next, whatever that asks', async (d) => {
    await d.once('k', 'r1', NOW);
    await d.finishOnce('k', undefined);
    assert.equal(await d.once('k', 'r2', NOW), undefined);
  });
  it('a key is free again after 24 hours', async (d) => {
    await d.once('k', 'r1', NOW);
    await d.finishOnce('k', 1);
    assert.equal(await d.once('k', 'r1', NOW + 24 * HOUR - 1), 1);
    assert.equal(await d.once('k', 'r2', NOW + 24 * HOUR), undefined);
  });
  it('a request that a crash cut off may be made again; a finished one is remembered', async (d, fixture) => {
    await d.once('cut', 'r', NOW);
    await d.once('done', 'r', NOW);
    await d.finishOnce('done', 'answer');
    const again = await fixture.reopen();
    assert.equal(await again.once('cut', 'r', NOW + 1), undefined);
    assert.equal(await again.once('done', 'r', NOW + 1), 'answer');
  });

  // Durability
  it('everything is there after a crash', async (d, fixture) => {
    await withTwo(d);
    await d.setCatchAll('example.org', bob.id);
    await d.addAlias({ address: 'info@example.org', accounts: [alice.id], createdAt: NOW });
    await d.addApiKey({ id: 'a', name: 'a', scope: 'read', hash: 'h', createdAt: NOW, revoked: false });
    const again = await fixture.reopen();
    assert.deepEqual(await again.account(alice.id), alice);
    assert.deepEqual(await again.credential(bob.id), credential('Yg=='));
    assert.equal((await again.domain('example.org'))?.catchAll, bob.id);
    assert.deepEqual(await again.resolve('info@example.org'), [alice.id]);
    assert.equal((await again.apiKeyByHash('h'))?.id, 'a');
  });
  it('a backup is a whole directory as it was then', async (d, fixture) => {
    await withTwo(d);
    const copy = await fixture.fromBackup();
    await d.removeAccount(alice.id);
    assert.deepEqual(await copy.account(alice.id), alice);
    assert.deepEqual(await copy.credential(alice.id), credential('YQ=='));
    await copy.addAccount(account('carol'), credential('Yw=='));
    assert.equal(await copy.countAccounts(), 3);
    assert.equal(await d.countAccounts(), 1);
  });
}
