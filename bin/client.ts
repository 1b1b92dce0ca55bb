/**
 * How a command reaches the mesh: a running server over the Unix socket of its data folder, or, when none runs, a node
 * without listeners in this process. Commands see one interface and never know which it is.
 */

import { once } from 'node:events';
import { stat } from 'node:fs/promises';
import { type ClientRequest, type IncomingMessage, request } from 'node:http';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import type { Config } from '../core/config/load.ts';
import type { ActionName, MessageSummary, Params, Result } from '../mixins/contracts.ts';
import { controlPath, NOBODY } from '../mixins/control-path.ts';
import { CommandError } from './errors.ts';
import { type MeshNode, type StartNode, type StoredBlob, startNode } from './mesh-node.ts';

export interface MeshClient {
  /** Whether a server answers; false when this process does the work itself. */
  readonly running: boolean;
  call<A extends ActionName>(action: A, params: Params<A>): Promise<Result<A>>;
  putBlob(stream: AsyncIterable<Uint8Array>): Promise<StoredBlob>;
  readMessage(account: string, mailbox: string, uid: number): AsyncIterable<Uint8Array>;
  close(): Promise<void>;
}

const PAGE = 1000;

/** Every message of a mailbox, newest first. */
export async function* listMessages(
  client: MeshClient,
  account: string,
  mailbox: string,
): AsyncGenerator<MessageSummary> {
  let cursor: string | null = null;
  do {
    const page: Result<'message.list'> = await client.call('message.list', {
      account,
      mailbox,
      limit: PAGE,
      ...(cursor === null ? {} : { cursor }),
    });
    yield* page.items;
    cursor = page.cursor;
  } while (cursor !== null);
}

/** RFC 9457 §3: the members that a person wants to read. */
interface Problem {
  readonly title?: string;
  readonly detail?: string;
}

async function bodyOf(response: IncomingMessage): Promise<Buffer> {
  const pieces: Buffer[] = [];
  for await (const piece of response) pieces.push(piece as Buffer);
  return Buffer.concat(pieces);
}

async function answerOf(sent: ClientRequest): Promise<IncomingMessage> {
  const [response] = (await once(sent, 'response').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ECONNRESET') error.message = 'the server ended before it answered';
    throw error;
  })) as [IncomingMessage];
  if (response.statusCode === 200) return response;
  const text = (await bodyOf(response)).toString();
  let problem: Problem = {};
  try {
    problem = JSON.parse(text) as Problem;
  } catch {
    // Not from the server's own code: the text says what it is.
    problem = { title: `the server answered ${response.statusCode}: ${text.slice(0, 200)}` };
  }
  const line = problem.detail ?? problem.title ?? `the server answered ${response.statusCode}`;
  throw response.statusCode === NOBODY ? new NobodyDoes(line) : new CommandError(line);
}

/** No node that is up runs the service. */
class NobodyDoes extends CommandError {}

/**
 * Speaks to a running server. What no node of its mesh does is done in this process, as if none ran here. There is no time
 * limit: a backup takes as long as it takes, and a dead server closes.
 */
export class ControlClient implements MeshClient {
  readonly running = true;
  readonly #socketPath: string;
  readonly #alone: (() => Promise<MeshClient>) | null;
  #node: Promise<MeshClient> | undefined;

  constructor(socketPath: string, alone: (() => Promise<MeshClient>) | null = null) {
    this.#socketPath = socketPath;
    this.#alone = alone;
  }

  #send(method: string, path: string, type = 'application/json'): ClientRequest {
    return request({ socketPath: this.#socketPath, method, path, headers: { 'content-type': type } });
  }

  async call<A extends ActionName>(action: A, params: Params<A>): Promise<Result<A>> {
    try {
      return await this.#ask(action, params);
    } catch (error) {
      if (!(error instanceof NobodyDoes) || this.#alone === null) throw error;
      this.#node ??= this.#alone();
      return (await this.#node).call(action, params);
    }
  }

  async #ask<A extends ActionName>(action: A, params: Params<A>): Promise<Result<A>> {
    const sent = this.#send('POST', '/control/call');
    sent.end(JSON.stringify({ action, params }));
    const response = await answerOf(sent);
    return (JSON.parse((await bodyOf(response)).toString()) as { result: Result<A> }).result;
  }

  async putBlob(stream: AsyncIterable<Uint8Array>): Promise<StoredBlob> {
    const sent = this.#send('POST', '/control/blob', 'message/rfc822');
    // The answer may come before all is sent (too big, disk full): it is the one to tell, not the broken pipe.
    const answer = answerOf(sent);
    const [answered, piped] = await Promise.allSettled([answer, pipeline(Readable.from(stream), sent)]);
    if (answered.status === 'rejected') {
      const broken = answered.reason instanceof CommandError || piped.status === 'fulfilled';
      throw broken ? answered.reason : (piped as PromiseRejectedResult).reason;
    }
    return JSON.parse((await bodyOf(answered.value)).toString()) as StoredBlob;
  }

  async *readMessage(account: string, mailbox: string, uid: number): AsyncGenerator<Uint8Array> {
    const query = new URLSearchParams({ account, mailbox, uid: String(uid) });
    const sent = this.#send('GET', `/control/raw?${query}`);
    sent.end();
    const response = await answerOf(sent);
    for await (const piece of response) yield piece as Buffer;
    if (!response.complete) throw new CommandError('the server broke the message off');
  }

  async close(): Promise<void> {
    await (await this.#node)?.close();
  }
}

/** Works in this process on the data folder, which nobody else uses meanwhile. */
class OfflineClient implements MeshClient {
  readonly running = false;
  readonly #node: MeshNode;

  constructor(node: MeshNode) {
    this.#node = node;
  }

  call<A extends ActionName>(action: A, params: Params<A>): Promise<Result<A>> {
    return this.#node.call(action, params);
  }
  putBlob(stream: AsyncIterable<Uint8Array>): Promise<StoredBlob> {
    return this.#node.putBlob(stream);
  }
  readMessage(account: string, mailbox: string, uid: number): AsyncIterable<Uint8Array> {
    return this.#node.readMessage(account, mailbox, uid);
  }
  close(): Promise<void> {
    return this.#node.stop();
  }
}

/** A socket in the temporary folder could be anybody's: commands carry passwords to the data folder's owner only. */
async function isOwners(dataDir: string): Promise<boolean> {
  try {
    const [socket, folder] = await Promise.all([stat(controlPath(dataDir)), stat(dataDir)]);
    if (socket.uid === folder.uid) return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return false;
    throw error;
  }
  throw new CommandError(`${controlPath(dataDir)} does not belong to the owner of ${dataDir}`);
}

/** Whether a server answers on the socket of the data folder. */
export async function isRunning(dataDir: string): Promise<boolean> {
  if (!(await isOwners(dataDir))) return false;
  const probe = request({ socketPath: controlPath(dataDir), method: 'GET', path: '/control/ping' });
  probe.end();
  try {
    const [response] = (await once(probe, 'response')) as [IncomingMessage];
    response.resume();
    return true;
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    // No file, nobody behind it, or one that is just going: as for a command, no server.
    if (code === 'ENOENT' || code === 'ECONNREFUSED' || code === 'ECONNRESET') return false;
    if (code === 'EACCES') throw new CommandError(`${controlPath(dataDir)} may not be used by this user`);
    throw error;
  }
}

export async function connect(config: Config, start: StartNode = startNode): Promise<MeshClient> {
  // A command's own words are enough: of the log only what went wrong.
  const quiet: Config = config.logLevel === 'info' ? { ...config, logLevel: 'warn' } : config;
  const alone = async (): Promise<MeshClient> => new OfflineClient(await start(quiet, { roles: 'offline' }));
  if (!(await isRunning(config.dataDir))) return alone();
  // One machine's data belong to its server alone, which does everything.
  return new ControlClient(controlPath(config.dataDir), config.mongoUrl === null ? null : alone);
}
