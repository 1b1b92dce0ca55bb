/** Our server, started as its users start it: a process of its own on a new data folder, logging to a file. */

import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { mkdtemp, open, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ControlClient } from '../bin/client.ts';
import { loadConfig } from '../core/config/load.ts';
import { type AccountId, type MailboxId, randomId } from '../core/mail/ids.ts';
import { hashPassword } from '../core/sasl/password.ts';
import { controlPath } from '../mixins/control-path.ts';
import { startMailboxes } from '../mixins/start-mailboxes.ts';
import { openStores } from '../mixins/storage.ts';
import { serverEnvironment } from '../test/support/server.ts';
import { DOMAIN, type Login, logins, PASSWORD, type System } from './system.ts';

const COMMAND = join(import.meta.dirname, '..', 'bin', 'mailmesh.mjs');
const AT_A_TIME = 500;

export interface MailmeshOptions {
  /** Name server that it asks. */
  readonly resolver: string;
  /** Accounts that are there before it starts. */
  readonly accounts?: number;
  /** For the server's Node, such as `--cpu-prof`. */
  readonly nodeOptions?: string;
  /** Makes it a node of a mesh; the users are made by whoever starts its first. */
  readonly mesh?: { readonly mongoUrl: string; readonly natsUrl: string; readonly users: readonly Login[] | null };
}

interface Started {
  readonly listeners: readonly { readonly name: string; readonly port: number }[];
}

/** Accounts put into the stores of a server that is not running; all have one password, hashed once. */
async function fillAccounts(dataDir: string, count: number): Promise<void> {
  const stores = await openStores(loadConfig({ MAILMESH_DATA_DIR: dataDir }), Date.now);
  const credential = await hashPassword(PASSWORD, randomBytes(16));
  await stores.directory.addDomain({ name: DOMAIN, catchAll: null, createdAt: Date.now() });
  const add = async (address: string): Promise<void> => {
    const id = randomId<AccountId>(randomBytes(16));
    const mailboxes = startMailboxes(() => randomId<MailboxId>(randomBytes(16)));
    await stores.mail.createAccount({ account: id, quotaBytes: null, quotaMessages: null, mailboxes });
    const spam = { allow: [], block: [] };
    const limits = { quotaBytes: null, quotaMessages: null, createdAt: Date.now(), rev: 1 };
    await stores.directory.addAccount({ id, address, enabled: true, ...limits, spam }, credential);
  };
  for (let from = 0; from < count; from += AT_A_TIME) {
    const length = Math.min(AT_A_TIME, count - from);
    await Promise.all(Array.from({ length }, (_, i) => add(`many${from + i}@${DOMAIN}`)));
  }
  await stores.close();
}

async function startedOf(stdout: AsyncIterable<unknown>): Promise<Started | undefined> {
  let all = '';
  for await (const piece of stdout) {
    all += String(piece);
    try {
      return JSON.parse(all) as Started;
    } catch {
      // The object is not complete yet.
    }
  }
  return undefined;
}

export async function startMailmesh(options: MailmeshOptions): Promise<System> {
  const dataDir = await mkdtemp(join(tmpdir(), 'mailmesh-bench-'));
  const remove = (): Promise<void> => rm(dataDir, { recursive: true, force: true });
  if (options.accounts !== undefined) await fillAccounts(dataDir, options.accounts);
  const logFile = join(dataDir, 'server.log');
  const log = await open(logFile, 'w');
  const more: Record<string, string> = { MAILMESH_INSECURE_AUTH: 'true', MAILMESH_RESOLVER_SERVERS: options.resolver };
  if (options.nodeOptions !== undefined) more.NODE_OPTIONS = options.nodeOptions;
  if (options.mesh !== undefined) {
    more.MAILMESH_MONGO_URL = options.mesh.mongoUrl;
    more.MAILMESH_NATS_URL = options.mesh.natsUrl;
  }
  // As `npm start` does it.
  Object.assign(more, { MALLOC_MMAP_THRESHOLD_: '131072' });
  const child = spawn(process.execPath, ['--max-semi-space-size=8', COMMAND, 'start', '--json'], {
    env: serverEnvironment(dataDir, more),
    // Over the channel it hears when this process ends, and ends too.
    stdio: ['ignore', 'pipe', log.fd, 'ipc'],
  });
  const stdout = child.stdout!;
  const exited = once(child, 'exit');
  const started = await Promise.race([startedOf(stdout), exited.then(() => undefined)]);
  await log.close();
  if (started === undefined) {
    const text = await readFile(logFile, 'utf8');
    await remove();
    throw new Error(`the server did not start: ${text}`);
  }
  stdout.resume();
  return {
    name: 'Mailmesh',
    ports: Object.fromEntries(started.listeners.map(({ name, port }) => [name, port])),
    users: options.accounts === undefined ? (options.mesh?.users ?? (await addUsers(dataDir))) : [],
    places: ['INBOX', 'Junk'],
    roots: [child.pid!],
    async stop() {
      child.kill('SIGTERM');
      await exited;
      await remove();
    },
  };
}

async function addUsers(dataDir: string): Promise<readonly Login[]> {
  const control = new ControlClient(controlPath(dataDir));
  const users = logins();
  for (const user of users) await control.call('account.create', user);
  await control.close();
  return users;
}
