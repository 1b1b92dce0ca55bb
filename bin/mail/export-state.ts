/**
 * What an export folder holds: kept in the folder itself, so that the same export goes on where it was, and adds only what
 * is new when it is run again.
 */

import { mkdir, readFile, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { CommandError } from '../errors.ts';

export type ExportFormat = 'mbox' | 'maildir' | 'eml';

interface MailboxState {
  readonly uidValidity: number;
  /** mbox: the last uid written, and the length of the file behind it. */
  uid: number;
  bytes: number;
}

interface Contents {
  readonly format: ExportFormat;
  readonly account: string;
  readonly mailboxes: Record<string, MailboxState>;
}

const FILE = '.mailmesh-export.json';

export class ExportState {
  readonly #folder: string;
  readonly #contents: Contents;

  private constructor(folder: string, contents: Contents) {
    this.#folder = folder;
    this.#contents = contents;
  }

  static async open(folder: string, format: ExportFormat, account: string): Promise<ExportState> {
    await mkdir(folder, { recursive: true });
    let text: string;
    try {
      text = await readFile(join(folder, FILE), 'utf8');
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
      return new ExportState(folder, { format, account, mailboxes: {} });
    }
    const contents = JSON.parse(text) as Contents;
    if (contents.format !== format || contents.account !== account)
      throw new CommandError(`${folder} holds an export of another kind or account: take another folder`);
    return new ExportState(folder, contents);
  }

  /** Uids only name messages within one uidValidity (RFC 9051 §2.3.1.1). */
  mailbox(name: string, uidValidity: number): MailboxState {
    const known = this.#contents.mailboxes[name];
    if (known === undefined) {
      const fresh = { uidValidity, uid: 0, bytes: 0 };
      this.#contents.mailboxes[name] = fresh;
      return fresh;
    }
    if (known.uidValidity !== uidValidity)
      throw new CommandError(`mailbox ${name} was made anew since the last export: take another folder`);
    return known;
  }

  async save(): Promise<void> {
    const path = join(this.#folder, FILE);
    await writeFile(`${path}.new`, JSON.stringify(this.#contents));
    await rename(`${path}.new`, path);
  }
}
