/** The first start on an empty data folder: the domain and two accounts to try, with passwords that are shown once. */

import { randomBytes } from 'node:crypto';
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

/** null when there is a domain or an account already. */
export async function firstStart(broker: ServiceBroker, config: Config): Promise<FirstStart | null> {
  const { directory } = contextOf(broker).stores;
  if ((await directory.domains()).length > 0 || (await directory.countAccounts()) > 0) return null;
  await call(broker, 'domain.create', { name: config.domain });
  const accounts = NAMES.map((name) => ({
    address: `${name}@${config.domain}`,
    password: base32(randomBytes(PASSWORD_LENGTH)),
  }));
  await Promise.all(accounts.map((account) => call(broker, 'account.create', account)));
  return { accounts };
}
