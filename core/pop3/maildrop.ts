/**
 * The maildrop of one session: the INBOX as it was at login (RFC 1939 §4), numbered from 1, with the session's marks for
 * deletion. Nothing here writes. Later mail is not seen; messages that others expunge meanwhile keep their numbers and
 * can't be read any more.
 */

import { ClientError, TemporaryError } from '../mail/errors.ts';
import type { AccountId, ContentId, MailboxId } from '../mail/ids.ts';
import type { Columns, Content, ContentField } from '../ports/mail-store.ts';
import type { Pop3Environment } from './environment.ts';

/** Messages whose layouts are looked up together, while the client reads one after the other. */
const AHEAD_MAX = 64;
/** How long such a look-up is trusted without any hint: hints can get lost. */
const AHEAD_MS = 1_000;
const FIELDS: readonly ContentField[] = ['layout', 'structure', 'size'];

export class Maildrop {
  readonly account: AccountId;
  readonly mailbox: MailboxId;
  readonly #env: Pop3Environment;
  readonly #uidValidity: number;
  readonly #uids: Uint32Array;
  readonly #sizes: Uint32Array;
  readonly #contents: Float64Array;
  readonly #marks: Uint8Array;
  readonly #unsubscribe: () => void;
  #marked = 0;
  #openEnds: ReadonlySet<number> | null = null;
  /** By number; undefined where the message is gone. */
  #ahead = new Map<number, Content | undefined>();
  #aheadSince = 0;
  #aheadCount = 1;
  #last = 0;

  private constructor(env: Pop3Environment, account: AccountId, columns: Columns) {
    this.#env = env;
    this.account = account;
    this.mailbox = columns.mailbox.id;
    this.#uidValidity = columns.mailbox.uidValidity;
    this.#uids = columns.uids;
    this.#sizes = columns.sizes;
    this.#contents = columns.contents;
    this.#marks = new Uint8Array(columns.uids.length);
    this.#unsubscribe = env.changes(account)((hint) => {
      if (hint.mailboxes.includes(this.mailbox)) this.#ahead = new Map();
    });
  }

  static async open(env: Pop3Environment, account: AccountId): Promise<Maildrop> {
    const mailboxes = await env.store.mailboxes(account);
    const inbox = mailboxes.find(({ name }) => name === 'INBOX');
    const columns = inbox === undefined ? undefined : await env.store.columns(account, inbox.id);
    if (columns === undefined) throw new TemporaryError('storeUnavailable', { account, detail: 'no INBOX' });
    return new Maildrop(env, account, columns);
  }

  close(): void {
    this.#unsubscribe();
  }

  /** Messages in all, those marked included: the highest number. */
  get last(): number {
    return this.#uids.length;
  }

  /** Messages that are not marked. */
  get count(): number {
    return this.#uids.length - this.#marked;
  }

  isMarked(number: number): boolean {
    return this.#marks[number - 1] === 1;
  }

  /** The message number that an argument names; throws where there is none such or it is marked. */
  number(argument: string): number {
    if (!/^[0-9]{1,10}$/.test(argument)) throw new ClientError('syntaxError');
    const number = Number(argument);
    if (number < 1 || number > this.last) throw new ClientError('messageUnknown');
    if (this.isMarked(number)) throw new ClientError('messageDeleted');
    return number;
  }

  mark(number: number): void {
    if (this.isMarked(number)) return;
    this.#marks[number - 1] = 1;
    this.#marked++;
  }

  unmarkAll(): void {
    this.#marks.fill(0);
    this.#marked = 0;
  }

  markedUids(): Uint32Array {
    return this.#uids.filter((_, index) => this.#marks[index] === 1);
  }

  /** The unique-id (RFC 1939 §7): never another message's, and the same in every session. */
  uniqueId(number: number): string {
    return `${this.#uidValidity}.${this.#uids[number - 1]!}`;
  }

  /** Must have resolved before sizes are asked for. */
  async measure(): Promise<void> {
    this.#openEnds ??= await this.#env.openEnds.of(
      { account: this.account, mailbox: this.mailbox, uids: this.#uids, contents: this.#contents },
      () => this.#env.breathe(),
    );
  }

  /** Octets that RETR sends, without byte-stuffing (RFC 1939 §11). */
  sizeBytes(number: number): number {
    return this.#sizes[number - 1]! + (this.#openEnds!.has(this.#uids[number - 1]!) ? 2 : 0);
  }

  /** Layout, structure and size of a message; throws where it was expunged meanwhile. */
  async content(number: number): Promise<Content> {
    if (this.#env.now() - this.#aheadSince > AHEAD_MS) this.#ahead = new Map();
    const content = this.#ahead.has(number) ? this.#ahead.get(number) : await this.#lookAhead(number);
    this.#last = number;
    if (content === undefined) throw new ClientError('messageGone');
    return content;
  }

  /** Looks the message up, and those that come next when the client goes through them in either direction. */
  async #lookAhead(first: number): Promise<Content | undefined> {
    const step = first === this.#last - 1 ? -1 : 1;
    const inOrder = step < 0 || first === this.#last + 1;
    this.#aheadCount = inOrder ? Math.min(AHEAD_MAX, this.#aheadCount * 4) : 1;
    const numbers: number[] = [];
    for (let n = first; n >= 1 && n <= this.last && numbers.length < this.#aheadCount; n += step) {
      if (!this.isMarked(n)) numbers.push(n);
    }
    const ahead = new Map<number, Content | undefined>();
    // A hint that comes meanwhile puts another map in place; what is found here is then used once only.
    this.#ahead = ahead;
    this.#aheadSince = this.#env.now();
    const uids = Uint32Array.from(numbers, (n) => this.#uids[n - 1]!).sort();
    const rows = await this.#env.store.rows(this.account, this.mailbox, uids);
    const there = new Set<number>(rows.map(({ uid }) => uid));
    const found = numbers.filter((n) => there.has(this.#uids[n - 1]!));
    const ids = found.map((n) => this.#contents[n - 1] as ContentId);
    const contents = await this.#env.store.contents(this.account, ids, FIELDS);
    for (const n of numbers) ahead.set(n, undefined);
    for (const [index, content] of contents.entries()) ahead.set(found[index]!, content);
    return ahead.get(first);
  }
}
