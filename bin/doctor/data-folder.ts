/** The data folder: whether it can be used, who else can read it, how much room it has, and whether the clock fits it. */

import { constants } from 'node:fs';
import { access, readdir, stat, statfs } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import type { Config } from '../../core/config/load.ts';
import { formatSize, formatSpan, formatTime } from '../format.ts';
import { type Finding, finding } from './finding.ts';

const ROOM_BYTES_LEAST = 1024 ** 3;
const ROOM_SHARE_LEAST = 0.05;
/** Before this the clock has never been set. */
const CLOCK_LEAST = Date.UTC(2026, 0, 1);
/** File systems and clocks differ by less. */
const CLOCK_SLACK_MS = 5 * 60_000;

const exists = (path: string): Promise<boolean> =>
  access(path).then(
    () => true,
    () => false,
  );

async function nearestFolder(path: string): Promise<string> {
  let folder = resolve(path);
  while (!(await exists(folder)) && dirname(folder) !== folder) folder = dirname(folder);
  return folder;
}

async function checkAccess(folder: string, there: boolean): Promise<Finding[]> {
  const place = there ? folder : await nearestFolder(folder);
  try {
    await access(place, constants.R_OK | constants.W_OK | constants.X_OK);
  } catch {
    return [finding('data folder', 'fail', `${place} may not be written by this user`)];
  }
  if (!there) return [finding('data folder', 'info', `${folder} is made at the first start`)];
  const info = await stat(folder);
  if (!info.isDirectory()) return [finding('data folder', 'fail', `${folder} is not a folder`)];
  const others = info.mode & 0o077;
  const mode = (info.mode & 0o777).toString(8);
  return [
    others === 0
      ? finding('permissions', 'ok', `${folder} is open to its owner only (${mode})`)
      : finding('permissions', 'fail', `${folder} is open to other users (${mode}): chmod 700 ${folder}`),
  ];
}

async function checkRoom(folder: string): Promise<Finding> {
  const { bavail, blocks, bsize } = await statfs(await nearestFolder(folder));
  const [free, all] = [bavail * bsize, blocks * bsize];
  const detail = `${formatSize(free)} of ${formatSize(all)} free`;
  if (free < ROOM_BYTES_LEAST / 10) return finding('disk', 'fail', detail);
  return finding('disk', free < ROOM_BYTES_LEAST || free < all * ROOM_SHARE_LEAST ? 'warn' : 'ok', detail);
}

/** What was written last cannot lie in the future: then the clock has been set back, and times and ids would repeat. */
async function checkClock(folder: string, there: boolean, now: number): Promise<Finding> {
  if (now < CLOCK_LEAST) return finding('clock', 'fail', `${formatTime(now)} UTC: the clock is not set`);
  let newest = 0;
  for (const name of there ? await readdir(folder) : [])
    newest = Math.max(newest, (await stat(join(folder, name)).catch(() => ({ mtimeMs: 0 }))).mtimeMs);
  if (newest > now + CLOCK_SLACK_MS)
    return finding('clock', 'warn', `${formatTime(now)} UTC, but data was written ${formatSpan(newest - now)} later`);
  return finding('clock', 'ok', `${formatTime(now)} UTC`);
}

export async function checkDataFolder(config: Config, now: number): Promise<Finding[]> {
  const folder = resolve(config.dataDir);
  const there = await exists(folder);
  return [...(await checkAccess(folder, there)), await checkRoom(folder), await checkClock(folder, there, now)];
}
