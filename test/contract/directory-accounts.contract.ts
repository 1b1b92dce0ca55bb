/** What every directory driver promises about accounts and their credentials (core/ports/directory.ts). */

import assert from 'node:assert/strict';
import { account, alice, bob, type Case, credential, NOW, rejects, withTwo } from './directory-fixture.ts';

export function directoryAccountsContract(it: Case): void {
  // Accounts
  it('an account added is found by id, by address and as a recipient', async (d) => {
    const full = account('carol', {
      enabled: false,
      quotaBytes: 5 * 2 ** 30,
      quotaMessages: 1000,
      rev: 3,
      spam: { allow: ['@good.example'], block: ['bad@bad.example'] },
    });
    await d.addAccount(full, credential('Yw=='));
    assert.deepEqual(await d.account(full.id), full);
    assert.deepEqual(await d.accountByAddress(full.address), full);
    assert.deepEqual(await d.resolve(full.address), [full.id]);
    assert.deepEqual(await d.addressesOf(full.id), [full.address]);
  });
  it('an account asked for in vain is found once it is added', async (d) => {
    assert.deepEqual(await d.resolve(alice.address), []);
    assert.equal(await d.accountByAddress(alice.address), undefined);
    await withTwo(d);
    assert.deepEqual(await d.resolve(alice.address), [alice.id]);
    assert.equal((await d.accountByAddress(alice.address))?.id, alice.id);
  });
  it('an address is found as it is written only: the caller has normalised it', async (d) => {
    await withTwo(d);
    assert.deepEqual(await d.resolve('Alice@example.org'), []);
    assert.deepEqual(await d.resolve('alice@example.org '), []);
  });
  it('strange addresses are only text', async (d) => {
    const addresses = [
      "o'brien@example.org",
      '"a; DROP TABLE account--"@example.org',
      '%@example.org',
      'ü\u0000x@example.org',
    ];
    for (const [i, address] of addresses.entries()) {
      const strange = account(`s${i}`, { address });
      await d.addAccount(strange, credential('YQ=='));
      assert.deepEqual(await d.resolve(address), [strange.id], address);
    }
    assert.equal(await d.countAccounts(), addresses.length);
  });
  it('an address that is taken is not given again', async (d) => {
    await withTwo(d);
    await rejects(d.addAccount(account('carol', { address: alice.address }), credential('Yw==')), 'mailboxExists');
    assert.equal(await d.countAccounts(), 2);
    assert.equal(await d.account(account('carol').id), undefined);
  });
  it('an id that is taken is not given again', async (d) => {
    await withTwo(d);
    await rejects(d.addAccount({ ...alice, address: 'new@example.org' }, credential('Yw==')), 'mailboxExists');
    assert.deepEqual(await d.resolve('new@example.org'), []);
  });
  it("an alias's address is not given to an account", async (d) => {
    await withTwo(d);
    await d.addAlias({ address: 'info@example.org', accounts: [alice.id], createdAt: NOW });
    await rejects(d.addAccount(account('info'), credential('aQ==')), 'mailboxExists');
    assert.deepEqual(await d.resolve('info@example.org'), [alice.id]);
  });
  it('of many that add one address at once, exactly one does', async (d) => {
    // Names of one length: ids are made of them, and an account that is added again has its own address.
    const tries = Array.from({ length: 20 }, (_, i) =>
      d.addAccount(account(`t${10 + i}`, { address: 'one@example.org' }), credential('YQ==')),
    );
    const results = await Promise.allSettled(tries);
    assert.equal(results.filter((result) => result.status === 'fulfilled').length, 1);
    assert.equal((await d.resolve('one@example.org')).length, 1);
  });
  it('accounts are listed by address in pages', async (d) => {
    for (const name of ['e', 'b', 'd', 'a', 'c']) await d.addAccount(account(name), credential('YQ=='));
    const first = await d.accounts(null, 2);
    assert.deepEqual(
      first.map((one) => one.address),
      ['a@example.org', 'b@example.org'],
    );
    const rest = await d.accounts(first[1]!.address, 10);
    assert.deepEqual(
      rest.map((one) => one.address),
      ['c@example.org', 'd@example.org', 'e@example.org'],
    );
    assert.deepEqual(await d.accounts('e@example.org', 10), []);
    assert.equal(await d.countAccounts(), 5);
  });
  it('an update takes effect and raises rev by one', async (d) => {
    await withTwo(d);
    const update = { ...alice, enabled: false, quotaBytes: 7, quotaMessages: 8, spam: { allow: ['x@y.z'], block: [] } };
    assert.equal(await d.updateAccount(update), true);
    assert.deepEqual(await d.account(alice.id), { ...update, rev: alice.rev + 1 });
    assert.deepEqual(await d.accountByAddress(alice.address), { ...update, rev: alice.rev + 1 });
  });
  it('an update with an old rev changes nothing', async (d) => {
    await withTwo(d);
    await d.updateAccount({ ...alice, quotaBytes: 1 });
    assert.equal(await d.updateAccount({ ...alice, quotaBytes: 2 }), false);
    assert.equal((await d.account(alice.id))?.quotaBytes, 1);
  });
  it('of many updates from one rev, exactly one takes effect', async (d) => {
    await withTwo(d);
    const results = await Promise.all(
      Array.from({ length: 20 }, (_, i) => d.updateAccount({ ...alice, quotaBytes: i })),
    );
    assert.equal(results.filter(Boolean).length, 1);
    assert.equal((await d.account(alice.id))?.rev, alice.rev + 1);
  });
  it('an update of no account is false', async (d) => {
    assert.equal(await d.updateAccount(alice), false);
  });
  it('a new primary address replaces the old one', async (d) => {
    await withTwo(d);
    assert.equal(await d.updateAccount({ ...alice, address: 'alicia@example.org' }), true);
    assert.deepEqual(await d.resolve(alice.address), []);
    assert.deepEqual(await d.resolve('alicia@example.org'), [alice.id]);
    assert.deepEqual(await d.addressesOf(alice.id), ['alicia@example.org']);
  });
  it('a new primary address that is taken is refused and changes nothing', async (d) => {
    await withTwo(d);
    await rejects(d.updateAccount({ ...alice, address: bob.address }), 'mailboxExists');
    assert.deepEqual(await d.account(alice.id), alice);
    assert.deepEqual(await d.resolve(alice.address), [alice.id]);
  });
  it('a removed account is gone under all of its names, once', async (d) => {
    await withTwo(d);
    assert.equal(await d.removeAccount(alice.id), true);
    assert.equal(await d.account(alice.id), undefined);
    assert.equal(await d.accountByAddress(alice.address), undefined);
    assert.deepEqual(await d.resolve(alice.address), []);
    assert.equal(await d.credential(alice.id), undefined);
    assert.equal(await d.removeAccount(alice.id), false);
    assert.deepEqual(await d.resolve(bob.address), [bob.id]);
  });
  it("a removed account's address can be given again", async (d) => {
    await withTwo(d);
    await d.removeAccount(alice.id);
    const again = account('again', { address: alice.address });
    await d.addAccount(again, credential('YQ=='));
    assert.deepEqual(await d.resolve(alice.address), [again.id]);
  });
  it('a removed account leaves its aliases and catch-alls', async (d) => {
    await withTwo(d);
    await d.setCatchAll('example.org', alice.id);
    await d.addAlias({ address: 'both@example.org', accounts: [alice.id, bob.id], createdAt: NOW });
    await d.addAlias({ address: 'only@example.org', accounts: [alice.id], createdAt: NOW });
    await d.removeAccount(alice.id);
    assert.deepEqual(await d.resolve('both@example.org'), [bob.id]);
    assert.deepEqual(await d.resolve('only@example.org'), []);
    assert.equal(await d.alias('only@example.org'), undefined);
    assert.equal((await d.domain('example.org'))?.catchAll, null);
  });

  // Credentials
  it("an account's credential is what it was given", async (d) => {
    await withTwo(d);
    assert.deepEqual(await d.credential(alice.id), credential('YQ=='));
    assert.deepEqual(await d.credential(bob.id), credential('Yg=='));
    assert.equal(await d.credential(account('carol').id), undefined);
  });
  it('a new credential replaces the old one and nothing else', async (d) => {
    await withTwo(d);
    assert.deepEqual(await d.credential(alice.id), credential('YQ=='));
    assert.equal(await d.setCredential(alice.id, credential('bmV3')), true);
    assert.deepEqual(await d.credential(alice.id), credential('bmV3'));
    assert.deepEqual(await d.account(alice.id), alice);
    assert.deepEqual(await d.credential(bob.id), credential('Yg=='));
  });
  it('no account, no credential', async (d) => {
    assert.equal(await d.setCredential(alice.id, credential('YQ==')), false);
  });
}
