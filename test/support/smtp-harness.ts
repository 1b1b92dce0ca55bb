/**
 * An SMTP engine without sockets, stores or clock: a wire made of strings, blobs in memory, a directory of two accounts.
 */

import { createHash, createHmac, pbkdf2Sync } from 'node:crypto';
import type { AcceptedMessage, RefusedMessage } from '../../core/mail/accepted.ts';
import { normalizeAddress, splitSubaddress } from '../../core/mail/address.ts';
import type { Recipient, TlsInfo } from '../../core/mail/envelope.ts';
import { accountId, blobRef, queueId, sessionId } from '../../core/mail/ids.ts';
import type { Engine, Wire } from '../../core/mail/wire.ts';
import type { BlobWriter } from '../../core/ports/blob-store.ts';
import type { Authenticator, ScramSecret } from '../../core/sasl/authenticator.ts';
import { makeSmtpEngine } from '../../core/smtp/engine.ts';
import type { RecipientDecision, SmtpConfig, SmtpEnvironment, SmtpKind } from '../../core/smtp/environment.ts';

const TLS: TlsInfo = { version: 'TLSv1.3', cipher: 'TLS_AES_256_GCM_SHA384' };
export const PASSWORD = 'open sesame ';
const ALICE = accountId('alice00000000000');
const BOB = accountId('bob0000000000000');
const ACCOUNTS = new Map([
  ['alice@mail.localhost', [ALICE]],
  ['bob@mail.localhost', [BOB]],
  ['both@mail.localhost', [ALICE, BOB]],
  ['postmaster@', [ALICE]],
  ['ünï@mail.localhost', [BOB]],
  ['a b@mail.localhost', [BOB]],
]);

const CONFIG: SmtpConfig = {
  hostname: 'mail.localhost',
  sizeBytesMax: 100_000,
  recipientsMax: 100,
  commandsMax: 1000,
  errorsMax: 10,
  headerBytesMax: 20_000,
  headerFieldsMax: 500,
  receivedMax: 100,
  insecureAuth: false,
  greetingTimeoutMs: 60_000,
  commandTimeoutMs: 300_000,
  dataTimeoutMs: 180_000,
  dataTotalTimeoutMs: 1_800_000,
};

class FakeWire implements Wire {
  readonly session = sessionId('s', 1_790_000_000_000, new Uint8Array(5));
  readonly remote = { address: '192.0.2.7', port: 40_000 };
  tls: TlsInfo | null = null;
  canStartTls = true;
  closed = false;
  writes: string[] = [];
  /** What `drained` waits for. */
  reading: Promise<void> = Promise.resolve();
  /** What `startTls` waits for. */
  handshake: Promise<void> = Promise.resolve();

  write(bytes: Uint8Array | string): void {
    if (this.closed) throw new Error('written after close');
    this.writes.push(typeof bytes === 'string' ? bytes : Buffer.from(bytes).toString());
  }
  drained(): Promise<void> {
    return this.reading;
  }
  async startTls(): Promise<void> {
    await this.handshake;
    this.tls = TLS;
    this.canStartTls = false;
  }
  close(): void {
    this.closed = true;
  }
  /** What was written since the last call. */
  take(): string {
    const text = this.writes.join('');
    this.writes = [];
    return text;
  }
}

export interface Harness {
  readonly env: SmtpEnvironment;
  readonly wire: FakeWire;
  readonly engine: Engine;
  readonly accepted: AcceptedMessage[];
  readonly refused: RefusedMessage[];
  readonly stored: Map<string, Buffer>;
  readonly logged: string[];
  /** Writers that were neither committed nor aborted. */
  readonly open: Set<BlobWriter>;
  clock: number;
  /** Feeds the text (CRLF is added where it has no line end at its end) and gives what came back. */
  say(text: string | Uint8Array): Promise<string>;
  /** The bytes of the one message accepted so far. */
  message(): string;
}

export interface HarnessOptions {
  readonly config?: Partial<SmtpConfig>;
  readonly env?: Partial<SmtpEnvironment>;
  readonly tls?: boolean;
}

const SCRAM = ((): ScramSecret => {
  const salt = Buffer.alloc(16, 5);
  const salted = pbkdf2Sync(PASSWORD, salt, 4096, 32, 'sha256');
  const hmac = (text: string): Buffer => createHmac('sha256', salted).update(text).digest();
  const storedKey = createHash('sha256').update(hmac('Client Key')).digest();
  return { iterations: 4096, salt, storedKey, serverKey: hmac('Server Key') };
})();

/** Knows alice and bob with the same password; a failure is always 535. */
const authenticator: Authenticator = {
  password: async (_attempt, authcid, password, authzid) => {
    const account = ACCOUNTS.get(authcid)?.[0];
    const ok = account !== undefined && password === PASSWORD && (authzid === '' || authzid === authcid);
    return ok ? { ok, account, address: authcid } : { ok: false, reply: 'authenticationFailed' };
  },
  scram: async () => SCRAM,
  scramDone: async (_attempt, authcid, _authzid, proved) => {
    const account = ACCOUNTS.get(authcid)?.[0];
    const ok = account !== undefined && proved;
    return ok ? { ok, account, address: authcid } : { ok: false, reply: 'authenticationFailed' };
  },
};

function resolve(localPart: string, domain: string): RecipientDecision {
  if (domain !== '' && domain.toLowerCase() !== 'mail.localhost') return { ok: false, reply: 'domainForeign' };
  const { user, subaddress } = splitSubaddress(localPart, '+');
  if (user === 'full') return { ok: false, reply: 'overQuota' };
  const accounts = ACCOUNTS.get(normalizeAddress({ localPart: user, domain }));
  if (accounts === undefined) return { ok: false, reply: 'mailboxUnknown' };
  const address = `${localPart}@${domain}`;
  return { ok: true, recipients: accounts.map((account): Recipient => ({ address, account, subaddress })) };
}

export function harness(kind: SmtpKind, options: HarnessOptions = {}): Harness {
  const accepted: AcceptedMessage[] = [];
  const refused: RefusedMessage[] = [];
  const stored = new Map<string, Buffer>();
  const logged: string[] = [];
  const open = new Set<BlobWriter>();
  const wire = new FakeWire();
  if (options.tls === true) {
    wire.tls = TLS;
    wire.canStartTls = false;
  }
  let ids = 0;
  const self = { clock: 1_790_000_000_000 };
  const env: SmtpEnvironment = {
    config: { ...CONFIG, ...options.config },
    resolveRecipient: async (address) => resolve(address.localPart, address.domain),
    blobs: { writer: () => memoryWriter(stored, open) },
    custody: async (message) => void accepted.push(message),
    refused: (message) => void refused.push(message),
    authenticator,
    ownsAddress: async (account, address) => ACCOUNTS.get(normalizeAddress(address))?.includes(account) ?? false,
    newQueueId: () => queueId(self.clock, new Uint8Array(7).fill(++ids)),
    now: () => self.clock,
    random: (length) => new Uint8Array(length).fill(7),
    log: (event, facts) => void logged.push(`${event} ${JSON.stringify(facts)}`),
    ...options.env,
  };
  const engine = makeSmtpEngine(env, kind)(wire);
  return Object.assign(self, {
    env,
    wire,
    engine,
    accepted,
    refused,
    stored,
    logged,
    open,
    async say(text: string | Uint8Array) {
      const line = typeof text === 'string' && !text.endsWith('\n') ? `${text}\r\n` : text;
      await engine.feed(Buffer.from(line as string));
      return wire.take();
    },
    message: () => stored.get(accepted[0]!.blob)!.toString('latin1'),
  });
}

export function memoryWriter(stored: Map<string, Buffer>, open: Set<BlobWriter>): BlobWriter {
  const pieces: Buffer[] = [];
  const writer: BlobWriter = {
    async write(bytes) {
      pieces.push(Buffer.from(bytes));
    },
    async commit() {
      const bytes = Buffer.concat(pieces);
      const ref = blobRef(createHash('sha256').update(bytes).digest('hex'));
      stored.set(ref, bytes);
      open.delete(writer);
      return { ref, size: bytes.length };
    },
    async abort() {
      open.delete(writer);
    },
  };
  open.add(writer);
  return writer;
}
