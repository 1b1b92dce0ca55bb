/**
 * Brings node_modules to what package-lock.json says, for bin/mailmesh.mjs: plain JavaScript for any Node from 16 on.
 * A stamp with the lock file's SHA-256 makes the check cost about a millisecond when nothing has changed.
 */

import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { delimiter, join } from 'node:path';

/** Told in one line, without a stack. */
export class Trouble extends Error {}

const STAMP = '.mailmesh-lock-sha256';
/** Others run with what is there, so that a question to a running server never waits for an installation. */
const MAY_RENEW = new Set(['start', '--run']);
const STEP_MS = 250;
const PLAIN_STEP_MS = 5000;

const NPM_CI = ['ci', '--no-audit', '--no-fund', '--loglevel=error', '--no-progress'];
// npm's own pauses between tries last minutes, and meanwhile it would say nothing.
NPM_CI.push('--fetch-retry-mintimeout=2000', '--fetch-retry-maxtimeout=10000');
/** A lock older than this was left behind, whoever has its process id now. */
const LOCK_MS_MAX = 15 * 60_000;

const REASONS = {
  ENOTFOUND: 'the package registry was not found: is there a network?',
  EAI_AGAIN: 'the package registry was not found: is there a network?',
  ECONNREFUSED: 'the package registry does not answer',
  ECONNRESET: 'the package registry broke the connection off',
  ETIMEDOUT: 'the package registry does not answer in time',
  ERR_SOCKET_TIMEOUT: 'the package registry does not answer in time',
  EACCES: 'node_modules may not be written by this user',
  EPERM: 'node_modules may not be written by this user',
  EROFS: 'node_modules is on a read-only file system',
  ENOSPC: 'the disk is full',
  EUSAGE: 'package-lock.json and package.json do not fit together',
  EINTEGRITY: 'a package is not what package-lock.json says (wrong checksum)',
  E404: 'the package registry does not have a package that package-lock.json names',
  E401: 'the package registry wants a login',
  E403: 'the package registry forbids a package',
};

const readJson = (file) => JSON.parse(readFileSync(file, 'utf8'));

/** Whether what npm says it has installed is what the lock file wants: also after an `npm install` by hand. */
function matches(root, lock, needsDev) {
  const listed = join(root, 'node_modules', '.package-lock.json');
  if (!existsSync(listed)) return false;
  const installed = readJson(listed).packages;
  return Object.entries(lock.packages).every(
    ([path, { version, optional, dev }]) =>
      path === '' || installed[path]?.version === version || optional || (dev && !needsDev),
  );
}

function countPackages(root) {
  const folder = join(root, 'node_modules');
  if (!existsSync(folder)) return 0;
  return readdirSync(folder).filter((name) => !name.startsWith('.')).length;
}

function showProgress(root, total) {
  const begun = Date.now();
  const bar = process.stderr.isTTY;
  const draw = () => {
    const seconds = Math.round((Date.now() - begun) / 1000);
    const share = Math.min(1, countPackages(root) / total);
    if (!bar) return console.error(`  … ${seconds} s`);
    const full = Math.round(share * 30);
    process.stderr.write(
      `\r  [${'#'.repeat(full)}${'.'.repeat(30 - full)}] ${Math.round(share * 100)} %  ${seconds} s `,
    );
  };
  const timer = setInterval(draw, bar ? STEP_MS : PLAIN_STEP_MS);
  return () => {
    clearInterval(timer);
    if (bar) process.stderr.write('\r\x1b[K');
    return Math.round((Date.now() - begun) / 1000);
  };
}

/** npm must not be run by a Node of the very folder that it replaces. */
function systemPath(root) {
  const own = join(root, 'node_modules');
  return (process.env.PATH ?? '')
    .split(delimiter)
    .filter((folder) => !folder.startsWith(own))
    .join(delimiter);
}

function npmCi(root) {
  return new Promise((resolve, reject) => {
    const npm = spawn('npm', NPM_CI, {
      cwd: root,
      env: { ...process.env, PATH: systemPath(root) },
      stdio: ['ignore', 'ignore', 'pipe'],
      shell: process.platform === 'win32',
    });
    let said = '';
    npm.stderr.setEncoding('utf8');
    npm.stderr.on('data', (text) => {
      said = (said + text).slice(-20000);
    });
    npm.on('error', (error) => {
      const missing = error.code === 'ENOENT';
      reject(
        new Trouble(missing ? 'npm was not found: install npm, then try again' : `npm does not run: ${error.message}`),
      );
    });
    npm.on('close', (code, signal) => (code === 0 ? resolve() : reject(explain(said, code ?? signal))));
  });
}

function explain(said, end) {
  const code = /npm (?:ERR!|error) code (\w+)/.exec(said)?.[1];
  const lines = said.split('\n').map((line) => line.replace(/^npm (ERR!|error) ?/, '').trim());
  const first = lines.find((line) => line !== '' && !/^(code|errno|syscall|network) /.test(line));
  const reason = REASONS[code] ?? first ?? `npm ended with ${end}`;
  return new Trouble(`the packages could not be installed: ${reason}${code === undefined ? '' : ` (${code})`}`);
}

const alive = (pid) => {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return error.code === 'EPERM';
  }
};

function isStale(file) {
  if (!existsSync(file)) return false;
  const owner = Number(readFileSync(file, 'utf8'));
  return (owner > 0 && !alive(owner)) || Date.now() - statSync(file).mtimeMs > LOCK_MS_MAX;
}

/** Two starts at once must not install over each other: the second waits for the first. */
async function withLock(root, action) {
  const folder = join(root, '.cache');
  const file = join(folder, 'install.pid');
  mkdirSync(folder, { recursive: true });
  for (;;) {
    try {
      writeFileSync(file, String(process.pid), { flag: 'wx' });
      break;
    } catch (error) {
      if (error.code !== 'EEXIST') throw error;
      if (isStale(file)) rmSync(file, { force: true });
      else await new Promise((resolve) => setTimeout(resolve, STEP_MS));
    }
  }
  try {
    return await action();
  } finally {
    rmSync(file, { force: true });
  }
}

/**
 * @param {string} root the project's folder
 * @param {string | undefined} command the first argument of the mailmesh command
 * @throws Trouble when the packages can't be had
 */
export async function installIfNeeded(root, command) {
  const lockText = readFileSync(join(root, 'package-lock.json'));
  const wanted = createHash('sha256').update(lockText).digest('hex');
  const stamp = join(root, 'node_modules', STAMP);
  const fresh = () => existsSync(stamp) && readFileSync(stamp, 'utf8') === wanted;
  const there = () => existsSync(join(root, 'node_modules', '.package-lock.json'));
  const enough = () => fresh() || (there() && !MAY_RENEW.has(command));
  if (enough()) return;

  try {
    await withLock(root, async () => {
      if (enough()) return;
      const lock = JSON.parse(lockText);
      if (!matches(root, lock, command === '--run')) {
        console.error('Installing the packages that package-lock.json names …');
        const done = showProgress(
          root,
          Object.keys(lock.packages).filter((path) => /^node_modules\/[^/]+$/.test(path)).length,
        );
        let seconds = 0;
        try {
          await npmCi(root);
        } finally {
          seconds = done();
        }
        console.error(`Installed in ${seconds} s.`);
      }
      writeFileSync(stamp, wanted);
    });
  } catch (error) {
    if (error instanceof Trouble || error.code === undefined) throw error;
    throw new Trouble(`the packages could not be installed: ${REASONS[error.code] ?? error.message} (${error.code})`);
  }
}
