/**
 * `mailmesh restore`: puts a backup into an empty data folder. The copy is made beside it and renamed when it is whole and
 * safe on the disk, so an interrupted restore leaves no half data folder.
 */

import { randomBytes } from 'node:crypto';
import { constants } from 'node:fs';
import { copyFile, mkdir, open, readdir, rename, rm, rmdir, stat } from 'node:fs/promises';
import { dirname, join, relative, resolve } from 'node:path';
import type { Config } from '../../core/config/load.ts';
import { folderKind } from '../../mixins/backup-folder.ts';
import type { Command, Context } from '../command.ts';
import { CommandError } from '../errors.ts';
import { formatSize } from '../format.ts';
import { Progress } from '../progress.ts';

async function filesBelow(folder: string): Promise<string[]> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  const files = entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name));
  const other = entries.find((entry) => !entry.isFile() && !entry.isDirectory());
  if (other !== undefined)
    throw new CommandError(`${join(other.parentPath, other.name)} is neither a file nor a folder`);
  return files.map((file) => relative(folder, file)).sort();
}

async function isEmptyOrMissing(folder: string): Promise<boolean> {
  try {
    return (await readdir(folder)).length === 0;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return true;
    throw error;
  }
}

async function sync(path: string): Promise<void> {
  const handle = await open(path, 'r');
  await handle.sync();
  await handle.close();
}

async function copyAll(source: string, files: readonly string[], target: string): Promise<number> {
  let bytes = 0;
  const folders = new Set<string>([target]);
  for (const file of files) {
    const to = join(target, file);
    if (!folders.has(dirname(to))) await mkdir(dirname(to), { recursive: true, mode: 0o700 });
    for (let folder = dirname(to); !folders.has(folder); folder = dirname(folder)) folders.add(folder);
    await copyFile(join(source, file), to, constants.COPYFILE_EXCL | constants.COPYFILE_FICLONE);
    await sync(to);
    bytes += (await stat(to)).size;
  }
  for (const folder of folders) await sync(folder);
  return bytes;
}

/** Either mode takes its own backups; the other's have a way of their own. */
async function checkKind(source: string, wanted: 'machine' | 'mesh'): Promise<void> {
  const kind = await folderKind(source);
  if (kind === 'unfinished') throw new CommandError(`${source} is a backup that was cut off before it was whole`);
  if (wanted === 'machine' && kind === 'mesh')
    throw new CommandError(
      `${source} is the backup of a mesh: restore it into one, and take that to a data folder by mailmesh export --to`,
    );
  if (wanted === 'mesh' && kind === 'machine')
    throw new CommandError(
      `${source} is the backup of one machine: a mesh takes it by mailmesh import --from ${source}`,
    );
  if (wanted === 'mesh' && kind === 'other') throw new CommandError(`${source} is no backup of Mailmesh`);
}

async function restoreIntoMesh(context: Context, config: Config, folder: string): Promise<number> {
  // Loaded only here: it brings the stores of both kinds.
  const { restoreMesh } = await import('../../mixins/restore.ts');
  let told = { messages: 0, bytes: 0 };
  const progress = new Progress({
    label: `Restoring ${folder}`,
    total: { unit: 'messages', count: 0, done: 0 },
    stream: context.io.err,
    now: context.io.now,
  });
  try {
    const report = await restoreMesh({
      ...{ config, folder, owner: `restore-${randomBytes(6).toString('hex')}` },
      progress: (messages, bytes) => {
        progress.add(messages - told.messages, bytes - told.bytes);
        told = { messages, bytes };
      },
    });
    context.show(
      report,
      ({ accounts, messages, bytes, damagedCount }) =>
        `Restored ${accounts} accounts with ${messages} messages, ${formatSize(bytes)}. Check it: mailmesh verify${damagedCount === 0 ? '' : ` (${damagedCount} could not be copied)`}`,
    );
    return report.damagedCount === 0 ? 0 : 1;
  } finally {
    progress.end();
  }
}

export const command: Command = {
  name: 'restore',
  summary: 'Put a backup into an empty data folder.',
  verbs: [
    {
      name: '',
      args: ['SRC'],
      summary: 'Copies a backup into the data folder (MAILMESH_DATA_DIR), which must be empty or not there.',
      notes: ['In a mesh it goes into the database, which must have no accounts.'],
      examples: ['MAILMESH_DATA_DIR=/srv/mail mailmesh restore /var/backups/mailmesh-2026-11-24'],
      async run(context) {
        const source = resolve(context.args[0]!);
        const config = await context.config();
        await checkKind(source, config.mongoUrl === null ? 'machine' : 'mesh');
        if (config.mongoUrl !== null) return restoreIntoMesh(context, config, source);
        const target = resolve(config.dataDir);
        const files = await filesBelow(source);
        if (!files.some((file) => file.endsWith('.db'))) throw new CommandError(`${source} is no backup of Mailmesh`);
        if (!(await isEmptyOrMissing(target)))
          throw new CommandError(`${target} is not empty: a backup is restored into an empty data folder only`);
        const half = `${target}.restoring-${process.pid}`;
        await mkdir(half, { recursive: true, mode: 0o700 });
        try {
          const bytes = await copyAll(source, files, half);
          await rmdir(target).catch((error: NodeJS.ErrnoException) => {
            if (error.code !== 'ENOENT') throw error;
          });
          await rename(half, target);
          await sync(dirname(target));
          const result = { source, dataDir: target, files: files.length, bytes };
          context.show(
            result,
            () => `Restored ${files.length} files, ${formatSize(bytes)}, to ${target}. Check it: mailmesh verify`,
          );
        } catch (error) {
          await rm(half, { recursive: true, force: true });
          throw error;
        }
        return 0;
      },
    },
  ],
};
