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

/** What `start` says when it fails; without what the first one in a tree is preceded by. */
export async function failedStart(dataDir: string, env: Readonly<Record<string, string>>): Promise<string> {
  const { code, err } = await mailmesh(dataDir, ['start'], { env });
  if (code !== 1) throw new Error(`mailmesh start ended with ${code}:\n${err}`);
  return err.replace(/^Preparing the first start …\n/, '');
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
