/** Reads the environment, once, and the file that it names. */

import { readFile } from 'node:fs/promises';
import { type Config, loadConfig } from '../core/config/load.ts';
import { CommandError } from './errors.ts';

export async function readConfig(env: Readonly<Record<string, string | undefined>>): Promise<Config> {
  const path = env.MAILMESH_CONFIG;
  if (path === undefined || path === '' || path === 'none') return loadConfig(env);
  let text: string;
  try {
    text = await readFile(path, 'utf8');
  } catch (error) {
    throw new CommandError(`MAILMESH_CONFIG: "${path}": a file that can be read (${(error as Error).message})`);
  }
  return loadConfig(env, text);
}
