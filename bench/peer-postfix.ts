/**
 * Postfix beside us: with a configuration and queue of its own, on loopback, ended by its own process id. What it
 * accepts goes on to the transport it is given: to Dovecot over LMTP, or nowhere.
 */

import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { chmod, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { freePort } from '../test/support/child-server.ts';
import { SmtpClient } from './smtp-client.ts';
import { DOMAIN, type Login, type System } from './system.ts';

const PROGRAM = '/usr/sbin/postfix';
const DAEMONS = '/usr/lib/postfix/sbin';
const START_TRIES = 50;
const START_PAUSE_MS = 100;

/** Why it can't be measured here, or null. */
export function postfixMissing(): string | null {
  if (!existsSync(PROGRAM) || !existsSync(DAEMONS)) return 'peer not installed: postfix';
  return process.getuid?.() === 0 ? null : 'postfix is started as root only';
}

const mainFile = (folder: string, transport: string): string => `
compatibility_level = 3.6
queue_directory = ${folder}/spool
data_directory = ${folder}/data
command_directory = /usr/sbin
daemon_directory = ${DAEMONS}
maillog_file_prefixes = ${folder}
maillog_file = ${folder}/postfix.log
myhostname = front.example
mydestination =
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
mynetworks = 127.0.0.0/8
smtp_dns_support_level = disabled
lmtp_host_lookup = native
alias_maps =
alias_database =
local_recipient_maps =
virtual_mailbox_domains = ${DOMAIN}
virtual_transport = ${transport}
smtpd_relay_restrictions = permit_mynetworks, reject
smtpd_client_connection_count_limit = 0
smtpd_peername_lookup = no
`;

const masterFile = (port: number): string =>
  [
    `127.0.0.1:${port} inet n - n - - smtpd`,
    'cleanup unix n - n - 0 cleanup',
    'qmgr unix n - n 300 1 qmgr',
    'rewrite unix - - n - - trivial-rewrite',
    'bounce unix - - n - 0 bounce',
    'defer unix - - n - 0 bounce',
    'trace unix - - n - 0 bounce',
    'verify unix - - n - 1 verify',
    'flush unix n - n 1000? 0 flush',
    'proxymap unix - - n - - proxymap',
    'smtp unix - - n - - smtp',
    'lmtp unix - - n - - lmtp',
    'discard unix - - n - - discard',
    'error unix - - n - - error',
    'retry unix - - n - - error',
    'anvil unix - - n - 1 anvil',
    'scache unix - - n - 1 scache',
    'tlsmgr unix - - n 1000? 1 tlsmgr',
    'postlog unix-dgram n - n - 1 postlogd',
    '',
  ].join('\n');

async function greets(port: number): Promise<boolean> {
  try {
    (await SmtpClient.open(port, 'smtp')).close();
    return true;
  } catch {
    // Not yet.
    return false;
  }
}

export interface PostfixOptions {
  readonly name: string;
  /** As in transport(5): `lmtp:inet:127.0.0.1:2424`, `discard:`. */
  readonly transport: string;
  readonly users: readonly Login[];
  /** Where its mail can be read. */
  readonly behind?: System;
}

export async function startPostfix(options: PostfixOptions): Promise<System> {
  const folder = await mkdtemp(join(tmpdir(), 'postfix-bench-'));
  await chmod(folder, 0o755);
  const port = await freePort();
  await mkdir(join(folder, 'spool'));
  await mkdir(join(folder, 'data'));
  spawnSync('chown', ['postfix', join(folder, 'data')]);
  await writeFile(join(folder, 'main.cf'), mainFile(folder, options.transport));
  await writeFile(join(folder, 'master.cf'), masterFile(port));
  const { status, stderr } = spawnSync(PROGRAM, ['-c', folder, 'start'], { encoding: 'utf8' });
  const log = (): Promise<string> => readFile(join(folder, 'postfix.log'), 'utf8').catch(() => '');
  const pidFile = await readFile(join(folder, 'spool', 'pid', 'master.pid'), 'utf8').catch(() => '');
  const pid = Number(pidFile.trim());
  const stop = async (): Promise<void> => {
    // Postfix's own stop names its master process by the pid file of this folder and waits for its end.
    const stopping = spawn(PROGRAM, ['-c', folder, 'stop'], { stdio: 'ignore' });
    await once(stopping, 'exit');
    await rm(folder, { recursive: true, force: true, maxRetries: 5, retryDelay: 200 });
  };
  for (let tries = 0; status !== 0 || !(await greets(port)); tries++) {
    if (tries === START_TRIES || status !== 0) {
      const text = `${stderr}${await log()}`;
      await stop();
      throw new Error(`postfix did not start: ${text}`);
    }
    await pause(START_PAUSE_MS);
  }
  const { behind } = options;
  return {
    name: options.name,
    ports: { smtp: port, ...(behind?.ports.imap === undefined ? {} : { imap: behind.ports.imap }) },
    users: options.users,
    places: ['INBOX'],
    roots: [pid, ...(behind?.roots ?? [])],
    stop,
  };
}
