/** What lies in a folder that a backup is to be taken from. Looking changes nothing there, as opening its stores would. */

import { access, mkdir, open, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

/** Lies in a backup while it is made, and stays in one that was cut off. */
const UNFINISHED = 'unfinished';

/** `machine`: a data folder, or a backup of one, which is the same. */
export type FolderKind = 'machine' | 'mesh' | 'unfinished' | 'other';

export async function folderKind(folder: string): Promise<FolderKind> {
  const has = (file: string): Promise<boolean> =>
    access(join(folder, file)).then(
      () => true,
      () => false,
    );
  if (await has(UNFINISHED)) return 'unfinished';
  if (await has('mail-store.bson')) return 'mesh';
  return (await has('directory.db')) ? 'machine' : 'other';
}

/** Runs what fills the folder. Where it does not come to its end, the folder says so. */
export async function finished<T>(folder: string, fill: () => Promise<T>): Promise<T> {
  const mark = join(folder, UNFINISHED);
  await mkdir(folder, { recursive: true, mode: 0o700 });
  await writeFile(mark, '');
  await syncFolder(folder);
  const result = await fill();
  await rm(mark);
  await syncFolder(folder);
  return result;
}

async function syncFolder(folder: string): Promise<void> {
  const handle = await open(folder, 'r');
  await handle.sync();
  await handle.close();
}
