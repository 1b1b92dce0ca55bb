/**
 * One client's session: what every command may use. It holds the protocol's state (who is logged in, which mailbox is
 * selected, what was enabled) and the connection's two ends, the writer and the input; it decides nothing itself.
 */

import { asMailError, Fault, type MailError } from '../mail/errors.ts';
import type { AccountId } from '../mail/ids.ts';
import type { Wire } from '../mail/wire.ts';
import type { CommitResult, Op } from '../ports/mail-store.ts';
import type { Enabled } from './enabled.ts';
import type { ImapEnvironment } from './environment.ts';
import { ConnectionClosed, ImapInput } from './input.ts';
import { limitsAfterLogin } from './limits.ts';
import { encodeMailboxName } from './mailbox-name.ts';
import type { MailboxView } from './mailbox-view.ts';
import type { State } from './state.ts';
import { ImapWriter } from './writer.ts';

export class ImapSession {
  readonly env: ImapEnvironment;
  readonly wire: Wire;
  readonly out: ImapWriter;
  readonly input: ImapInput;
  readonly enabled: Enabled = { condstore: false, qresync: false, utf8: false };
  /** The name logged in with; '' before. */
  user = '';
  /** Of the command that runs; ESEARCH responses name it (RFC 4466 §2.6.2). */
  tag = '';
  /** Nothing more is read: the connection is closed once what is written has left. */
  closing = false;
  #account: AccountId | null = null;
  #selected: MailboxView | null = null;
  /** The command that runs has brought the selected mailbox up to date. */
  #looked = false;

  constructor(env: ImapEnvironment, wire: Wire) {
    this.env = env;
    this.wire = wire;
    this.out = new ImapWriter(wire);
    this.input = new ImapInput(this.out);
  }

  get state(): State {
    if (this.#account === null) return 'not-authenticated';
    return this.#selected === null ? 'authenticated' : 'selected';
  }

  /** Whose mailboxes; only asked for by commands that need a login. */
  get account(): AccountId {
    if (this.#account === null) throw new Fault('no account before login');
    return this.#account;
  }

  /** The selected mailbox, or null. */
  get selected(): MailboxView | null {
    return this.#selected;
  }

  /** The selected mailbox, for commands of the selected state only. */
  get view(): MailboxView {
    if (this.#selected === null) throw new Fault('no mailbox is selected');
    return this.#selected;
  }

  /** A command begins. */
  begin(tag: string): void {
    this.tag = tag;
    this.#looked = false;
  }

  loggedIn(account: AccountId, user: string): void {
    this.#account = account;
    this.user = user;
    this.input.reader.limits = limitsAfterLogin(this.env.config.appendSizeBytesMax);
  }

  /** Selects another mailbox or none; the view before is closed. */
  select(view: MailboxView | null): void {
    if (this.#selected !== view) this.#selected?.close();
    this.#selected = view;
  }

  /** RFC 7162 §3.1: from the first CONDSTORE enabling command on, FETCH responses carry MODSEQ. */
  enableCondstore(): void {
    if (this.enabled.condstore) return;
    this.enabled.condstore = true;
    if (this.#selected !== null) this.out.untagged(`OK [${this.#selected.highestModSeqCode()}] Highest`);
  }

  /** Through the account's mailbox actor. */
  commit(ops: readonly Op[]): Promise<CommitResult> {
    return this.env.commit(this.account, ops, this.wire.session);
  }

  /**
   * Brings the selected mailbox up to date before it is shown: another node may have answered a change that no hint has told
   * of yet. What can't be had is not shown; `tellChanges` looks again.
   */
  async look(): Promise<void> {
    try {
      await this.view.look();
      this.#looked = true;
    } catch (thrown) {
      this.log('imap.lookFailed', { error: asMailError(thrown).message });
    }
  }

  /**
   * Tells what has changed in the selected mailbox (RFC 9051 §5.2). What can't be had is told another time.
   * @returns the trouble, which is logged already
   */
  async tellChanges(expunge: boolean): Promise<MailError | null> {
    try {
      await this.#selected?.poll({ expunge, look: !this.#looked });
      this.#selected?.writeHighestModSeq();
      return null;
    } catch (thrown) {
      if (thrown instanceof ConnectionClosed) throw thrown;
      const error = asMailError(thrown);
      this.log('imap.pollFailed', { ...error.facts, error: error.message });
      return error;
    }
  }

  /** Writes a mailbox name as astring or string of the encoding agreed on. */
  writeMailboxName(name: string): void {
    this.out.string(encodeMailboxName(name, this.enabled.utf8));
  }

  log(event: string, facts: Readonly<Record<string, unknown>> = {}): void {
    this.env.log(event, { session: this.wire.session, user: this.user, ...facts });
  }
}
