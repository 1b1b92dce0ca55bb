/**
 * A consistent copy of a database in use, made by SQLite's online backup on a connection and thread of its own, so
 * neither the writer nor the main thread waits for it. Everything committed before the call is in it.
 */

import path from 'node:path';
import { backup, DatabaseSync } from 'node:sqlite';
import { closeFile, openFile, syncFile, syncFolder } from './blob-io.ts';
import { sqliteFailure } from './sqlite-writer.ts';

/** All pages in one step: a backup by several steps starts again with each commit of the writer. */
const ALL_PAGES = 0x7fffffff;

/** Resolves when the copy survives power loss. */
export async function snapshotDatabase(file: string, destination: string): Promise<void> {
  const source = new DatabaseSync(file, { readOnly: true });
  try {
    await backup(source, destination, { rate: ALL_PAGES });
  } catch (error) {
    throw sqliteFailure(error, file);
  } finally {
    source.close();
  }
  const fd = await openFile(destination, 'r+');
  try {
    await syncFile(fd);
  } finally {
    await closeFile(fd);
  }
  await syncFolder(path.dirname(destination));
}
