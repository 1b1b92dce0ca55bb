/** The mailmesh command as a process of its own, on a data folder. */

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { text } from 'node:stream/consumers';
import { COMMAND, serverEnvironment } from './server.ts';

export interface Ran {
  readonly code: number | null;
  readonly out: string;
  readonly err: string;
}

export async function mailmesh(
  dataDir: string,
  argv: readonly string[],
  options: { readonly input?: string; readonly env?: Readonly<Record<string, string>> } = {},
): Promise<Ran> {
  const child = spawn(process.execPath, [COMMAND, ...argv], {
    env: serverEnvironment(dataDir, options.env),
    stdio: ['pipe', 'pipe', 'pipe'],
  });
  child.stdin.end(options.input ?? '');
  const [out, err, [code]] = await Promise.all([text(child.stdout), text(child.stderr), once(child, 'exit')]);
  return { code: code as number | null, out, err };
}

/** Runs a command that must succeed and gives its JSON. */
export async function mailmeshJson<T = Record<string, unknown>>(
  dataDir: string,
  argv: readonly string[],
  options: { readonly input?: string } = {},
): Promise<T> {
  const { code, out, err } = await mailmesh(dataDir, [...argv, '--json'], options);
  if (code !== 0) throw new Error(`mailmesh ${argv.join(' ')} ended with ${code}:\n${err}${out}`);
  return JSON.parse(out) as T;
}
