/**
 * Passwords as they are kept: an scrypt hash for mechanisms that show the password, and the SCRAM-SHA-256 keys for the
 * one that does not. Checking takes the same time whatever the answer; `INVENTED` and `inventedScram` let a check of a
 * user who does not exist take that time too.
 */

import { createHash, createHmac, pbkdf2, scrypt, timingSafeEqual } from 'node:crypto';
import { promisify } from 'node:util';
import { Fault } from '../mail/errors.ts';
import type { Credential } from '../ports/directory.ts';
import type { ScramSecret } from './authenticator.ts';
import { saslPrep } from './saslprep.ts';

const LOG2_N = 15;
const BLOCK_SIZE = 8;
const PARALLELIZATION = 1;
const HASH_BYTES = 32;
const SALT_BYTES_MIN = 16;
/** RFC 7677 §4 names 15,000 as the rule of thumb; its least is 4,096. */
const SCRAM_ITERATIONS = 15_000;

interface ScryptParameters {
  readonly log2N: number;
  readonly r: number;
  readonly p: number;
}

const pbkdf2Async = promisify(pbkdf2);

function scryptHash(password: string, salt: Uint8Array, { log2N, r, p }: ScryptParameters): Promise<Buffer> {
  // scrypt needs 128·N·r bytes, which is node's default limit for these parameters, and a little more.
  const options = { N: 2 ** log2N, r, p, maxmem: 256 * 2 ** log2N * r };
  return new Promise((resolve, reject) => {
    scrypt(saslPrep(password), salt, HASH_BYTES, options, (error, hash) => (error ? reject(error) : resolve(hash)));
  });
}

const hmac = (key: Uint8Array, data: string): Buffer => createHmac('sha256', key).update(data).digest();
const sha256 = (data: Uint8Array | string): Buffer => createHash('sha256').update(data).digest();

/** StoredKey and ServerKey, RFC 5802 §3. */
async function scramKeys(password: string, salt: Uint8Array, iterations: number): Promise<ScramSecret> {
  const salted = await pbkdf2Async(saslPrep(password), salt, iterations, 32, 'sha256');
  return {
    iterations,
    salt,
    storedKey: sha256(hmac(salted, 'Client Key')),
    serverKey: hmac(salted, 'Server Key'),
  };
}

const base64 = (bytes: Uint8Array): string => Buffer.from(bytes).toString('base64');

/** A credential from a password and at least 16 random bytes. */
export async function hashPassword(password: string, saltBytes: Uint8Array): Promise<Credential> {
  if (saltBytes.length < SALT_BYTES_MIN) throw new Fault('a salt is too short', { bytes: saltBytes.length });
  const parameters = { log2N: LOG2_N, r: BLOCK_SIZE, p: PARALLELIZATION };
  // SCRAM's salt is shown to whoever asks, so it is another one that tells nothing of the first.
  const scramSalt = hmac(saltBytes, 'SCRAM salt').subarray(0, 16);
  const [hash, scram] = await Promise.all([
    scryptHash(password, saltBytes, parameters),
    scramKeys(password, scramSalt, SCRAM_ITERATIONS),
  ]);
  return {
    scrypt: `$scrypt$ln=${LOG2_N},r=${BLOCK_SIZE},p=${PARALLELIZATION}$${base64(saltBytes)}$${base64(hash)}`,
    scram: {
      iterations: scram.iterations,
      salt: base64(scram.salt),
      storedKey: base64(scram.storedKey),
      serverKey: base64(scram.serverKey),
    },
  };
}

const NOTATION = /^\$scrypt\$ln=(\d{1,2}),r=(\d{1,2}),p=(\d{1,2})\$([A-Za-z0-9+/=]+)\$([A-Za-z0-9+/=]+)$/;

/** Whether it is the password. Rejects with a Fault when the credential can't be read. */
export async function verifyPassword(password: string, credential: Credential): Promise<boolean> {
  const match = NOTATION.exec(credential.scrypt);
  if (match === null) throw new Fault('a stored password has an unknown notation');
  const [, log2N, r, p, salt, hash] = match;
  const expected = Buffer.from(hash!, 'base64');
  const parameters = { log2N: Number(log2N), r: Number(r), p: Number(p) };
  const actual = await scryptHash(password, Buffer.from(salt!, 'base64'), parameters);
  return expected.length === actual.length && timingSafeEqual(expected, actual);
}

/** A stored credential's keys as SCRAM needs them. */
export const scramSecret = (credential: Credential): ScramSecret => ({
  iterations: credential.scram.iterations,
  salt: Buffer.from(credential.scram.salt, 'base64'),
  storedKey: Buffer.from(credential.scram.storedKey, 'base64'),
  serverKey: Buffer.from(credential.scram.serverKey, 'base64'),
});

const UNKNOWN_KEY = base64(Buffer.alloc(HASH_BYTES));

/** The credential of nobody: no password is known that fits it, and refusing one takes as long as a real one. */
export const INVENTED: Credential = {
  scrypt: `$scrypt$ln=${LOG2_N},r=${BLOCK_SIZE},p=${PARALLELIZATION}$${base64(Buffer.alloc(SALT_BYTES_MIN))}$${UNKNOWN_KEY}`,
  scram: {
    iterations: SCRAM_ITERATIONS,
    salt: base64(Buffer.alloc(SALT_BYTES_MIN)),
    storedKey: UNKNOWN_KEY,
    serverKey: UNKNOWN_KEY,
  },
};

/**
 * SCRAM keys for a name that is nobody's: the same each time, unlike any other name's, and of use to nobody
 * (RFC 5802 §9).
 * @param secret random bytes that stay the same as long as names are to look the same
 */
export function inventedScram(secret: Uint8Array, user: string): ScramSecret {
  return {
    iterations: SCRAM_ITERATIONS,
    salt: hmac(secret, `salt:${user}`).subarray(0, 16),
    storedKey: hmac(secret, `stored:${user}`),
    serverKey: hmac(secret, `server:${user}`),
  };
}
