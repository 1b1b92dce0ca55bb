/**
 * A server program as a child process on a free loopback port with a data folder of its own, that tests can stop, kill,
 * pause and start again on the same port. It ends, and its folder goes, with the process that started it, however that
 * ends.
 */

import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, globSync, openSync, readFileSync } from 'node:fs';
import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as after } from 'node:timers/promises';

/**
 * Below the ports that systems give to outgoing connections: else a client that retries a port whose server is down may
 * one day connect to itself, and hold the port.
 */
const PORT_MIN = 20_000;
const PORT_MAX = 32_000;
const READY_MS_MAX = 60_000;
const STOP_MS_MAX = 15_000;
const ASK_MS = 20;
const START_TRIES_MAX = 3;

/** Reads process ids, `0` for none; at the end of its input, which is its parent's end, it cleans up. */
const WATCHER = `trap '' INT TERM HUP
pid=0
while read -r next; do pid=$next; done
[ "$pid" -gt 0 ] && kill -9 "$pid" 2>/dev/null
exec rm -rf "$1"`;

export interface ChildServer {
  readonly port: number;
  readonly dataDir: string;
  /** Of the running process; undefined while there is none. */
  readonly pid: number | undefined;
  /** On the same port with the same data. Resolves when it answers. */
  start(): Promise<void>;
  /** An orderly end, and wait for it. The data stay until `close`. */
  stop(): Promise<void>;
  /** SIGKILL, and wait for the end. */
  kill(): Promise<void>;
  /** SIGKILL and `start`; other arguments than before when given. */
  restart(args?: readonly string[]): Promise<void>;
  /** SIGKILL, an empty data folder, `start`. */
  wipe(): Promise<void>;
  /** SIGSTOP: connections stay open and say nothing, from when this has resolved. */
  pause(): Promise<void>;
  resume(): void;
  /** Ends the process and removes its data. */
  close(): Promise<void>;
}

const STOP_LOOK_MS = 2;

/** Whether all threads have met the signal, which those on a busy machine do one after the other. */
function isStopped(pid: number): boolean {
  if (process.platform !== 'linux') return true;
  return globSync(`/proc/${pid}/task/*/stat`).every((file) => {
    try {
      const stat = readFileSync(file, 'latin1');
      return stat.charAt(stat.lastIndexOf(')') + 2) === 'T';
    } catch {
      // It has ended meanwhile.
      return false;
    }
  });
}

export interface ChildServerOptions {
  readonly name: string;
  readonly command: readonly [string, ...string[]];
  args(port: number, dataDir: string): readonly string[];
  /** What `stop` sends; SIGTERM unless told otherwise. */
  readonly stopSignal?: 'SIGTERM' | 'SIGKILL';
  /** Resolves when the server on the port is of use; rejected, it is asked again. */
  ready(port: number): Promise<void>;
}

const isFree = (port: number): Promise<boolean> =>
  new Promise((resolve) => {
    const server = createServer();
    server.once('error', () => resolve(false));
    server.listen({ port, host: '127.0.0.1' }, () => server.close(() => resolve(true)));
  });

export async function freePort(): Promise<number> {
  for (;;) {
    const port = PORT_MIN + Math.floor(Math.random() * (PORT_MAX - PORT_MIN));
    if (await isFree(port)) return port;
  }
}

/** Resolves when something on the port takes a connection. */
export async function accepts(port: number, host: string): Promise<void> {
  const socket = connect({ port, host });
  try {
    await once(socket, 'connect');
  } finally {
    socket.destroy();
  }
}

export async function startChildServer(options: ChildServerOptions): Promise<ChildServer> {
  for (let tries = 1; ; tries++) {
    const server = await newChildServer(options);
    try {
      await server.start();
      return server;
    } catch (error) {
      await server.close();
      // Somebody may have taken the port meanwhile.
      if (tries === START_TRIES_MAX) throw error;
    }
  }
}

async function newChildServer({
  name,
  command,
  args,
  ready,
  stopSignal = 'SIGTERM',
}: ChildServerOptions): Promise<ChildServer> {
  const port = await freePort();
  const folder = await mkdtemp(join(tmpdir(), `mailmesh-${name}-`));
  const [dataDir, log] = [join(folder, 'data'), join(folder, 'log')];
  const watcher = spawn('sh', ['-c', WATCHER, name, folder], { stdio: ['pipe', 'ignore', 'ignore'], cwd: tmpdir() });
  // Neither keeps the tests' process alive.
  watcher.unref();
  (watcher.stdin as unknown as { unref(): void }).unref();
  let arguments_ = args(port, dataDir);
  let child: ChildProcess | undefined;
  let exited: Promise<unknown> = Promise.resolve();

  const end = async (signal: 'SIGTERM' | 'SIGKILL'): Promise<void> => {
    if (child === undefined) return;
    child.ref();
    child.kill(signal);
    if (signal === 'SIGTERM') {
      child.kill('SIGCONT');
      const timer = setTimeout(() => child?.kill('SIGKILL'), STOP_MS_MAX);
      await exited;
      clearTimeout(timer);
    }
    await exited;
  };

  const server: ChildServer = {
    port,
    dataDir,
    get pid() {
      return child?.pid;
    },
    async start() {
      if (child !== undefined) return;
      await mkdir(dataDir, { recursive: true });
      const output = openSync(log, 'a');
      const started = spawn(command[0], [...command.slice(1), ...arguments_], {
        stdio: ['ignore', output, output],
        cwd: folder,
      });
      closeSync(output);
      child = started;
      const over = (): void => {
        child = undefined;
        watcher.stdin.write('0\n');
      };
      // A program that does not run has an error instead of an exit.
      exited = once(started, 'exit').then(over, over);
      watcher.stdin.write(`${started.pid ?? 0}\n`);
      started.unref();
      const deadline = performance.now() + READY_MS_MAX;
      for (;;) {
        const is = await ready(port).then(
          () => true,
          () => false,
        );
        if (child === undefined || performance.now() > deadline)
          throw new Error(`${name} did not start:\n${readFileSync(log, 'utf8').slice(-2_000)}`);
        if (is) return;
        await Promise.race([after(ASK_MS), exited]);
      }
    },
    stop: () => end(stopSignal),
    kill: () => end('SIGKILL'),
    async restart(other) {
      await server.kill();
      if (other !== undefined) arguments_ = [...args(port, dataDir), ...other];
      await server.start();
    },
    async wipe() {
      await server.kill();
      await rm(dataDir, { recursive: true, force: true });
      await server.start();
    },
    async pause() {
      child?.kill('SIGSTOP');
      while (child?.pid !== undefined && !isStopped(child.pid)) await after(STOP_LOOK_MS);
    },
    resume() {
      child?.kill('SIGCONT');
    },
    async close() {
      await server.kill();
      const cleaned = once(watcher, 'exit');
      watcher.ref();
      watcher.stdin.end();
      await cleaned;
    },
  };
  return server;
}
