/**
 * Dovecot beside us: with a configuration, mail and run folder of its own, on loopback, ended by its own process id.
 * sdbox, fsync as by default, plaintext logins by a password file; limits only raised where the loads would meet them.
 */

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { chmod, chown, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir, userInfo } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { freePort } from '../test/support/child-server.ts';
import { Connection } from './connection.ts';
import { logins, type System } from './system.ts';

const PROGRAM = '/usr/sbin/dovecot';
const PROTOCOLS = ['imap', 'lmtp', 'pop3'].map((name) => `/usr/lib/dovecot/${name}`);
const START_TRIES = 50;
const START_PAUSE_MS = 100;

/** Why it can't be measured here, or null. */
export function dovecotMissing(): string | null {
  if (![PROGRAM, ...PROTOCOLS].every((file) => existsSync(file))) return 'peer not installed: dovecot';
  return process.getuid?.() === 0 ? null : 'dovecot is started as root only';
}

async function idsOf(user: string): Promise<{ readonly uid: number; readonly gid: number }> {
  const line = (await readFile('/etc/passwd', 'utf8')).split('\n').find((entry) => entry.startsWith(`${user}:`));
  if (line === undefined) throw new Error(`no user ${user} on this machine (${userInfo().username} runs this)`);
  const [, , uid, gid] = line.split(':').map(Number);
  return { uid: uid!, gid: gid! };
}

const configuration = (
  folder: string,
  ports: { imap: number; lmtp: number; pop3: number },
  ids: { uid: number; gid: number },
) => `
protocols = imap lmtp pop3
listen = 127.0.0.1
base_dir = ${folder}/run
state_dir = ${folder}/state
log_path = ${folder}/dovecot.log
ssl = no
disable_plaintext_auth = no
auth_mechanisms = plain
first_valid_uid = 1
mail_location = sdbox:~/mail
mail_max_userip_connections = 5000
default_client_limit = 5000
default_vsz_limit = 1G
passdb {
  driver = passwd-file
  args = scheme=PLAIN username_format=%u ${folder}/users
}
userdb {
  driver = static
  args = uid=${ids.uid} gid=${ids.gid} home=${folder}/home/%n
}
namespace inbox {
  inbox = yes
  mailbox Junk {
    auto = create
    special_use = \\Junk
  }
}
service imap-login {
  service_count = 0
  inet_listener imap {
    port = ${ports.imap}
  }
  inet_listener imaps {
    port = 0
  }
}
service pop3-login {
  service_count = 0
  inet_listener pop3 {
    port = ${ports.pop3}
  }
  inet_listener pop3s {
    port = 0
  }
}
service lmtp {
  process_min_avail = 8
  inet_listener lmtp {
    address = 127.0.0.1
    port = ${ports.lmtp}
  }
}
service imap {
  process_limit = 2000
}
service anvil {
  client_limit = 12000
}
service auth {
  client_limit = 12000
}
`;

async function answers(port: number): Promise<boolean> {
  try {
    (await Connection.open(port)).close();
    return true;
  } catch {
    // Not yet.
    return false;
  }
}

export async function startDovecot(): Promise<System> {
  const folder = await mkdtemp(join(tmpdir(), 'dovecot-bench-'));
  await chmod(folder, 0o755);
  const ids = await idsOf('dovecot');
  await mkdir(join(folder, 'home'));
  await chown(join(folder, 'home'), ids.uid, ids.gid);
  const ports = { imap: await freePort(), lmtp: await freePort(), pop3: await freePort() };
  const file = join(folder, 'dovecot.conf');
  await writeFile(file, configuration(folder, ports, ids));
  const users = logins();
  await writeFile(join(folder, 'users'), users.map(({ address, password }) => `${address}:${password}\n`).join(''));
  const child = spawn(PROGRAM, ['-F', '-c', file], { stdio: ['ignore', 'ignore', 'pipe'] });
  let said = '';
  child.stderr.on('data', (piece: Buffer) => {
    said += piece.toString();
  });
  const exited = once(child, 'exit');
  const stop = async (): Promise<void> => {
    if (child.exitCode === null) child.kill('SIGTERM');
    await exited;
    await rm(folder, { recursive: true, force: true, maxRetries: 5, retryDelay: 200 });
  };
  for (let tries = 0; !(await answers(ports.imap)); tries++) {
    if (tries === START_TRIES || child.exitCode !== null) {
      const log = await readFile(join(folder, 'dovecot.log'), 'utf8').catch(() => '');
      await stop();
      throw new Error(`dovecot did not start: ${said}${log}`);
    }
    await pause(START_PAUSE_MS);
  }
  return { name: 'Dovecot', ports, users, places: ['INBOX'], roots: [child.pid!], stop };
}
