/**
 * A whole server as its users start it: a process of its own with a data folder of its own, on ports that the system
 * chose. Its listeners and first passwords are read from `start --json`.
 */

import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';

export const COMMAND = join(import.meta.dirname, '..', '..', 'bin', 'mailmesh.mjs');
const PORTS = ['SMTP', 'SUBMISSION', 'SUBMISSIONS', 'LMTP', 'IMAP', 'IMAPS', 'POP3', 'POP3S', 'HTTP'];

export interface Login {
  readonly address: string;
  readonly password: string;
}

export interface Server {
  readonly dataDir: string;
  readonly process: ChildProcess;
  /** By listener name: `smtp`, `imaps`, … */
  readonly ports: Readonly<Record<string, number>>;
  /** alice and bob, at the first start only. */
  readonly accounts: readonly Login[];
  /** Log lines so far. */
  readonly log: string[];
  /** SIGTERM and wait for the end. The exit code. */
  stop(): Promise<number | null>;
  /** SIGKILL and wait for the end. */
  kill(): Promise<void>;
}

export const newDataDir = (): Promise<string> => mkdtemp(join(tmpdir(), 'mailmesh-test-'));
export const removeDataDir = (folder: string): Promise<void> => rm(folder, { recursive: true, force: true });

/** The environment of a server on a folder, without any option of the surrounding one. */
export function serverEnvironment(dataDir: string, more: Readonly<Record<string, string>> = {}): NodeJS.ProcessEnv {
  const env = Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith('MAILMESH_')));
  for (const port of PORTS) env[`MAILMESH_${port}_PORT`] = '0';
  return { ...env, MAILMESH_DATA_DIR: dataDir, ...more };
}

export async function startServer(dataDir: string, more: Readonly<Record<string, string>> = {}): Promise<Server> {
  const child = spawn(process.execPath, [COMMAND, 'start', '--json'], {
    env: serverEnvironment(dataDir, more),
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const log: string[] = [];
  createInterface({ input: child.stderr }).on('line', (line) => log.push(line));
  const exited = once(child, 'exit') as Promise<[number | null]>;
  const text = await Promise.race([
    (async () => {
      let all = '';
      for await (const piece of child.stdout) {
        all += String(piece);
        try {
          return JSON.parse(all) as Started;
        } catch {
          // The object is not complete yet.
        }
      }
      return null;
    })(),
    exited.then(() => null),
  ]);
  if (text === null) throw new Error(`the server did not start:\n${log.join('\n')}`);
  child.stdout.resume();
  return {
    dataDir,
    process: child,
    ports: Object.fromEntries(text.listeners.map(({ name, port }) => [name, port])),
    accounts: text.firstStart?.accounts ?? [],
    log,
    async stop() {
      child.kill('SIGTERM');
      return (await exited)[0];
    },
    async kill() {
      child.kill('SIGKILL');
      await exited;
    },
  };
}

interface Started {
  readonly listeners: readonly { readonly name: string; readonly port: number }[];
  readonly firstStart: { readonly accounts: readonly Login[] } | null;
}
