/**
 * Runs an import: any source into one account's mailboxes. Every message carries a key made of account, mailbox, content
 * and place in the source, so importing the same source again, also after an interruption anywhere, adds nothing twice.
 * Blobs are put several at a time; appends to one mailbox go in the source's order, so uids ascend as it had them.
 */

import { createHash } from 'node:crypto';
import type { MeshClient } from '../client.ts';
import { CommandError, oneLine } from '../errors.ts';
import type { StoredBlob } from '../mesh-node.ts';
import type { Progress } from '../progress.ts';
import { HeaderPeek, withCrlf } from './message-stream.ts';
import type { ResumeFile } from './resume-file.ts';
import type { Source, SourceMessage } from './source.ts';

export interface ImportReport {
  imported: number;
  /** There already from an earlier run. */
  duplicates: number;
  bytes: number;
  readonly failed: { readonly mailbox: string; readonly key: string; readonly why: string }[];
}

interface ImportOptions {
  readonly client: MeshClient;
  /** The account's id. */
  readonly account: string;
  readonly source: Source;
  readonly progress: Progress;
  readonly resume: ResumeFile;
}

/** Messages up to this size wait in memory for their turn; larger ones are passed on as they are read. */
const HELD_BYTES_MAX = 512 * 1024;
const IN_FLIGHT_MAX = 16;
const FAILURES_IN_A_ROW_MAX = 20;

class Import {
  readonly report: ImportReport = { imported: 0, duplicates: 0, bytes: 0, failed: [] };
  readonly #options: ImportOptions;
  readonly #mailboxes: Set<string>;
  /** Per mailbox, the append that must be done before the next. */
  readonly #turns = new Map<string, Promise<void>>();
  readonly #inFlight = new Set<Promise<void>>();
  /** In the source's order, from the first that is not done. */
  readonly #places: { done: boolean; readonly resume: string | null }[] = [];
  #failuresInARow = 0;
  #broken: { readonly error: unknown } | undefined;

  constructor(options: ImportOptions, mailboxes: Iterable<string>) {
    this.#options = options;
    this.#mailboxes = new Set(mailboxes);
  }

  async run(): Promise<void> {
    for await (const message of this.#options.source.messages()) {
      await this.#take(message);
      if (this.#broken !== undefined) break;
    }
    await Promise.all(this.#inFlight);
    if (this.#broken !== undefined) throw this.#broken.error;
  }

  async #take(message: SourceMessage): Promise<void> {
    const mailbox = message.mailbox.toUpperCase() === 'INBOX' ? 'INBOX' : message.mailbox;
    const header = new HeaderPeek();
    const stream = withCrlf(header.through(message.read()));
    const held: Uint8Array[] = [];
    let size = 0;
    let whole = true;
    const rest = stream[Symbol.asyncIterator]();
    for (let next = await rest.next(); !next.done; next = await rest.next()) {
      held.push(next.value);
      size += next.value.length;
      if (size <= HELD_BYTES_MAX) continue;
      whole = false;
      break;
    }
    const bytes = async function* (): AsyncGenerator<Uint8Array> {
      yield* held;
      if (!whole) yield* { [Symbol.asyncIterator]: () => rest };
    };
    const put = this.#options.client.putBlob(bytes());
    const task = this.#inTurn(message, mailbox, put, header);
    this.#inFlight.add(task);
    void task.finally(() => this.#inFlight.delete(task));
    // The source's reader can't go on while a message is still being read.
    if (!whole) await put.catch(() => {});
    while (this.#inFlight.size >= IN_FLIGHT_MAX) await Promise.race(this.#inFlight);
  }

  /** Never rejects. */
  #inTurn(message: SourceMessage, mailbox: string, put: Promise<StoredBlob>, header: HeaderPeek): Promise<void> {
    const place = { done: false, resume: message.resume };
    this.#places.push(place);
    const before = this.#turns.get(mailbox) ?? Promise.resolve();
    const task = Promise.allSettled([put, before]).then(async ([blob]) => {
      if (this.#broken !== undefined) return;
      try {
        if (blob.status === 'rejected') throw blob.reason;
        await this.#append(message, mailbox, blob.value, header);
        this.#failuresInARow = 0;
      } catch (error) {
        this.#fail(message, mailbox, error);
        if (this.#broken !== undefined) return;
      }
      place.done = true;
      await this.#advance();
    });
    const settled = task.catch((error: unknown) => {
      this.#broken ??= { error };
    });
    this.#turns.set(mailbox, settled);
    return settled;
  }

  async #append(message: SourceMessage, mailbox: string, blob: StoredBlob, header: HeaderPeek): Promise<void> {
    const { client, account, progress } = this.#options;
    if (!this.#mailboxes.has(mailbox)) {
      await client.call('folder.create', { account, name: mailbox });
      this.#mailboxes.add(mailbox);
    }
    const internalDate = message.internalDate(header);
    const { duplicate } = await client.call('message.append', {
      account,
      mailbox,
      blob: blob.blob,
      sizeBytes: blob.sizeBytes,
      flags: message.flags(header),
      ...(internalDate === null ? {} : { internalDate }),
      dedupe: createHash('sha256').update([account, mailbox, blob.blob, message.key].join('\0')).digest('hex'),
    });
    if (duplicate) this.report.duplicates += 1;
    else this.report.imported += 1;
    this.report.bytes += blob.sizeBytes;
    progress.add(1, blob.sizeBytes);
  }

  /** One message's failure is told and passed over; a lost server, or failure after failure, ends the import. */
  #fail(message: SourceMessage, mailbox: string, error: unknown): void {
    const why = oneLine(error);
    const { code } = error as NodeJS.ErrnoException;
    if (why === undefined || typeof code === 'string') {
      this.#broken = {
        error: why === undefined ? error : new CommandError(`${why}: run the same command again to go on`),
      };
      return;
    }
    this.report.failed.push({ mailbox, key: message.key, why });
    this.#failuresInARow += 1;
    if (this.#failuresInARow < FAILURES_IN_A_ROW_MAX) return;
    this.#broken = { error: new CommandError(`${FAILURES_IN_A_ROW_MAX} failures in a row, the last: ${why}`) };
  }

  async #advance(): Promise<void> {
    let resume: string | null = null;
    while (this.#places[0]?.done === true) ({ resume } = this.#places.shift()!);
    if (resume !== null) await this.#options.resume.save(resume);
  }
}

export async function runImport(options: ImportOptions): Promise<ImportReport> {
  const { client, account } = options;
  const folders = await client.call('folder.list', { account });
  const run = new Import(
    options,
    folders.items.map(({ name }) => name),
  );
  await run.run();
  // With failures the place is not kept: the next run looks at everything again, and adds what failed.
  await options.resume.remove();
  return run.report;
}
