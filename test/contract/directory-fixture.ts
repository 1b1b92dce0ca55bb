/** Shared by the directory's contract suites: what a driver gives them, and the accounts they speak of. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ClientError } from '../../core/mail/errors.ts';
import { accountId } from '../../core/mail/ids.ts';
import type { Credential, Directory, DirectoryAccount } from '../../core/ports/directory.ts';

export interface DirectoryFixture {
  readonly directory: Directory;
  /** Ends this one as a crash would and opens another on the same data. */
  reopen(): Promise<Directory>;
  /** Opens a directory on a backup that `directory` made into a new place. */
  fromBackup(): Promise<Directory>;
  dispose(): Promise<void>;
}

export const NOW = 1_790_000_000_000;

export const credential = (salt: string): Credential => ({
  scrypt: `$scrypt$ln=14,r=8,p=1$${salt}$aGFzaA`,
  scram: { iterations: 4096, salt, storedKey: 'c3RvcmVk', serverKey: 'c2VydmVy' },
});

export function account(name: string, more: Partial<DirectoryAccount> = {}): DirectoryAccount {
  return {
    id: accountId(name.padEnd(16, '0').slice(0, 16)),
    address: `${name}@example.org`,
    enabled: true,
    quotaBytes: null,
    quotaMessages: null,
    createdAt: NOW,
    rev: 1,
    spam: { allow: [], block: [] },
    ...more,
  };
}

export const alice = account('alice');
export const bob = account('bob');

export const rejects = (promise: Promise<unknown>, reply: string): Promise<void> =>
  assert.rejects(promise, (error: unknown) => {
    assert(error instanceof ClientError, String(error));
    assert.equal(error.reply, reply);
    return true;
  });

export type Case = (goal: string, body: (directory: Directory, fixture: DirectoryFixture) => Promise<void>) => void;

/** Declares tests that each get a new directory. */
export const casesOf =
  (driver: string, make: () => Promise<DirectoryFixture>): Case =>
  (goal, body) => {
    test(`${driver}: ${goal}`, async () => {
      const fixture = await make();
      try {
        await body(fixture.directory, fixture);
      } finally {
        await fixture.dispose();
      }
    });
  };

export async function withTwo(directory: Directory): Promise<void> {
  await directory.addDomain({ name: 'example.org', catchAll: null, createdAt: NOW });
  await directory.addAccount(alice, credential('YQ=='));
  await directory.addAccount(bob, credential('Yg=='));
}
