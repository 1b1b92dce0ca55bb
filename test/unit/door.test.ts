/** The door (bin/mailmesh.mjs): installs what is missing, once; passes arguments, exit codes and signals; dies with its parent. */

import assert from 'node:assert/strict';
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmod, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath, pathToFileURL } from 'node:url';

const root = fileURLToPath(new URL('../../', import.meta.url));
const door = join(root, 'bin', 'mailmesh.mjs');

async function withFolder(body: (folder: string) => Promise<void>): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), 'mailmesh-door-'));
  try {
    await body(folder);
  } finally {
    await rm(folder, { recursive: true });
  }
}

interface Ended {
  readonly code: number | null;
  readonly out: string;
  readonly err: string;
}

async function ended(child: ChildProcess): Promise<Ended> {
  let [out, err] = ['', ''];
  child.stdout!.on('data', (text: Buffer) => {
    out += text;
  });
  child.stderr!.on('data', (text: Buffer) => {
    err += text;
  });
  const [code] = (await once(child, 'close')) as [number | null];
  return { code, out, err };
}

const LOCK = {
  packages: {
    '': {},
    'node_modules/a': { version: '1.0.0' },
    'node_modules/b': { version: '1.0.0', dev: true },
    'node_modules/c': { version: '1.0.0', optional: true },
  },
};

/** A project folder with a lock file, and an npm that counts its runs and does what a test says. */
async function project(folder: string, npm: string): Promise<(command?: string, path?: string) => Promise<Ended>> {
  await mkdir(join(folder, 'bin'), { recursive: true });
  await writeFile(join(folder, 'package-lock.json'), JSON.stringify(LOCK));
  const script = `#!/bin/sh\necho run >> '${folder}/runs'\n${npm}\n`;
  await writeFile(join(folder, 'bin', 'npm'), script);
  await chmod(join(folder, 'bin', 'npm'), 0o755);
  const module = pathToFileURL(join(root, 'bin', 'install.mjs')).href;
  const code = `
    import { installIfNeeded, Trouble } from ${JSON.stringify(module)};
    try { await installIfNeeded(process.argv[1], process.argv[2]); }
    catch (error) { if (!(error instanceof Trouble)) throw error; console.error(error.message); process.exit(1); }`;
  const path = [join(folder, 'bin'), '/usr/bin', '/bin'].join(delimiter);
  return (command = 'start', env = path) =>
    ended(
      spawn(process.execPath, ['--input-type=module', '-e', code, folder, command], {
        env: { PATH: env },
        stdio: ['ignore', 'pipe', 'pipe'],
      }),
    );
}

const runs = async (folder: string): Promise<number> =>
  (await readFile(join(folder, 'runs'), 'utf8').catch(() => '')).split('\n').length - 1;

/** What npm leaves: its own list of what it has installed. */
const INSTALLS = `mkdir -p node_modules && cp package-lock.json node_modules/.package-lock.json`;

test('packages are installed when they are missing, and not again', async () => {
  await withFolder(async (folder) => {
    const go = await project(folder, INSTALLS);
    const first = await go();
    assert.deepEqual([first.code, first.out], [0, '']);
    assert.match(first.err, /Installing the packages .*\nInstalled in \d+ s\.\n$/s);
    assert.deepEqual(await go(), { code: 0, out: '', err: '' });
    assert.equal(await runs(folder), 1);
  });
});

test('a changed lock file is followed by start and scripts only', async () => {
  await withFolder(async (folder) => {
    const go = await project(folder, INSTALLS);
    await go();
    const lock = structuredClone(LOCK);
    lock.packages['node_modules/a'].version = '2.0.0';
    await writeFile(join(folder, 'package-lock.json'), JSON.stringify(lock));
    await go('account');
    assert.equal(await runs(folder), 1);
    await go('start');
    assert.equal(await runs(folder), 2);
  });
});

test('what npm itself has installed already is taken as it is', async () => {
  await withFolder(async (folder) => {
    const go = await project(folder, 'exit 1');
    const installed = { packages: { 'node_modules/a': { version: '1.0.0' }, 'node_modules/b': { version: '1.0.0' } } };
    await mkdir(join(folder, 'node_modules'));
    await writeFile(join(folder, 'node_modules', '.package-lock.json'), JSON.stringify(installed));
    assert.equal((await go('--run')).code, 0);
    assert.equal(await runs(folder), 0);
    // The stamp now says so without a comparison.
    assert.match(await readFile(join(folder, 'node_modules', '.mailmesh-lock-sha256'), 'utf8'), /^[0-9a-f]{64}$/);
  });
});

test('packages for development are wanted by scripts only', async () => {
  for (const [command, expected] of [
    ['start', 0],
    ['--run', 1],
  ] as const) {
    await withFolder(async (folder) => {
      const go = await project(folder, INSTALLS);
      await mkdir(join(folder, 'node_modules'));
      const installed = { packages: { 'node_modules/a': { version: '1.0.0' } } };
      await writeFile(join(folder, 'node_modules', '.package-lock.json'), JSON.stringify(installed));
      await go(command);
      assert.equal(await runs(folder), expected, command);
    });
  }
});

test('two starts at once install once', async () => {
  await withFolder(async (folder) => {
    // Holds the first until the second has come to the lock: it waits for a file that the test makes.
    const go = await project(folder, `while [ ! -e go ]; do sleep 0.05; done\n${INSTALLS}`);
    const both = [go(), go()];
    while ((await runs(folder)) === 0) await new Promise(setImmediate);
    await writeFile(join(folder, 'go'), '');
    assert.deepEqual(
      (await Promise.all(both)).map(({ code }) => code),
      [0, 0],
    );
    assert.equal(await runs(folder), 1);
  });
});

test('a lock that a killed installation left is taken over', async () => {
  await withFolder(async (folder) => {
    const go = await project(folder, INSTALLS);
    const gone = spawn(process.execPath, ['-e', '']);
    await once(gone, 'close');
    await mkdir(join(folder, '.cache'));
    await writeFile(join(folder, '.cache', 'install.pid'), String(gone.pid));
    assert.equal((await go()).code, 0);
    assert.equal(await runs(folder), 1);
  });
});

test('a failed installation is one line that says why, and is tried again next time', async () => {
  for (const [said, wanted] of [
    [
      'npm error code ECONNREFUSED\nnpm error syscall connect',
      /could not be installed: the package registry does not answer \(ECONNREFUSED\)/,
    ],
    ['npm ERR! code ENOSPC', /the disk is full \(ENOSPC\)/],
    ['npm error something odd', /could not be installed: something odd/],
    ['', /npm ended with 7/],
  ] as const) {
    await withFolder(async (folder) => {
      const go = await project(folder, `printf '${said}\\n' >&2\nexit 7`);
      const { code, err } = await go();
      assert.equal(code, 1);
      assert.match(err.split('\n').at(-2)!, wanted);
      await go();
      assert.equal(await runs(folder), 2);
    });
  }
});

test('a missing npm is one line', async () => {
  await withFolder(async (folder) => {
    const go = await project(folder, '');
    const { code, err } = await go('start', join(folder, 'empty'));
    assert.equal(code, 1);
    assert.match(err, /npm was not found: install npm, then try again\n$/);
  });
});

/** A Node on the path that is older than ours, if there is one. */
function olderNode(): string | undefined {
  for (const folder of (process.env.PATH ?? '').split(delimiter)) {
    if (folder.startsWith(join(root, 'node_modules'))) continue;
    const file = join(folder, 'node');
    try {
      const version = execFileSync(file, ['--version'], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] });
      if (Number(/^v(\d+)/.exec(version)?.[1]) < 26) return file;
    } catch {
      // No Node in this folder.
    }
  }
  return undefined;
}

const SCRIPT = `
const [what]: string[] = process.argv.slice(2);
if (what === 'wait') {
  process.on('SIGTERM', () => { console.log('drained'); process.exit(5); });
  setInterval(() => {}, 1000);
}
console.log(JSON.stringify([process.pid, process.version, process.argv.slice(2)]));
if (what === 'fail') process.exitCode = 3;
if (what === 'die') process.kill(process.pid, 'SIGKILL');
`;

const older = olderNode();
const nodes: [name: string, node: string | undefined][] = [
  ['the project’s Node', process.execPath],
  ['an older Node', older],
];
for (const [name, node] of nodes) {
  const skip = node === undefined ? 'no older Node is on the path' : false;
  const start = (script: string, ...argv: string[]): ChildProcess =>
    spawn(node!, [door, '--run', script, ...argv], { stdio: ['ignore', 'pipe', 'pipe'] });
  const withScript = (body: (script: string) => Promise<void>): Promise<void> =>
    withFolder(async (folder) => {
      await writeFile(join(folder, 'script.ts'), SCRIPT);
      await body(join(folder, 'script.ts'));
    });

  test(`${name}: arguments go in, exit code and output come out`, { skip }, async () => {
    await withScript(async (script) => {
      const { code, out } = await ended(start(script, 'fail', '--x', 'a b'));
      const [, version, argv] = JSON.parse(out) as [number, string, string[]];
      assert.equal(code, 3);
      assert.deepEqual(argv, ['fail', '--x', 'a b']);
      assert(Number(version.slice(1).split('.')[0]) >= 26, version);
    });
  });

  test(`${name}: a signal reaches the script, and its exit code comes back`, { skip }, async () => {
    await withScript(async (script) => {
      const child = start(script, 'wait');
      const end = ended(child);
      await once(child.stdout!, 'data');
      child.kill('SIGTERM');
      const { code, out } = await end;
      assert.equal(code, 5);
      assert.match(out, /drained/);
    });
  });
}

test('the script stops as for SIGTERM when the door is killed', {
  skip: older === undefined && 'no older Node is on the path',
}, async () => {
  await withFolder(async (folder) => {
    const script = join(folder, 'script.ts');
    await writeFile(script, SCRIPT);
    const child = spawn(older!, [door, '--run', script, 'wait'], { stdio: ['ignore', 'pipe', 'inherit'] });
    let out = '';
    child.stdout!.on('data', (text: Buffer) => {
      out += text;
    });
    await once(child.stdout!, 'data');
    child.kill('SIGKILL');
    // The pipe closes when the script, its last holder, has ended.
    await once(child, 'close');
    assert.match(out, /drained/);
  });
});

test('started by npm, the script stops as for SIGTERM when what npm started it with is gone', async () => {
  await withFolder(async (folder) => {
    const script = join(folder, 'script.ts');
    await writeFile(script, SCRIPT);
    // The shell waits, so that it is between npm and the door as npm's own shell is.
    const line = '"$0" "$1" --run "$2" wait & wait';
    const shell = spawn('/bin/sh', ['-c', line, process.execPath, door, script], {
      env: { ...process.env, npm_lifecycle_event: 'start' },
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    let out = '';
    shell.stdout.on('data', (text: Buffer) => {
      out += text;
    });
    await once(shell.stdout, 'data');
    shell.kill('SIGKILL');
    await once(shell, 'close');
    assert.match(out, /drained/);
  });
});
