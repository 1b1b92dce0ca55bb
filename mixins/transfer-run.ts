/**
 * Takes an installation of one machine into the stores that the configuration names, or out of them into a data folder.
 * The folder is locked meanwhile, so no server works on it.
 */

import type { Config } from '../core/config/load.ts';
import { openStores } from './storage.ts';
import { newRun, type TransferReport, transfer } from './transfer.ts';

export interface TransferRun {
  readonly config: Config;
  /** A data folder of one machine. */
  readonly folder: string;
  readonly direction: 'in' | 'out';
  readonly progress: (report: Readonly<TransferReport>) => void;
  readonly signal: AbortSignal;
}

/** Rejects with DataInUse while a server runs on the folder. */
export async function runTransfer(run: TransferRun): Promise<TransferReport> {
  const { config, folder, direction, progress, signal } = run;
  const owner = newRun();
  const now = Date.now;
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
