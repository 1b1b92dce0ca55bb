/**
 * The first start on an empty data folder: the domain and two accounts to try, with passwords that are shown once. A first
 * start that fails before anyone can have seen them (a port in use, a kill) is made up for by the next one, which gives
 * the accounts new passwords: a file in the data folder says that it is not over.
 */

import { randomBytes } from 'node:crypto';
import { access, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { ServiceBroker } from 'moleculer';
import type { Config } from '../core/config/load.ts';
import { base32 } from '../core/mail/ids.ts';
import { contextOf } from './context.ts';
import { call } from './contracts.ts';

export interface FirstStart {
  readonly accounts: readonly { readonly address: string; readonly password: string }[];
}

const NAMES = ['alice', 'bob'] as const;
/** 16 characters of base 32: 80 bits. */
const PASSWORD_LENGTH = 16;
const LOCK_MS = 60_000;

const marker = (config: Config): string => join(config.dataDir, 'first-start');

async function isOver(config: Config): Promise<boolean> {
  try {
    await access(marker(config));
    return false;
  } catch {
    return true;
  }
}

/** null when there is a domain or an account already, but for those of a first start that is not over. */
export async function firstStart(broker: ServiceBroker, config: Config): Promise<FirstStart | null> {
  const { stores, mesh } = contextOf(broker);
  const { directory, locks } = stores;
  const isEmpty = (await directory.domains()).length === 0 && (await directory.countAccounts()) === 0;
  if (!isEmpty && (await isOver(config))) return null;
  // Nodes of a mesh that are started together: one of them makes the accounts.
  if (!(await locks.take('first-start', mesh.self, LOCK_MS))) return null;
  await writeFile(marker(config), '');
  if ((await directory.domain(config.domain)) === undefined)
    await call(broker, 'domain.create', { name: config.domain });
  const accounts = NAMES.map((name) => ({
    address: `${name}@${config.domain}`,
    password: base32(randomBytes(PASSWORD_LENGTH)),
  }));
  await Promise.all(
    accounts.map(async ({ address, password }) =>
      (await directory.resolve(address)).length === 0
        ? call(broker, 'account.create', { address, password })
        : call(broker, 'account.update', { account: address, password }),
    ),
  );
  return { accounts };
}

/** The passwords are about to be shown. */
export const firstStartOver = (config: Config): Promise<void> => rm(marker(config), { force: true });
