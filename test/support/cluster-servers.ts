/**
 * The servers that a mesh needs, for tests: every call gives a server of its own unless MONGO_URL or NATS_URL name one that
 * others run. Where a machine can have neither, `serversMissing` says why; under CI=true that is an error, not a skip.
 */

import { once } from 'node:events';
import { connect } from 'node:net';
import { createInterface } from 'node:readline';
import { MongoClient } from 'mongodb';
import { accepts, type ChildServer, startChildServer } from './child-server.ts';
import { mongoProgram, NoServer, natsProgram, type Program } from './cluster-programs.ts';

const HELLO_MS_MAX = 10_000;

export interface ClusterServer extends ChildServer {
  readonly url: string;
  /** Run by the test, which may thus stop it; that of an environment variable throws when told to. */
  readonly own: boolean;
}

/** What given servers are asked that only own ones can do. */
function foreign(url: string, variable: string): ClusterServer {
  const refuse = (): never => {
    throw new Error(`the server of ${variable} is not this test's to stop or start`);
  };
  return {
    ...{ url, own: false, port: Number(new URL(url).port), dataDir: '', pid: undefined },
    ...{ start: refuse, stop: refuse, kill: refuse, restart: refuse, wipe: refuse, pause: refuse, resume: refuse },
    close: () => Promise.resolve(),
  };
}

/** A MongoDB URL with the name of a database, which the path of the URL says. */
export function withDatabase(url: string, database: string): string {
  const named = new URL(url);
  named.pathname = `/${database}`;
  return named.href;
}

async function withMongo<T>(port: number, host: string, body: (client: MongoClient) => Promise<T>): Promise<T> {
  const client = new MongoClient(`mongodb://${host}:${port}/?directConnection=true`, {
    serverSelectionTimeoutMS: HELLO_MS_MAX,
  });
  try {
    await client.connect();
    return await body(client);
  } finally {
    await client.close();
  }
}

async function mongoHello(port: number, host: string): Promise<void> {
  await accepts(port, host);
  await withMongo(port, host, (client) => client.db('admin').command({ hello: 1 }));
}

/** A real mongod is a replica set only once it is told so; then it elects itself. */
async function mongodHello(port: number, host: string): Promise<void> {
  await accepts(port, host);
  await withMongo(port, host, async (client) => {
    const admin = client.db('admin');
    const { isWritablePrimary, setName } = await admin.command({ hello: 1 });
    if (isWritablePrimary === true) return;
    if (setName === undefined) {
      const members = [{ _id: 0, host: `${host}:${port}` }];
      await admin.command({ replSetInitiate: { _id: 'tests', members } });
    }
    throw new Error('not a primary yet');
  });
}

/** The first line of a NATS server says what it is; it comes when JetStream has recovered. */
async function natsHello(port: number, host: string): Promise<void> {
  const socket = connect({ port, host, timeout: HELLO_MS_MAX });
  socket.once('timeout', () => socket.destroy(new Error('no INFO')));
  try {
    await once(socket, 'connect');
    const [line] = (await once(createInterface({ input: socket }), 'line')) as [string];
    if (!line.startsWith('INFO {')) throw new Error(`not a NATS server: ${line}`);
  } finally {
    socket.destroy();
  }
}

/** Where a server runs, unless on loopback. */
interface ServerPlace {
  /** The address that it is asked by; it listens on all that there are. */
  readonly host: string;
  /** Put before its command. */
  readonly enter: readonly [string, ...string[]];
}

const LOOPBACK = '127.0.0.1';
const listensOn = (place: ServerPlace | undefined): string => (place === undefined ? LOOPBACK : '0.0.0.0');
const commandAt = (place: ServerPlace | undefined, command: Program['command']): Program['command'] =>
  place === undefined ? command : [...place.enter, ...command];

export interface MongoOptions {
  /** Not a replica set. */
  readonly standalone?: boolean;
  /** Clients must authenticate, as a user that was made while this was off: see `restart`. */
  readonly args?: readonly string[];
  readonly place?: ServerPlace | undefined;
}

export async function mongoServer(options: MongoOptions = {}): Promise<ClusterServer> {
  const { standalone = false, args: more = [], place } = options;
  const host = place?.host ?? LOOPBACK;
  const given = process.env.MONGO_URL;
  if (given !== undefined && given !== '') return foreign(given, 'MONGO_URL');
  const { kind, command } = await mongoProgram();
  const server = await startChildServer({
    name: 'mongo',
    command: commandAt(place, command),
    args: (port, dataDir) =>
      kind === 'mongod'
        ? [
            ...[
              '--port',
              String(port),
              '--bind_ip',
              listensOn(place),
              '--dbpath',
              dataDir,
              '--wiredTigerCacheSizeGB',
              '0.25',
            ],
            ...(standalone ? [] : ['--replSet', 'tests']),
            ...more,
          ]
        : [
            ...['--port', String(port), '--host', listensOn(place), '--storage-path', dataDir, '--sync-on-commit'],
            ...['--cache-size', '256M', '--log-level', 'WARNING'],
            ...(standalone ? ['--standalone'] : []),
            ...more,
          ],
    // While it stops in good order, the stand-in says that its replica set has no members, which clients take for ever.
    stopSignal: kind === 'mongod' ? 'SIGTERM' : 'SIGKILL',
    ready: (port) => (kind === 'mongod' && !standalone ? mongodHello : mongoHello)(port, host),
  });
  return Object.assign(server, { url: `mongodb://${host}:${server.port}`, own: true });
}

export interface NatsOptions {
  /** Without it the server carries messages and keeps none. */
  readonly jetStream?: boolean;
  /** Such as `['--user', 'a', '--pass', 'b']`. */
  readonly args?: readonly string[];
  readonly place?: ServerPlace | undefined;
}

export async function natsServer(options: NatsOptions = {}): Promise<ClusterServer> {
  const { jetStream = true, args: more = [], place } = options;
  const host = place?.host ?? LOOPBACK;
  const given = process.env.NATS_URL;
  if (given !== undefined && given !== '') return foreign(given, 'NATS_URL');
  const { command } = await natsProgram();
  const server = await startChildServer({
    name: 'nats',
    command: commandAt(place, command),
    args: (port, dataDir) => [
      ...['-a', listensOn(place), '-p', String(port)],
      ...(jetStream ? ['-js', '-sd', dataDir] : []),
      ...more,
    ],
    ready: (port) => natsHello(port, host),
  });
  return Object.assign(server, { url: `nats://${host}:${server.port}`, own: true });
}

/** Bytes that a server started with `-m port` has taken from clients and given to them since its start. */
export async function natsBytes(port: number): Promise<number> {
  const response = await fetch(`http://127.0.0.1:${port}/varz`);
  const { in_bytes: taken, out_bytes: given } = (await response.json()) as { in_bytes: number; out_bytes: number };
  return taken + given;
}

/** False when both servers can be had; else why not, for the `skip` of a test. */
export async function serversMissing(): Promise<string | false> {
  try {
    if ((process.env.MONGO_URL ?? '') === '') await mongoProgram();
    if ((process.env.NATS_URL ?? '') === '') await natsProgram();
    return false;
  } catch (error) {
    if (!(error instanceof NoServer) || process.env.CI === 'true') throw error;
    return error.message;
  }
}
