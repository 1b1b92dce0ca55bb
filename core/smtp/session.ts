/**
 * One connection's state apart from its bytes: what the client said of itself, the mail transaction, and the replies
 * that wait to be written together. Steps change it; the engine feeds it.
 */

import type { Client, Envelope, Recipient } from '../mail/envelope.ts';
import type { AccountId } from '../mail/ids.ts';
import { REPLIES, type ReplyKey, smtpReply } from '../mail/reply.ts';
import type { Wire } from '../mail/wire.ts';
import type { ChunkCheck } from './chunk-check.ts';
import type { SmtpEnvironment, SmtpKind } from './environment.ts';
import type { Incoming } from './incoming.ts';
import type { Line } from './line-reader.ts';

export interface Transaction {
  readonly client: Client;
  readonly sender: string;
  readonly smtputf8: boolean;
  readonly body: Envelope['body'];
  readonly sizeBytes: number;
  /** One for each RCPT that was accepted, in order, as given. */
  readonly accepted: string[];
  /** Who gets it, each once: by account and subaddress. */
  readonly recipients: Map<string, Recipient>;
  /** A RCPT was tried, accepted or not. */
  rcptSeen: boolean;
  /** The message so far, once DATA or the first BDAT was taken. */
  incoming: Incoming | null;
  /** The line ends of BDAT's chunks; null before the first. */
  chunks: ChunkCheck | null;
}

/** Takes bytes instead of the command reader: DATA's mail data, BDAT's chunk. */
export interface Receiver {
  /** Takes bytes of the chunk from `at` and returns where it stopped; has set `session.receiver` to null when done. */
  take(chunk: Buffer, at: number): number | Promise<number>;
}

export class SmtpSession {
  readonly env: SmtpEnvironment;
  readonly kind: SmtpKind;
  readonly wire: Wire;
  /** The HELO, EHLO or LHLO argument; null before. */
  helo: string | null = null;
  /** It was EHLO or LHLO. */
  extended = false;
  account: AccountId | null = null;
  user: string | null = null;
  transaction: Transaction | null = null;
  receiver: Receiver | null = null;
  /** Takes the next line instead of the commands: an AUTH exchange. */
  lineTaker: ((line: Line) => void | Promise<void>) | null = null;
  /** Commands since the last accepted message. */
  commands = 0;
  refusedRecipients = 0;
  /** The connection ends once the replies are written; nothing more is read. */
  closing = false;
  /** Set by STARTTLS: the engine turns TLS on once the replies are written. */
  startTls = false;
  /** The command that runs was answered with an error that counts. */
  failed = false;
  #out = '';

  constructor(env: SmtpEnvironment, kind: SmtpKind, wire: Wire) {
    this.env = env;
    this.kind = kind;
    this.wire = wire;
  }

  reply(key: ReplyKey, text?: string): void {
    if (REPLIES[key].code >= 500) this.failed = true;
    this.#out += `${smtpReply(key, text)}\r\n`;
  }

  /** A refusal that is the message's or the recipient's, not the client's way of talking. */
  refuse(key: ReplyKey, text?: string): void {
    this.#out += `${smtpReply(key, text)}\r\n`;
  }

  /** A line as it is, for replies that are not in the table's form. */
  line(text: string): void {
    this.#out += `${text}\r\n`;
  }

  /** Says goodbye and ends the connection (RFC 5321 §3.8: 421 may answer any command, or none). */
  close(key: ReplyKey): void {
    this.#out += `${smtpReply(key)}\r\n`;
    this.closing = true;
  }

  /** What is to be written, once. */
  takeReplies(): string {
    const out = this.#out;
    this.#out = '';
    return out;
  }

  /** Ends the transaction without a trace; a message that is half there is forgotten. */
  reset(): void {
    this.transaction?.incoming?.discard();
    this.transaction = null;
    this.receiver = null;
  }

  /** RFC 3207 §4.2: all that was learnt in plaintext is forgotten. */
  forget(): void {
    this.reset();
    this.helo = null;
    this.extended = false;
    this.lineTaker = null;
    this.account = null;
    this.user = null;
  }

  /** Whether passwords may be sent now. */
  get authAllowed(): boolean {
    return this.kind === 'submission' && (this.wire.tls !== null || this.env.config.insecureAuth);
  }

  get needsAuth(): boolean {
    return this.kind === 'submission' && this.account === null;
  }

  client(smtputf8: boolean): Client {
    const { session, remote, tls } = this.wire;
    return {
      session,
      address: remote.address,
      port: remote.port,
      helo: this.helo ?? '',
      protocol: this.#protocol(smtputf8),
      tls,
      account: this.account,
      user: this.user,
    };
  }

  /** Transmission types of RFC 3848 and RFC 6531 §4.3. */
  #protocol(smtputf8: boolean): string {
    if (!this.extended) return 'SMTP';
    const base = this.kind === 'lmtp' ? 'LMTP' : smtputf8 ? 'SMTP' : 'ESMTP';
    const security = `${this.wire.tls === null ? '' : 'S'}${this.account === null ? '' : 'A'}`;
    return `${smtputf8 ? 'UTF8' : ''}${base}${security}`;
  }
}
