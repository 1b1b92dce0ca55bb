/**
 * One client's session: what every command may use. It holds the protocol's state (the name given by USER, the maildrop
 * once there is one) and the writer; it decides nothing itself.
 */

import { Fault } from '../mail/errors.ts';
import { REPLIES, type Reply, type ReplyKey } from '../mail/reply.ts';
import type { Wire } from '../mail/wire.ts';
import type { Pop3Environment } from './environment.ts';
import type { Line } from './line-reader.ts';
import type { Maildrop } from './maildrop.ts';
import { Pop3Writer } from './writer.ts';

/** RFC 1939 §3. The UPDATE state lasts only as long as QUIT runs. */
export type State = 'authorization' | 'transaction';

export class Pop3Session {
  readonly env: Pop3Environment;
  readonly wire: Wire;
  readonly out: Pop3Writer;
  /** The name of a USER command right before; null otherwise. */
  userGiven: string | null = null;
  /** The name logged in with; '' before. */
  user = '';
  /** UTF8 was said (RFC 6856 §2.1). */
  utf8 = false;
  /** Takes the next line instead of the commands: an AUTH exchange. */
  lineTaker: ((line: Line) => Promise<void>) | null = null;
  /** Set by STLS: the engine turns TLS on once the reply is written. */
  startTls = false;
  /** Nothing more is read: the connection is closed once what is written has left. */
  closing = false;
  #maildrop: Maildrop | null = null;
  #release: (() => void) | null = null;

  constructor(env: Pop3Environment, wire: Wire) {
    this.env = env;
    this.wire = wire;
    this.out = new Pop3Writer(wire, () => env.breathe());
  }

  get state(): State {
    return this.#maildrop === null ? 'authorization' : 'transaction';
  }

  /** For commands of the transaction state only. */
  get maildrop(): Maildrop {
    if (this.#maildrop === null) throw new Fault('no maildrop before login');
    return this.#maildrop;
  }

  /** Whether passwords and proofs may be sent now. */
  get mayAuthenticate(): boolean {
    return this.wire.tls !== null || this.env.config.insecureAuth;
  }

  /** Enters the transaction state. `release` gives the maildrop's lock back. */
  enter(maildrop: Maildrop, user: string, release: () => void): void {
    this.#maildrop = maildrop;
    this.#release = release;
    this.user = user;
  }

  /** Gives everything back that others may wait for. Idempotent. */
  leave(): void {
    this.#maildrop?.close();
    this.#maildrop = null;
    this.#release?.();
    this.#release = null;
  }

  ok(text: string): void {
    this.out.text(`+OK ${text}\r\n`);
  }

  refuse(key: ReplyKey): void {
    const reply: Reply = REPLIES[key];
    // RFC 2449 §8, RFC 3206 §4
    this.out.text(`-ERR ${reply.pop3 === undefined ? '' : `[${reply.pop3}] `}${reply.text}\r\n`);
  }

  log(event: string, facts: Readonly<Record<string, unknown>> = {}): void {
    this.env.log(event, { session: this.wire.session, user: this.user, ...facts });
  }
}
