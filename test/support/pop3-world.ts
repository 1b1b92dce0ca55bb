/** A POP3 server for tests: a new account on real embedded stores (imap-world.ts), with one lock for all sessions. */

import { setImmediate } from 'node:timers/promises';
import type { Pop3Config, Pop3Environment } from '../../core/pop3/environment.ts';
import { OpenEnds } from '../../core/pop3/open-ends.ts';
import { type ImapStores, ImapWorld } from './imap-world.ts';

const TEST_CONFIG: Pop3Config = {
  hostname: 'mail.example',
  version: '1.2.3',
  insecureAuth: false,
  loginTimeoutMs: 60_000,
  idleTimeoutMs: 600_000,
};

export class Pop3World {
  readonly mail: ImapWorld;
  readonly env: Pop3Environment;
  /** The next commit fails. */
  failing = false;
  /** Milliseconds since 1970; stands still unless a test moves it. */
  now = 1_700_000_000_000;
  locked = false;

  private constructor(mail: ImapWorld, stores: ImapStores, config: Partial<Pop3Config>) {
    this.mail = mail;
    this.env = {
      config: { ...TEST_CONFIG, ...config },
      store: stores.mail,
      blobs: stores.blobs,
      openEnds: new OpenEnds(stores.mail),
      authenticator: mail.env.authenticator,
      acquire: () => {
        if (this.locked) return null;
        this.locked = true;
        return () => {
          this.locked = false;
        };
      },
      commit: async (_account, ops) => {
        if (!this.failing) return mail.commit(ops);
        this.failing = false;
        throw new Error('the store is away');
      },
      changes: mail.env.changes,
      breathe: () => setImmediate(),
      now: () => this.now,
      random: mail.env.random,
      log: mail.env.log,
    };
  }

  static async open(stores: ImapStores, config: Partial<Pop3Config> = {}): Promise<Pop3World> {
    return new Pop3World(await ImapWorld.open(stores), stores, config);
  }

  /** Flags and removes a message of the inbox, as another client would. */
  async expunge(uid: number): Promise<void> {
    const mailbox = await this.mail.mailboxId('INBOX');
    await this.mail.commit([{ t: 'expunge', mailbox, uids: Uint32Array.of(uid), onlyDeleted: false }]);
  }
}
