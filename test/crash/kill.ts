/** Runs a child process until it has said so many lines, then kills it with SIGKILL while it is at work. */

import { spawn } from 'node:child_process';

/** The lines that it said whole; the last ones may have come after the deadly one was read. */
export async function runUntilKilled(script: string, args: readonly string[], lines: number): Promise<string[]> {
  const child = spawn(process.execPath, [script, ...args], { stdio: ['ignore', 'pipe', 'pipe'] });
  let output = '';
  let errors = '';
  let count = 0;
  child.stderr.on('data', (data: Buffer) => {
    errors += data.toString();
  });
  child.stdout.on('data', (data: Buffer) => {
    output += data.toString('latin1');
    for (const byte of data) if (byte === 10) count++;
    if (count >= lines) child.kill('SIGKILL');
  });
  const signal = await new Promise<string | null>((resolve) => {
    child.on('close', (_code, name) => resolve(name));
  });
  if (signal !== 'SIGKILL') throw new Error(`${script} ended by itself: ${errors}${output.slice(-1000)}`);
  return output.split('\n').slice(0, -1);
}

/** Numbers in [0, 1) that follow from the seed (mulberry32). */
export function randomFrom(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}
