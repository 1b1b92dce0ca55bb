/**
 * Puts a backup of a mesh into the empty database of one: mailboxes as they were, uids included, then the blobs that they
 * refer to, the queue and what was learned, and names and passwords last, so that nobody is served before all is there. It
 * may be interrupted and run again.
 */

import { access } from 'node:fs/promises';
import { join } from 'node:path';
import type { Config } from '../core/config/load.ts';
import { ClientError } from '../core/mail/errors.ts';
import type { AccountId, ContentId } from '../core/mail/ids.ts';
import { layoutBlobs } from '../core/mail/layout.ts';
import type { MailStore } from '../core/ports/mail-store.ts';
import { openStores } from './storage.ts';
import { openBackup } from './storage-embedded.ts';
import type { Stores } from './stores.ts';
import { type TransferReport, transfer } from './transfer.ts';
import { BlobCopier } from './transfer-blobs.ts';

const PAGE = 500;
const CONTENTS = 200;

/** A source without mailboxes: those of a mesh's backup have a file of their own. */
const NO_MAIL = {
  stats: async () => ({ accounts: 0, messages: 0, stored: 0 }),
  accounts: async () => [],
  outbox: async () => [],
} as unknown as MailStore;

export interface RestoreReport extends TransferReport {
  readonly source: string;
}

export interface RestoreRun {
  readonly config: Config;
  readonly folder: string;
  /** Names this run. */
  readonly owner: string;
  readonly progress: (messages: number, bytes: number) => void;
}

export async function restoreMesh({ config, folder, owner, progress }: RestoreRun): Promise<RestoreReport> {
  await checkBackup(folder);
  const now = Date.now;
  const backup = await openBackup(folder, now);
  try {
    const mesh = await openStores(config, now, { node: owner });
    try {
      if ((await mesh.directory.countAccounts()) > 0)
        throw new ClientError('conflict', {
          detail: 'the mesh has accounts: a backup is put into an empty database only',
        });
      await mesh.mesh!.restoreMail(folder);
      const blobs = new BlobCopier(backup.blobs, mesh.blobs);
      const messages = await copyContents(mesh, blobs, progress);
      const report = await transfer({ ...backup, mail: NO_MAIL }, mesh, { owner, now });
      const { accounts } = await mesh.mail.stats();
      return {
        ...report,
        ...{ source: folder, accounts, accountsInAll: accounts, messages },
        ...{ blobs: report.blobs + blobs.copied, bytes: report.bytes + blobs.bytes },
      };
    } finally {
      await mesh.close();
    }
  } finally {
    await backup.close();
  }
}

async function checkBackup(folder: string): Promise<void> {
  try {
    await access(join(folder, 'mail-store.bson'));
  } catch {
    throw new ClientError('notFound', { what: 'backup of a mesh', folder });
  }
}

/** The number of messages. */
async function copyContents(
  { mail }: Stores,
  blobs: BlobCopier,
  progress: (messages: number, bytes: number) => void,
): Promise<number> {
  let messages = 0;
  for (let cursor: AccountId | null = null; ; ) {
    const page: readonly AccountId[] = await mail.accounts(cursor, PAGE);
    for (const account of page) {
      for (const { id } of await mail.mailboxes(account)) {
        const contents = (await mail.columns(account, id))?.contents ?? new Float64Array();
        for (let i = 0; i < contents.length; i += CONTENTS) {
          const ids = [...contents.subarray(i, i + CONTENTS)] as ContentId[];
          for (const content of await mail.contents(account, ids, ['layout']))
            for (const ref of content === undefined ? [] : layoutBlobs(content.layout)) await blobs.copy(ref);
          messages += ids.length;
          progress(messages, blobs.bytes);
        }
      }
    }
    if (page.length < PAGE) return messages;
    cursor = page.at(-1)!;
  }
}
