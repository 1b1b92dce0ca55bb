/**
 * Another IMAP server's account as an import's source: every mailbox that can be selected, flags and dates included. Only
 * reads (EXAMINE, BODY.PEEK). Goes on behind the last uid of a mailbox as long as its uidValidity is the same.
 */

import { ImapFlow, type ListResponse } from 'imapflow';
import { CommandError } from '../errors.ts';
import type { OpenSource, SourceMessage } from './source.ts';

export interface ImapSourceOptions {
  readonly host: string;
  readonly port: number;
  /** From the first byte; otherwise by STARTTLS. The password never travels without TLS. */
  readonly tls: boolean;
  /** Takes a certificate that cannot be checked. */
  readonly insecure: boolean;
  readonly user: string;
  readonly password: string;
  /** Only this mailbox of theirs, or all. */
  readonly only: string | undefined;
  /** Into this mailbox of ours instead of one of the same name. */
  readonly mailbox: string | undefined;
}

interface Place {
  readonly path: string;
  readonly uidValidity: string;
  readonly uid: number;
}
interface Known {
  readonly uid: number;
  readonly flags: readonly string[];
  readonly internalDate: number | null;
  readonly size: number;
}

/** Messages up to this size are fetched several at a time, larger ones piece by piece. */
const WHOLE_BYTES_MAX = 1024 * 1024;
const BATCH_BYTES = 4 * 1024 * 1024;
const BATCH_MESSAGES = 100;
/** What they call special mailboxes is put where ours are (RFC 6154 §2). */
const OURS: Readonly<Record<string, string>> = {
  '\\Drafts': 'Drafts',
  '\\Sent': 'Sent',
  '\\Junk': 'Junk',
  '\\Trash': 'Trash',
  '\\Archive': 'Archive',
};

const selectable = (mailbox: ListResponse): boolean =>
  // \All and \Flagged only show messages of other mailboxes.
  !mailbox.flags.has('\\Noselect') &&
  !mailbox.flags.has('\\NonExistent') &&
  !['\\All', '\\Flagged'].includes(mailbox.specialUse ?? '');

function ourName(mailbox: ListResponse): string {
  if (mailbox.path.toUpperCase() === 'INBOX') return 'INBOX';
  const special = OURS[mailbox.specialUse ?? ''];
  if (special !== undefined) return special;
  return mailbox.delimiter === '' || mailbox.delimiter === '/'
    ? mailbox.path
    : mailbox.path.replaceAll('/', '_').replaceAll(mailbox.delimiter, '/');
}

async function* once(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield bytes;
}

class ImapMailbox {
  readonly #client: ImapFlow;
  readonly #theirs: ListResponse;
  readonly #ours: string;

  constructor(client: ImapFlow, theirs: ListResponse, ours: string) {
    this.#client = client;
    this.#theirs = theirs;
    this.#ours = ours;
  }

  async *messages(place: Place | undefined): AsyncGenerator<SourceMessage> {
    const opened = await this.#client.mailboxOpen(this.#theirs.path, { readOnly: true });
    if (opened.exists === 0) return;
    const uidValidity = String(opened.uidValidity);
    const behind = place?.uidValidity === uidValidity ? place.uid : 0;
    let batch: Known[] = [];
    let bytes = 0;
    for (const message of await this.#list(behind)) {
      if (message.size > WHOLE_BYTES_MAX) {
        yield* this.#batch(batch, uidValidity);
        [batch, bytes] = [[], 0];
        yield this.#message(message, uidValidity, () => this.#download(message.uid));
        continue;
      }
      batch.push(message);
      bytes += message.size;
      if (bytes < BATCH_BYTES && batch.length < BATCH_MESSAGES) continue;
      yield* this.#batch(batch, uidValidity);
      [batch, bytes] = [[], 0];
    }
    yield* this.#batch(batch, uidValidity);
  }

  async #list(behind: number): Promise<Known[]> {
    const found: Known[] = [];
    const query = { uid: true, flags: true, internalDate: true, size: true };
    for await (const { uid, flags, internalDate, size } of this.#client.fetch(`${behind + 1}:*`, query, {
      uid: true,
    })) {
      // `n:*` holds the last message even when its uid is below n (RFC 9051 §9, seq-range).
      if (uid <= behind) continue;
      const date = internalDate === undefined ? Number.NaN : new Date(internalDate).getTime();
      found.push({
        uid,
        flags: [...(flags ?? [])].filter((flag) => flag.toLowerCase() !== '\\recent'),
        internalDate: Number.isNaN(date) ? null : Math.floor(date / 1000),
        size: size ?? 0,
      });
    }
    return found.sort((a, b) => a.uid - b.uid);
  }

  async *#batch(batch: readonly Known[], uidValidity: string): AsyncGenerator<SourceMessage> {
    if (batch.length === 0) return;
    const sources = new Map<number, Uint8Array>();
    const uids = batch.map(({ uid }) => uid).join(',');
    for await (const { uid, source } of this.#client.fetch(uids, { uid: true, source: true }, { uid: true }))
      if (source !== undefined) sources.set(uid, source);
    for (const known of batch) {
      const source = sources.get(known.uid);
      // Expunged there meanwhile.
      if (source !== undefined) yield this.#message(known, uidValidity, () => once(source));
    }
  }

  async *#download(uid: number): AsyncGenerator<Uint8Array> {
    const { content } = await this.#client.download(String(uid), undefined, { uid: true });
    if (content === undefined) throw new CommandError(`message ${uid} of ${this.#theirs.path} cannot be fetched`);
    for await (const piece of content) yield piece as Buffer;
  }

  #message(known: Known, uidValidity: string, read: () => AsyncIterable<Uint8Array>): SourceMessage {
    const place: Place = { path: this.#theirs.path, uidValidity, uid: known.uid };
    return {
      mailbox: this.#ours,
      key: `${place.path}\0${uidValidity}.${known.uid}`,
      read,
      flags: () => known.flags,
      internalDate: () => known.internalDate,
      resume: JSON.stringify(place),
    };
  }
}

export const openImap =
  (options: ImapSourceOptions): OpenSource =>
  async (resume) => {
    const client = new ImapFlow({
      host: options.host,
      port: options.port,
      secure: options.tls,
      doSTARTTLS: !options.tls,
      auth: { user: options.user, pass: options.password },
      tls: { rejectUnauthorized: !options.insecure },
      logger: false,
    });
    // A connection that breaks between two commands is told by the next command.
    client.on('error', () => {});
    try {
      await client.connect();
    } catch (error) {
      const { authenticationFailed, responseText } = error as { authenticationFailed?: boolean; responseText?: string };
      const why = authenticationFailed ? 'user name or password is wrong' : (responseText ?? (error as Error).message);
      throw new CommandError(`${options.host}:${options.port}: ${why}`);
    }
    const place = resume === null ? undefined : (JSON.parse(resume) as Place);
    const all = (await client.list()).filter(selectable);
    const wanted = all
      .filter(({ path }) => options.only === undefined || path === options.only)
      .sort((a, b) => (a.path < b.path ? -1 : 1));
    if (wanted.length === 0) throw new CommandError(`${options.host} has no mailbox "${options.only ?? ''}"`);
    // Mailboxes are read in the order of their names: those before the place are done.
    const left = place === undefined ? wanted : wanted.filter(({ path }) => path >= place.path);
    let count = 0;
    for (const { path } of left) {
      const status = await client.status(path, { messages: true });
      if (status !== false) count += status.messages ?? 0;
    }
    return {
      total: { unit: 'messages', count, done: 0 },
      async *messages() {
        for (const theirs of left) {
          const mailbox = new ImapMailbox(client, theirs, options.mailbox ?? ourName(theirs));
          yield* mailbox.messages(theirs.path === place?.path ? place : undefined);
        }
      },
      close: () => client.logout(),
    };
  };
