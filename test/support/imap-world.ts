/**
 * IMAP servers for tests: real embedded stores in a folder of their own, one new account for each world, and an
 * authenticator that knows one user. Commits go as a mailbox actor does them, with hints behind them.
 */

import { createHash, createHmac, pbkdf2Sync, randomBytes } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setImmediate } from 'node:timers/promises';
import { ColumnsCache } from '../../core/imap/columns-cache.ts';
import type { ImapConfig, ImapEnvironment } from '../../core/imap/environment.ts';
import { flagSet } from '../../core/mail/flags.ts';
import type { MailboxHint } from '../../core/mail/hints.ts';
import { type AccountId, type MailboxId, randomId } from '../../core/mail/ids.ts';
import { wholeBlob } from '../../core/mail/layout.ts';
import { describeMessage, toContentInput } from '../../core/mime/describe.ts';
import type { BlobStore } from '../../core/ports/blob-store.ts';
import type { CommitResult, MailStore, Op, Role } from '../../core/ports/mail-store.ts';
import type { SearchStore } from '../../core/ports/search-store.ts';
import type { Authenticator, AuthResult } from '../../core/sasl/authenticator.ts';
import { EmbeddedBlobStore } from '../../drivers/embedded/blob-store.ts';
import { EmbeddedMailStore } from '../../drivers/embedded/mail-store.ts';

const USER = 'alice@mail.example';
export const PASSWORD = 'correct horse';

const START: readonly (readonly [string, Role])[] = [
  ['INBOX', 'inbox'],
  ['Drafts', 'drafts'],
  ['Sent', 'sent'],
  ['Junk', 'junk'],
  ['Trash', 'trash'],
  ['Archive', 'archive'],
];

const TEST_CONFIG: ImapConfig = {
  hostname: 'mail.example',
  version: '1.2.3',
  insecureAuth: false,
  appendSizeBytesMax: 100_000,
  loginTimeoutMs: 60_000,
  idleTimeoutMs: 1_800_000,
  mailboxesMax: 40,
};

export interface ImapStores {
  readonly mail: MailStore;
  readonly blobs: BlobStore;
  close(): Promise<void>;
}

export async function openImapStores(): Promise<ImapStores> {
  const folder = await mkdtemp(join(tmpdir(), 'mailmesh-imap-'));
  const mail = new EmbeddedMailStore({ folder: join(folder, 'mail'), shards: 1, now: Date.now });
  const blobs = new EmbeddedBlobStore({ folder: join(folder, 'blobs'), now: Date.now });
  await mail.open();
  await blobs.open();
  return {
    mail,
    blobs,
    async close() {
      await mail.close();
      await blobs.close();
      await rm(folder, { recursive: true, force: true });
    },
  };
}

/** An index that can't narrow anything: searching then reads the messages. */
const NO_INDEX = { candidates: async () => null } as unknown as SearchStore;

export class ImapWorld {
  readonly env: ImapEnvironment;
  readonly account: AccountId;
  /** What was logged. */
  readonly logged: { readonly event: string; readonly facts: Readonly<Record<string, unknown>> }[] = [];
  /** Hints get lost. */
  silent = false;
  readonly #stores: ImapStores;
  readonly #sleepers: (() => void)[] = [];
  readonly #listeners = new Set<(hint: MailboxHint) => void>();

  private constructor(stores: ImapStores, account: AccountId, config: Partial<ImapConfig>) {
    this.#stores = stores;
    this.account = account;
    this.env = {
      config: { ...TEST_CONFIG, ...config },
      store: stores.mail,
      blobs: stores.blobs,
      columns: new ColumnsCache(stores.mail),
      search: NO_INDEX,
      authenticator: oneUser(account),
      commit: (_account, ops) => this.commit(ops),
      changes: () => (listener) => {
        this.#listeners.add(listener);
        return () => this.#listeners.delete(listener);
      },
      newMailboxId: () => randomId<MailboxId>(randomBytes(16)),
      now: Date.now,
      random: (length) => randomBytes(length),
      turn: setImmediate,
      sleep: () => new Promise((resolve) => this.#sleepers.push(resolve)),
      log: (event, facts) => this.logged.push({ event, facts }),
    };
  }

  static async open(
    stores: ImapStores,
    config: Partial<ImapConfig> = {},
    quota: { readonly bytes?: number; readonly messages?: number } = {},
  ): Promise<ImapWorld> {
    const account = randomId<AccountId>(randomBytes(16));
    await stores.mail.createAccount({
      account,
      quotaBytes: quota.bytes ?? null,
      quotaMessages: quota.messages ?? null,
      mailboxes: START.map(([name, role]) => ({ id: randomId<MailboxId>(randomBytes(16)), name, role })),
    });
    return new ImapWorld(stores, account, config);
  }

  /** As much time passes as anything waits for. @returns how many waited */
  passTime(): number {
    const sleepers = this.#sleepers.splice(0);
    for (const wake of sleepers) wake();
    return sleepers.length;
  }

  get listeners(): number {
    return this.#listeners.size;
  }

  async commit(ops: readonly Op[]): Promise<CommitResult> {
    const lease = await this.#stores.mail.lease(this.account, 'test', 60_000);
    const before = await this.#stores.mail.account(this.account);
    const result = await this.#stores.mail.commit(this.account, lease!.epoch, ops);
    if (result.modSeq !== before!.modSeq && !this.silent) {
      const hint: MailboxHint = {
        account: this.account,
        modSeq: result.modSeq,
        mailboxes: [...new Set(ops.flatMap(touched))],
        listChanged: ops.some((op) => LIST_OPS.has(op.t)),
      };
      for (const listener of [...this.#listeners]) listener(hint);
    }
    return result;
  }

  async mailboxId(name: string): Promise<MailboxId> {
    const mailboxes = await this.#stores.mail.mailboxes(this.account);
    return mailboxes.find((mailbox) => mailbox.name === name)!.id;
  }

  async createMailbox(name: string): Promise<void> {
    await this.commit([{ t: 'createMailbox', id: this.env.newMailboxId(), name, role: null }]);
  }

  /** Puts a message into a mailbox, as a delivery would. */
  async deliver(mailbox: string, message: string | Uint8Array, flags: readonly string[] = []): Promise<void> {
    const bytes = typeof message === 'string' ? Buffer.from(message, 'latin1') : message;
    const { ref, size } = await this.#stores.blobs.put(bytes);
    const content = toContentInput(await describeMessage([bytes]), wholeBlob(ref, size), '');
    await this.commit([
      {
        t: 'append',
        mailbox: await this.mailboxId(mailbox),
        content,
        flags: flagSet(flags),
        internalDate: 784_111_777,
        quota: 'ignore',
      },
    ]);
  }
}

const LIST_OPS: ReadonlySet<string> = new Set(['createMailbox', 'updateMailbox', 'deleteMailbox', 'subscribe']);

function touched(op: Op): MailboxId[] {
  if (op.t === 'copy' || op.t === 'move') return [op.from, op.to];
  return 'mailbox' in op && !LIST_OPS.has(op.t) ? [op.mailbox] : [];
}

/** Knows USER with PASSWORD, and that alice's short name is the same one. */
function oneUser(account: AccountId): Authenticator {
  const isUser = (name: string): boolean => name === USER || name === 'alice';
  const answer = (right: boolean, authzid: string): AuthResult => {
    if (!right) return { ok: false, reply: 'authenticationFailed' };
    if (authzid !== '' && !isUser(authzid)) return { ok: false, reply: 'authorizationDenied' };
    return { ok: true, account, address: USER };
  };
  return {
    password: async (_attempt, authcid, password, authzid) => answer(isUser(authcid) && password === PASSWORD, authzid),
    scram: async () => SCRAM,
    scramDone: async (_attempt, authcid, authzid, proved) => answer(isUser(authcid) && proved, authzid),
  };
}

const SALT = Buffer.from('W22ZaJ0SNY7soEsUEjb6gQ==', 'base64');
const ITERATIONS = 4096;
const salted = pbkdf2Sync(PASSWORD, SALT, ITERATIONS, 32, 'sha256');
const keyed = (text: string): Buffer => createHmac('sha256', salted).update(text).digest();
const SCRAM = {
  iterations: ITERATIONS,
  salt: SALT,
  storedKey: createHash('sha256').update(keyed('Client Key')).digest(),
  serverKey: keyed('Server Key'),
};
