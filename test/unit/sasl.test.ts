/** Goal: each mechanism reads what its RFC allows and nothing else, and passwords are kept so that they can be checked. */

import assert from 'node:assert/strict';
import { createHash, createHmac, pbkdf2Sync } from 'node:crypto';
import { test } from 'node:test';
import { accountId } from '../../core/mail/ids.ts';
import type { Authenticator, AuthResult, ScramSecret } from '../../core/sasl/authenticator.ts';
import { decodeBase64 } from '../../core/sasl/base64.ts';
import { saslServer } from '../../core/sasl/mechanism.ts';
import { hashPassword, INVENTED, inventedScram, scramSecret, verifyPassword } from '../../core/sasl/password.ts';
import { saslPrep } from '../../core/sasl/saslprep.ts';
import { scramSha256 } from '../../core/sasl/scram-sha-256.ts';
import type { SaslServer, SaslStep } from '../../core/sasl/step.ts';

const ATTEMPT = { remote: '192.0.2.7', protocol: 'test' };
const YES: AuthResult = { ok: true, account: accountId('a'), address: 'user@x.example' };
const NO: AuthResult = { ok: false, reply: 'authenticationFailed' };

interface Calls {
  readonly asked: string[][];
  readonly done: (string | boolean)[][];
}

function fake(secret?: ScramSecret): { authenticator: Authenticator; calls: Calls } {
  const calls: Calls = { asked: [], done: [] };
  return {
    calls,
    authenticator: {
      password: async (_attempt, authcid, password, authzid) => {
        calls.asked.push([authcid, password, authzid]);
        return YES;
      },
      scram: async (_attempt, authcid) => {
        calls.asked.push([authcid]);
        return secret ?? { reply: 'authenticationDelayed' };
      },
      scramDone: async (_attempt, authcid, authzid, proved) => {
        calls.done.push([authcid, authzid, proved]);
        return proved ? YES : NO;
      },
    },
  };
}

const noRandom = (length: number): Uint8Array => new Uint8Array(length);
const text = (step: SaslStep): string =>
  'challenge' in step ? Buffer.from(step.challenge).toString() : 'no challenge';
const say = (server: SaslServer, message: string): Promise<SaslStep> => server.step(Buffer.from(message));
const failure = (step: SaslStep): string => ('result' in step && !step.result.ok ? step.result.reply : 'none');

test('PLAIN takes both identities and the password as they are', async () => {
  const { authenticator, calls } = fake();
  const server = saslServer('plain', authenticator, ATTEMPT, noRandom)!;
  assert.equal(text(await server.step(null)), '');
  assert.deepEqual(await say(server, 'boss\0alice\0 pass word ü '), { result: YES });
  assert.deepEqual(calls.asked, [['alice', ' pass word ü ', 'boss']]);
});

test('PLAIN refuses what RFC 4616 does not have', async () => {
  const { authenticator, calls } = fake();
  const refused = async (bytes: Uint8Array): Promise<string> =>
    failure(await saslServer('PLAIN', authenticator, ATTEMPT, noRandom)!.step(bytes));
  for (const message of ['', 'a', 'a\0b', '\0a\0b\0c', '\0a\0b\0'])
    assert.equal(await refused(Buffer.from(message)), 'authenticationMalformed', JSON.stringify(message));
  assert.equal(await refused(Buffer.from([0, 0xff, 0, 0x41])), 'authenticationMalformed');
  for (const message of ['\0\0p', '\0a\0', '\0\0'])
    assert.equal(await refused(Buffer.from(message)), 'authenticationFailed', JSON.stringify(message));
  assert.deepEqual(calls.asked, []);
});

test('LOGIN asks twice, or once after an initial response', async () => {
  const { authenticator, calls } = fake();
  const server = saslServer('LOGIN', authenticator, ATTEMPT, noRandom)!;
  assert.equal(text(await server.step(null)), 'Username:');
  assert.equal(text(await say(server, 'alice')), 'Password:');
  assert.deepEqual(await say(server, ' p '), { result: YES });
  const short = saslServer('LOGIN', authenticator, ATTEMPT, noRandom)!;
  assert.equal(text(await say(short, 'alice')), 'Password:');
  assert.deepEqual(await say(short, ' p '), { result: YES });
  assert.deepEqual(calls.asked, [
    ['alice', ' p ', ''],
    ['alice', ' p ', ''],
  ]);
});

test('an unknown mechanism is null', () => {
  assert.equal(saslServer('CRAM-MD5', fake().authenticator, ATTEMPT, noRandom), null);
  assert.equal(saslServer('SCRAM-SHA-256-PLUS', fake().authenticator, ATTEMPT, noRandom), null);
});

const hmac = (key: Uint8Array, data: string): Buffer => createHmac('sha256', key).update(data).digest();
const sha256 = (data: Uint8Array): Buffer => createHash('sha256').update(data).digest();

function secretOf(password: string, salt: Uint8Array, iterations: number): ScramSecret {
  const salted = pbkdf2Sync(password, salt, iterations, 32, 'sha256');
  return { iterations, salt, storedKey: sha256(hmac(salted, 'Client Key')), serverKey: hmac(salted, 'Server Key') };
}

/** The exchange of RFC 7677 §3. */
const SALT = Buffer.from('W22ZaJ0SNY7soEsUEjb6gQ==', 'base64');
const CLIENT_NONCE = 'rOprNGfwEbeRWgbNEkqO';
const SERVER_NONCE = '%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0';
const NONCE = CLIENT_NONCE + SERVER_NONCE;
const PENCIL = secretOf('pencil', SALT, 4096);
const FINAL = `c=biws,r=${NONCE},p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=`;

test('SCRAM-SHA-256 plays the exchange of RFC 7677 §3', async () => {
  const { authenticator, calls } = fake(PENCIL);
  const server = scramSha256(authenticator, ATTEMPT, SERVER_NONCE);
  assert.equal(text(await server.step(null)), '');
  const first = text(await say(server, `n,,n=user,r=${CLIENT_NONCE}`));
  assert.equal(first, `r=${NONCE},s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096`);
  const last = await say(server, FINAL);
  assert.ok('result' in last);
  assert.deepEqual(last.result, YES);
  assert.equal(Buffer.from(last.final!).toString(), 'v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=');
  assert.deepEqual(calls, { asked: [['user']], done: [['user', '', true]] });
});

/** What an honest client answers (RFC 5802 §3). */
function clientFinal(password: string, gs2: string, bare: string, serverFirst: string): string {
  const [nonce, salt, iterations] = serverFirst.split(',').map((part) => part.slice(2));
  const salted = pbkdf2Sync(password, Buffer.from(salt!, 'base64'), Number(iterations), 32, 'sha256');
  const clientKey = hmac(salted, 'Client Key');
  const withoutProof = `c=${Buffer.from(gs2).toString('base64')},r=${nonce}`;
  const signature = hmac(sha256(clientKey), `${bare},${serverFirst},${withoutProof}`);
  return `${withoutProof},p=${Buffer.from(clientKey.map((byte, i) => byte ^ signature[i]!)).toString('base64')}`;
}

test('SCRAM takes y, an authorization identity, quoted names and unknown extensions', async () => {
  const { authenticator, calls } = fake(PENCIL);
  const server = scramSha256(authenticator, ATTEMPT, SERVER_NONCE);
  const gs2 = 'y,a=bo=2Css,';
  const bare = `n=a=3Db=2Cc,r=${CLIENT_NONCE},x=whatever`;
  const first = text(await say(server, gs2 + bare));
  const last = await say(server, clientFinal('pencil', gs2, bare, first));
  assert.ok('result' in last && last.result.ok);
  assert.deepEqual(calls, { asked: [['a=b,c']], done: [['a=b,c', 'bo,ss', true]] });
});

test('SCRAM fails for a wrong password, binding or nonce, and tells the authenticator', async () => {
  const gs2 = 'n,,';
  const bare = `n=user,r=${CLIENT_NONCE}`;
  const wrong = [
    (first: string): string => clientFinal('pencils', gs2, bare, first),
    (first: string): string => clientFinal('pencil', 'y,,', bare, first),
    (first: string): string => clientFinal('pencil', gs2, bare, first.replace(NONCE, `${NONCE}x`)),
    (): string => FINAL.replace('dHzb', 'AAAA'),
    (): string => `c=biws,r=${NONCE},p=AAAA`,
  ];
  for (const [index, answer] of wrong.entries()) {
    const { authenticator, calls } = fake(PENCIL);
    const server = scramSha256(authenticator, ATTEMPT, SERVER_NONCE);
    const first = text(await say(server, gs2 + bare));
    assert.deepEqual(await say(server, answer(first)), { result: NO }, `answer ${index}`);
    assert.deepEqual(calls.done, [['user', '', false]]);
  }
});

test('SCRAM refuses what RFC 5802 §7 does not have', async () => {
  const malformed = [
    '',
    'n',
    'n,,',
    `p=tls-unique,,n=user,r=${CLIENT_NONCE}`,
    `x,,n=user,r=${CLIENT_NONCE}`,
    `n,b=x,n=user,r=${CLIENT_NONCE}`,
    `n,,n=us=er,r=${CLIENT_NONCE}`,
    `n,,n=,r=${CLIENT_NONCE}`,
    `n,,m=ext,n=user,r=${CLIENT_NONCE}`,
    `n,,r=${CLIENT_NONCE},n=user`,
    'n,,n=user,r=',
    'n,,n=user,r=with space',
    `n,,n=user,r=${'x'.repeat(600)}`,
    `n,,n=user,r=${CLIENT_NONCE},nonsense`,
  ];
  for (const message of malformed) {
    const server = scramSha256(fake(PENCIL).authenticator, ATTEMPT, SERVER_NONCE);
    assert.equal(failure(await say(server, message)), 'authenticationMalformed', message);
  }
  for (const message of ['', 'nonsense', `c=biws,r=${NONCE}`, `c=biws,r=${NONCE},p=!!!!`]) {
    const server = scramSha256(fake(PENCIL).authenticator, ATTEMPT, SERVER_NONCE);
    await say(server, `n,,n=user,r=${CLIENT_NONCE}`);
    assert.equal(failure(await say(server, message)), 'authenticationMalformed', message);
  }
  const held = scramSha256(fake().authenticator, ATTEMPT, SERVER_NONCE);
  assert.equal(failure(await say(held, `n,,n=user,r=${CLIENT_NONCE}`)), 'authenticationDelayed');
});

test('server nonces come from the random bytes', async () => {
  const server = saslServer('SCRAM-SHA-256', fake(PENCIL).authenticator, ATTEMPT, noRandom)!;
  assert.match(text(await say(server, 'n,,n=user,r=abc')), /^r=abcA{24},s=/);
});

test('a password is known again by scrypt and by SCRAM, and no other one is', async () => {
  const password = ' pässword with spaces ';
  const credential = await hashPassword(password, Buffer.alloc(16, 3));
  assert.match(credential.scrypt, /^\$scrypt\$ln=15,r=8,p=1\$[A-Za-z0-9+/=]+\$[A-Za-z0-9+/=]+$/);
  assert.equal(await verifyPassword(password, credential), true);
  assert.equal(await verifyPassword(password.trim(), credential), false);
  assert.ok(credential.scram.iterations >= 4096);
  assert.notEqual(credential.scram.salt, Buffer.alloc(16, 3).toString('base64'));
  const secret = scramSecret(credential);
  assert.deepEqual(secret, secretOf(password, secret.salt, secret.iterations));
  assert.equal(await verifyPassword(password.normalize('NFD'), credential), true, 'typed on another keyboard');
});

test('a broken credential and a short salt are faults', async () => {
  await assert.rejects(verifyPassword('x', { ...INVENTED, scrypt: 'plain:x' }), { name: 'Fault' });
  await assert.rejects(hashPassword('x', new Uint8Array(8)), { name: 'Fault' });
});

test('nobody has a password, and stable keys of their own', async () => {
  assert.equal(await verifyPassword('', INVENTED), false);
  const secret = Buffer.alloc(32, 1);
  assert.deepEqual(inventedScram(secret, 'a'), inventedScram(secret, 'a'));
  assert.notDeepEqual(inventedScram(secret, 'a').salt, inventedScram(secret, 'b').salt);
  assert.equal(inventedScram(secret, 'a').iterations, INVENTED.scram.iterations, 'as real ones have');
});

test('base64 is strict', () => {
  assert.deepEqual(decodeBase64(''), Buffer.alloc(0));
  assert.deepEqual(decodeBase64('AAEC'), Buffer.from([0, 1, 2]));
  for (const bad of ['=', '=AAA', 'AAA=BBB=', 'AAA', 'AA A', 'AAAA\n', 'A===', '!AAA', 'AA-_'])
    assert.equal(decodeBase64(bad), null, JSON.stringify(bad));
});

test('SASLprep plays the examples of RFC 4013 §3, and leaves what it prohibits', () => {
  assert.equal(saslPrep('I\u00adX'), 'IX');
  assert.equal(saslPrep('user'), 'user');
  assert.equal(saslPrep('USER'), 'USER');
  assert.equal(saslPrep('\u00aa'), 'a');
  assert.equal(saslPrep('\u2168'), 'IX');
  assert.equal(saslPrep('\u0007'), '\u0007');
  assert.equal(saslPrep('a\u00a0b '), 'a b ');
  assert.equal(saslPrep('\u00ad'), '\u00ad');
});
