/** Logins against a directory: guesses side by side are no way around the back-off, and right passwords stay cheap. */

import assert from 'node:assert/strict';
import { before, test } from 'node:test';
import pino from 'pino';
import type { AccountId } from '../../core/mail/ids.ts';
import type { Credential, Directory, DirectoryAccount } from '../../core/ports/directory.ts';
import type { AuthResult } from '../../core/sasl/authenticator.ts';
import { hashPassword } from '../../core/sasl/password.ts';
import { Throttle } from '../../core/sasl/throttle.ts';
import { DirectoryAuthenticator } from '../../mixins/authenticator.ts';
import { createMetrics } from '../../mixins/metrics.ts';

const ALICE: DirectoryAccount = {
  id: 'a1' as AccountId,
  address: 'alice@example.org',
  enabled: true,
  quotaBytes: null,
  quotaMessages: null,
  createdAt: 0,
  rev: 1,
  spam: { allow: [], block: [] },
};
const ATTEMPT = { remote: '192.0.2.1', protocol: 'imap' };
const FAILURES_FREE = 3;

let credential: Credential;
before(async () => {
  credential = await hashPassword('right', new Uint8Array(16));
});

function authenticator(): DirectoryAuthenticator {
  const directory = {
    resolve: async (address: string) => (address === ALICE.address ? [ALICE.id] : []),
    account: async () => ALICE,
    credential: async () => credential,
  } as unknown as Directory;
  const throttle = new Throttle({ failuresFree: FAILURES_FREE, firstWaitMs: 60_000, waitMaxMs: 60_000 });
  const log = pino({ level: 'silent' });
  return new DirectoryAuthenticator(
    { directory, domain: 'example.org', metrics: createMetrics(), log, now: () => 1_000_000 },
    throttle,
  );
}

const replyOf = (result: AuthResult): string => (result.ok ? 'ok' : result.reply);

test('guesses that are sent side by side meet the back-off like those sent one after the other', async () => {
  const auth = authenticator();
  const guesses = Array.from({ length: 20 }, (_, i) => auth.password(ATTEMPT, 'alice', `guess ${i}`, ''));
  const replies = (await Promise.all(guesses)).map(replyOf);
  const tried = replies.filter((reply) => reply === 'authenticationFailed').length;
  // One more may be at work when the last free one fails.
  assert.ok(tried <= FAILURES_FREE + 2, `${tried} guesses were tried`);
  assert.equal(replies.filter((reply) => reply === 'authenticationDelayed').length, 20 - tried);
});

test('a client that opens many connections at once gets in with all of them', async () => {
  const auth = authenticator();
  const logins = Array.from({ length: 20 }, () => auth.password(ATTEMPT, 'alice@example.org', 'right', ''));
  for (const result of await Promise.all(logins)) assert.equal(replyOf(result), 'ok');
});

test('a proof that comes after others have failed too often is not looked at', async () => {
  const auth = authenticator();
  await auth.scram(ATTEMPT, 'alice');
  for (let i = 0; i <= FAILURES_FREE; i++) await auth.scramDone(ATTEMPT, 'alice', '', false);
  assert.equal(replyOf(await auth.scramDone(ATTEMPT, 'alice', '', true)), 'authenticationDelayed');
});

test('nobody is let in by an empty password, another name, or as someone else', async () => {
  const auth = authenticator();
  assert.equal(replyOf(await auth.password(ATTEMPT, 'alice', '', '')), 'authenticationFailed');
  assert.equal(replyOf(await auth.password(ATTEMPT, 'mallory', 'right', '')), 'authenticationFailed');
  assert.equal(replyOf(await auth.password(ATTEMPT, 'alice', 'right', 'bob@example.org')), 'authorizationDenied');
});
