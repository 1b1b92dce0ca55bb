/**
 * Copying a directory through its port into another one of any kind. What is there already from an earlier try is left, so
 * a copy can be gone on with; a name that somebody else has there ends it.
 */

import { ClientError } from '../../core/mail/errors.ts';
import type { Directory } from '../../core/ports/directory.ts';

const PAGE = 500;

/** @param isSame whether what was in the way is the very thing that was to be added */
async function unlessThere(adding: Promise<void>, isSame: () => Promise<boolean>): Promise<void> {
  try {
    await adding;
  } catch (error) {
    if (!(error instanceof ClientError) || !(await isSame())) throw error;
  }
}

/** Domains, accounts with their credentials, aliases, API keys; catch-alls last, when those they name are there. */
export async function copyDirectory(from: Directory, to: Directory): Promise<void> {
  const domains = await from.domains();
  for (const domain of domains)
    await unlessThere(
      to.addDomain({ ...domain, catchAll: null }),
      async () => (await to.domain(domain.name)) !== undefined,
    );
  for (let cursor: string | null = null; ; ) {
    const page = await from.accounts(cursor, PAGE);
    await Promise.all(
      page.map(async (account) => {
        const credential = await from.credential(account.id);
        // Removed since it was listed.
        if (credential === undefined) return;
        const isSame = async () => (await to.account(account.id))?.address === account.address;
        await unlessThere(to.addAccount(account, credential), isSame);
      }),
    );
    if (page.length < PAGE) break;
    cursor = page.at(-1)!.address;
  }
  for (let cursor: string | null = null; ; ) {
    const page = await from.aliases(cursor, PAGE);
    await Promise.all(
      page.map((alias) =>
        unlessThere(
          to.addAlias(alias),
          async () => String((await to.alias(alias.address))?.accounts) === String(alias.accounts),
        ),
      ),
    );
    if (page.length < PAGE) break;
    cursor = page.at(-1)!.address;
  }
  for (const key of await from.apiKeys())
    await unlessThere(to.addApiKey(key), async () => (await to.apiKeyByHash(key.hash))?.id === key.id);
  for (const { name, catchAll } of domains) if (catchAll !== null) await to.setCatchAll(name, catchAll);
}
