/**
 * A network namespace for servers, joined to this process's own by one link for each node that is to reach them: a pair of
 * interfaces whose far end can be taken down, so that packets get lost in the kernel and nobody is told.
 *
 * The process itself must be in a namespace that was made for it (test/cluster.ts runs such tests so): it has no way out
 * but these links, and all of it goes when the process does.
 */

import { execFile, spawn } from 'node:child_process';
import { readlinkSync } from 'node:fs';
import { setTimeout as after } from 'node:timers/promises';
import { promisify } from 'node:util';

const run = promisify(execFile);
const LOOK_MS = 5;

/** How a program is run in a network namespace of its own; without root one of users is needed too. */
export const ISOLATED = ['unshare', ...(process.getuid?.() === 0 ? [] : ['--map-root-user']), '--net', '--'] as const;

/** Why namespaces can't be made, in one line; false where they can. */
export async function namespacesMissing(): Promise<string | false> {
  const [command, ...args] = [...ISOLATED, 'ip', 'link', 'add', 'near', 'type', 'veth', 'peer', 'name', 'far'];
  return run(command, args).then(
    () => false,
    (error: Error) => `network namespaces cannot be made here: ${error.message.trim().split('\n').at(-1)}`,
  );
}

/** Said by whoever runs a process by `ISOLATED`. */
export const ISOLATED_VARIABLE = 'TEST_NETWORK_IS_OWN';

export interface ServerRoom {
  /** Put before the command of a program that is to run there. */
  readonly enter: readonly [string, ...string[]];
  /** The servers' address on each link. */
  readonly hosts: readonly string[];
  part(link: number): Promise<void>;
  heal(link: number): Promise<void>;
  close(): void;
}

export async function serverRoom(links: number): Promise<ServerRoom> {
  // Reads until its input ends, which is when this process ends.
  const holder = spawn(ISOLATED[0], [...ISOLATED.slice(1), 'cat'], { stdio: ['pipe', 'ignore', 'inherit'] });
  const namespace = `/proc/${holder.pid}/ns/net`;
  while (readlinkSync(namespace) === readlinkSync('/proc/self/ns/net')) await after(LOOK_MS);
  const enter = ['nsenter', `--net=${namespace}`, '--'] as const;
  const here = (...args: string[]) => run('ip', args);
  const there = (...args: string[]) => run(enter[0], [...enter.slice(1), 'ip', ...args]);
  await Promise.all([here('link', 'set', 'lo', 'up'), there('link', 'set', 'lo', 'up')]);
  for (let link = 0; link < links; link++) {
    const peer = ['type', 'veth', 'peer', 'name', `node${link}`, 'netns', String(holder.pid)];
    await here('link', 'add', `node${link}`, ...peer);
    await Promise.all([
      here('addr', 'add', `10.83.${link}.1/24`, 'dev', `node${link}`),
      there('addr', 'add', `10.83.${link}.2/24`, 'dev', `node${link}`),
    ]);
    await Promise.all([here('link', 'set', `node${link}`, 'up'), there('link', 'set', `node${link}`, 'up')]);
  }
  return {
    enter: [...enter],
    hosts: Array.from({ length: links }, (_, link) => `10.83.${link}.2`),
    part: async (link) => void (await there('link', 'set', `node${link}`, 'down')),
    heal: async (link) => void (await there('link', 'set', `node${link}`, 'up')),
    close: () => void holder.stdin.end(),
  };
}
