/**
 * Puts a backup of a mesh into the empty database of one: mailboxes as they were, uids included, then the blobs that they
 * refer to, the queue and what was learned, and names and passwords last, so that nobody is served before all is there. It
 * may be interrupted and run again.
 */

import type { Config } from '../core/config/load.ts';
import { ClientError, Fault } from '../core/mail/errors.ts';
import type { AccountId, ContentId } from '../core/mail/ids.ts';
import { type Layout, layoutBlobs } from '../core/mail/layout.ts';
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
  const now = Date.now;
  const backup = await openBackup(folder, now);
  try {
    const mesh = await openStores(config, now, { node: owner });
    try {
      const { restoreMail, isHalfRestored, setHalfRestored } = mesh.mesh!;
      if ((await mesh.directory.countAccounts()) > 0 && !(await isHalfRestored()))
        throw new ClientError('conflict', {
          detail: 'the mesh has accounts: a backup is put into an empty database only',
        });
      await setHalfRestored(true);
      await restoreMail(folder);
      const blobs = new BlobCopier(backup.blobs, mesh.blobs);
      const { messages, damaged } = await copyContents(mesh, blobs, progress);
      const report = await transfer({ ...backup, mail: NO_MAIL }, mesh, { owner, now });
      await setHalfRestored(false);
      const { accounts } = await mesh.mail.stats();
      return {
        ...report,
        ...{ source: folder, accounts, accountsInAll: accounts, messages, messagesInAll: messages },
        ...{ blobs: report.blobs + blobs.copied, bytes: report.bytes + blobs.bytes },
        ...{ damagedCount: report.damagedCount + damaged.length, damaged: [...damaged, ...report.damaged] },
      };
    } finally {
      await mesh.close();
    }
  } finally {
    await backup.close();
  }
}

/** A message whose bytes the backup has lost is named; the others are there. */
async function copyContents(
  { mail }: Stores,
  blobs: BlobCopier,
  progress: (messages: number, bytes: number) => void,
): Promise<{ readonly messages: number; readonly damaged: TransferReport['damaged'] }> {
  let messages = 0;
  const damaged: TransferReport['damaged'] = [];
  for (let cursor: AccountId | null = null; ; ) {
    const page: readonly AccountId[] = await mail.accounts(cursor, PAGE);
    for (const account of page) {
      for (const { id, name } of await mail.mailboxes(account)) {
        const { contents, uids } = (await mail.columns(account, id)) ?? { contents: new Float64Array(), uids: [] };
        for (let i = 0; i < contents.length; i += CONTENTS) {
          const ids = [...contents.subarray(i, i + CONTENTS)] as ContentId[];
          for (const [at, content] of (await mail.contents(account, ids, ['layout'])).entries()) {
            const trouble = content === undefined ? undefined : await copyBlobs(content.layout, blobs);
            if (trouble !== undefined)
              damaged.push({ what: `${account}, ${name}, uid ${uids[i + at]}`, detail: trouble });
          }
          messages += ids.length;
          progress(messages, blobs.bytes);
        }
      }
    }
    if (page.length < PAGE) return { messages, damaged };
    cursor = page.at(-1)!;
  }
}

/** What is wrong, where the backup is broken. */
async function copyBlobs(layout: Layout, blobs: BlobCopier): Promise<string | undefined> {
  try {
    for (const ref of layoutBlobs(layout)) await blobs.copy(ref);
    return undefined;
  } catch (error) {
    if (!(error instanceof Fault)) throw error;
    return error.message;
  }
}
