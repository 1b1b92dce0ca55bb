/**
 * An online copy of the blob folder. The index's snapshot is taken first, so all it names is in the packs that follow.
 * Files that are never changed again are hard links where the file system allows; the pack that is appended to is copied.
 */

import fs from 'node:fs';
import path from 'node:path';
import { ClientError } from '../../core/mail/errors.ts';
import { packFile } from './blob-appender.ts';
import { blobFile, blobFileRefs, Shards } from './blob-file.ts';
import { closeFile, diskError, errorCode, makeFolder, openFile, syncFile, syncFolder } from './blob-io.ts';
import { type BlobParts, turn } from './blob-parts.ts';
import { snapshotDatabase } from './sqlite-snapshot.ts';

export async function backupBlobs({ folder, index, appender }: BlobParts, destination: string): Promise<void> {
  const snapshot = path.join(destination, path.basename(index.file));
  if (fs.existsSync(snapshot)) throw new ClientError('conflict', { destination });
  try {
    for (const name of ['packs', 'files', 'tmp']) await makeFolder(path.join(destination, name));
    const shards = new Shards(destination);
    await index.settled();
    await snapshotDatabase(index.file, snapshot);
    for (const pack of appender.ends.keys()) {
      const copy = packFile(destination, pack);
      if (pack === appender.current) await copyFile(packFile(folder, pack), copy);
      else await linkFile(packFile(folder, pack), copy);
    }
    let count = 0;
    for (const ref of blobFileRefs(folder)) {
      // A put's file may be there already, and that is fine: its row is not.
      await shards.ready(ref);
      await linkFile(blobFile(folder, ref), blobFile(destination, ref));
      if (++count % 100 === 0) await turn();
    }
    for (const shard of fs.readdirSync(path.join(destination, 'files')))
      await syncFolder(path.join(destination, 'files', shard));
    for (const name of ['packs', 'files', '']) await syncFolder(path.join(destination, name));
  } catch (error) {
    throw diskError(error, destination);
  }
}

async function linkFile(from: string, to: string): Promise<void> {
  try {
    await fs.promises.link(from, to);
  } catch (error) {
    // Another file system, or one without links.
    if (!['EXDEV', 'EPERM', 'ENOTSUP', 'EOPNOTSUPP', 'EMLINK', 'ENOSYS'].includes(errorCode(error))) throw error;
    await copyFile(from, to);
  }
}

async function copyFile(from: string, to: string): Promise<void> {
  await fs.promises.copyFile(from, to, fs.constants.COPYFILE_FICLONE);
  const fd = await openFile(to, 'r+');
  try {
    await syncFile(fd);
  } finally {
    await closeFile(fd);
  }
}
