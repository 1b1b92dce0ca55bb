/**
 * Takes an installation of one machine into the stores that the configuration names, or out of them into a data folder.
 * The folder is locked meanwhile, so no server works on it.
 */

import { access } from 'node:fs/promises';
import { join } from 'node:path';
import type { Config } from '../core/config/load.ts';
import { ClientError } from '../core/mail/errors.ts';
import { openStores } from './storage.ts';
import { type TransferReport, transfer } from './transfer.ts';

export interface TransferRun {
  readonly config: Config;
  /** A data folder of one machine. */
  readonly folder: string;
  readonly direction: 'in' | 'out';
  /** Names this run to leases. */
  readonly owner: string;
  readonly progress: (report: Readonly<TransferReport>) => void;
  readonly signal: AbortSignal;
}

/** Rejects with DataInUse while a server runs on the folder. */
export async function runTransfer(run: TransferRun): Promise<TransferReport> {
  const { config, folder, direction, owner, progress, signal } = run;
  const now = Date.now;
  if (direction === 'in' && !(await isInstallation(folder)))
    throw new ClientError('notFound', { what: 'data folder', folder });
  const machine = await openStores({ ...config, dataDir: folder, mongoUrl: null, natsUrl: null }, now);
  try {
    const mesh = await openStores(config, now, { node: owner });
    try {
      const [from, to] = direction === 'in' ? [machine, mesh] : [mesh, machine];
      return await transfer(from, to, { owner, now, progress, signal });
    } finally {
      await mesh.close();
    }
  } finally {
    await machine.close();
  }
}

/** Opening a folder would make it one. */
async function isInstallation(folder: string): Promise<boolean> {
  try {
    await access(join(folder, 'directory.db'));
    return true;
  } catch {
    return false;
  }
}
