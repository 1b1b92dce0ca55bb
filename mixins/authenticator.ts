/**
 * Logins against the directory, with one back-off for all protocols. A password that was right a moment ago is
 * recognised by a keyed hash instead of a second scrypt, so that mail clients' many connections cost little; changing
 * the password (or disabling the account) voids it, because the credential is a part of what is hashed.
 */

import { createHmac, randomBytes } from 'node:crypto';
import type { Logger } from 'pino';
import { normalizeAddress, parseAddress } from '../core/mail/address.ts';
import type { Credential, Directory, DirectoryAccount } from '../core/ports/directory.ts';
import type { Attempt, Authenticator, AuthResult, ScramSecret } from '../core/sasl/authenticator.ts';
import { INVENTED, inventedScram, scramSecret, verifyPassword } from '../core/sasl/password.ts';
import type { Throttle } from '../core/sasl/throttle.ts';
import type { Metrics } from './metrics.ts';
import { Slots } from './slots.ts';

/** How long, and how many, right passwords are recognised without scrypt. */
const REMEMBER_MS = 10 * 60_000;
const REMEMBER_MAX = 20_000;

/**
 * Passwords hashed at a time: each takes 32 MB and a thread of the pool that also reads files. Whoever waits is checked
 * against the back-off again, so that guesses sent side by side count like guesses sent one after the other.
 */
const HASHING_MAX = 2;
const HASHING_WAITING_MAX = 500;

interface Known {
  readonly account: DirectoryAccount;
  readonly credential: Credential;
}

export interface AuthenticatorOptions {
  readonly directory: Directory;
  /** A user name without `@` belongs to it. */
  readonly domain: string;
  readonly metrics: Metrics;
  readonly log: Logger;
  readonly now: () => number;
}

const DELAYED: AuthResult = { ok: false, reply: 'authenticationDelayed' };
const FAILED: AuthResult = { ok: false, reply: 'authenticationFailed' };

export class DirectoryAuthenticator implements Authenticator {
  readonly #options: AuthenticatorOptions;
  readonly #throttle: Throttle;
  /** Lives as long as the process: recognises passwords and invents SCRAM keys. */
  readonly #secret = randomBytes(32);
  readonly #remembered = new Map<string, number>();
  readonly #hashing = new Slots(HASHING_MAX, HASHING_WAITING_MAX);

  constructor(options: AuthenticatorOptions, throttle: Throttle) {
    this.#options = options;
    this.#throttle = throttle;
  }

  async password(attempt: Attempt, authcid: string, password: string, authzid: string): Promise<AuthResult> {
    const user = this.#userName(authcid);
    if (!this.#mayTry(attempt, user)) return this.#outcome(attempt, DELAYED);
    const known = await this.#find(user);
    if (this.#isRemembered(known, password)) return this.#finish(attempt, user, known, authzid, true);
    const result = await this.#hashing.run(async () => {
      if (!this.#mayTry(attempt, user)) return undefined;
      const right = await this.#isRight(known, password);
      return this.#finish(attempt, user, known, authzid, right && known !== undefined);
    });
    return result ?? this.#outcome(attempt, DELAYED);
  }

  async scram(attempt: Attempt, authcid: string): Promise<ScramSecret | { readonly reply: 'authenticationDelayed' }> {
    const user = this.#userName(authcid);
    if (!this.#mayTry(attempt, user)) {
      this.#outcome(attempt, DELAYED);
      return { reply: 'authenticationDelayed' };
    }
    const known = await this.#find(user);
    return known === undefined ? inventedScram(this.#secret, user) : scramSecret(known.credential);
  }

  async scramDone(attempt: Attempt, authcid: string, authzid: string, proved: boolean): Promise<AuthResult> {
    const user = this.#userName(authcid);
    // Others may have failed since the exchange began.
    if (!this.#mayTry(attempt, user)) return this.#outcome(attempt, DELAYED);
    const known = await this.#find(user);
    return this.#finish(attempt, user, known, authzid, proved && known !== undefined);
  }

  #mayTry(attempt: Attempt, user: string): boolean {
    return this.#throttle.check(attempt.remote, user, this.#options.now()).allowed;
  }

  /** The spelling that the directory and the back-off use; what is no address stays as it is and is nobody's. */
  #userName(authcid: string): string {
    const text = authcid.includes('@') ? authcid : `${authcid}@${this.#options.domain}`;
    const address = parseAddress(text, { smtputf8: true });
    return address === null ? text.slice(0, 320) : normalizeAddress(address);
  }

  async #find(user: string): Promise<Known | undefined> {
    const { directory } = this.#options;
    // An alias that leads to one account is a name of it.
    const ids = await directory.resolve(user);
    if (ids.length !== 1) return undefined;
    const account = await directory.account(ids[0]!);
    const credential = account === undefined ? undefined : await directory.credential(account.id);
    return account === undefined || credential === undefined || !account.enabled ? undefined : { account, credential };
  }

  #rememberKey(credential: Credential, password: string): string {
    return createHmac('sha256', this.#secret).update(`${credential.scrypt}\0${password}`).digest('base64');
  }

  #isRemembered(known: Known | undefined, password: string): boolean {
    if (known === undefined) return false;
    const now = this.#options.now();
    const until = this.#remembered.get(this.#rememberKey(known.credential, password));
    return until !== undefined && until > now && until <= now + REMEMBER_MS;
  }

  async #isRight(known: Known | undefined, password: string): Promise<boolean> {
    // Another connection of the same client may have had its turn meanwhile.
    if (this.#isRemembered(known, password)) return true;
    const credential = known?.credential ?? INVENTED;
    const right = await verifyPassword(password, credential);
    if (right && known !== undefined) {
      this.#remembered.set(this.#rememberKey(credential, password), this.#options.now() + REMEMBER_MS);
      if (this.#remembered.size > REMEMBER_MAX) this.#remembered.delete(this.#remembered.keys().next().value!);
    }
    return right;
  }

  #finish(attempt: Attempt, user: string, known: Known | undefined, authzid: string, proved: boolean): AuthResult {
    const now = this.#options.now();
    if (!proved || known === undefined) {
      this.#throttle.failed(attempt.remote, user, now);
      return this.#outcome(attempt, FAILED, user);
    }
    this.#throttle.succeeded(attempt.remote, user, now);
    if (authzid !== '' && this.#userName(authzid) !== user && this.#userName(authzid) !== known.account.address)
      return this.#outcome(attempt, { ok: false, reply: 'authorizationDenied' }, user);
    return this.#outcome(attempt, { ok: true, account: known.account.id, address: known.account.address }, user);
  }

  #outcome(attempt: Attempt, result: AuthResult, user = ''): AuthResult {
    const outcome = result.ok ? 'ok' : result.reply;
    this.#options.metrics.logins.inc({ protocol: attempt.protocol, outcome });
    const facts = { remote: attempt.remote, protocol: attempt.protocol, user, outcome };
    if (result.ok) this.#options.log.debug(facts, 'login');
    else this.#options.log.info(facts, 'login.failed');
    return result;
  }
}
