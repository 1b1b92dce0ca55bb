/**
 * The control socket: how the mailmesh command reaches a running server. A Unix socket in the data folder that only its
 * owner can open, which is the whole of its authorization; every action of the mesh can be called by name.
 */

import { once } from 'node:events';
import { chmod, rm } from 'node:fs/promises';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { connect } from 'node:net';
import type { ServiceBroker } from 'moleculer';
import { ClientError } from '../../core/mail/errors.ts';
import { contextOf } from '../context.ts';
import { controlPath, NOBODY } from '../control-path.ts';
import { backup } from '../maintenance.ts';
import { storeBlob } from '../store-blob.ts';
import { sendJson, sendProblem } from './api-handler.ts';
import { sendMessage } from './raw-handlers.ts';
import { parseJson, pieces, readBody } from './read-body.ts';

const CALL_BYTES_MAX = 4 * 1024 * 1024;

async function readCall(req: IncomingMessage): Promise<{ action: string; params: object }> {
  const call = parseJson(await readBody(req, CALL_BYTES_MAX)) as { action?: unknown; params?: object } | null;
  if (typeof call?.action !== 'string') throw new ClientError('invalid', { what: 'call' });
  return { action: call.action, params: call.params ?? {} };
}

async function answer(broker: ServiceBroker, req: IncomingMessage, res: ServerResponse): Promise<void> {
  const url = new URL(req.url ?? '/', 'http://control');
  switch (`${req.method} ${url.pathname}`) {
    case 'POST /control/call': {
      const { action, params } = await readCall(req);
      // Onto the disk of this machine, not of whichever node does upkeep.
      if (action === 'maintenance.backup')
        return sendJson(res, 200, { result: await backup(contextOf(broker), destinationOf(params)) });
      // Asked before anything is begun, so that the command may do it itself.
      if (!isDone(broker, action)) return sendJson(res, NOBODY, { title: `no node that is up does ${action}` });
      // A backup takes as long as it takes.
      return sendJson(res, 200, { result: await broker.call(action, params, { timeout: 0 }) });
    }
    case 'POST /control/blob': {
      const { stores, config } = contextOf(broker);
      return sendJson(res, 200, await storeBlob(stores.blobs, pieces(req), config.sizeBytesMax));
    }
    case 'GET /control/raw': {
      const [account, mailbox, uid] = ['account', 'mailbox', 'uid'].map((name) => url.searchParams.get(name) ?? '');
      return sendMessage(broker, res, { account: account!, mailbox: mailbox!, uid: Number(uid) });
    }
    default:
      throw new ClientError('notFound', { what: 'control path' });
  }
}

/** By this node or another. The broker's types leave its catalog of actions out. */
function isDone(broker: ServiceBroker, action: string): boolean {
  const { actions } = broker.registry as unknown as { actions: { isAvailable(name: string): boolean } };
  return actions.isAvailable(action);
}

function destinationOf(params: object): string {
  const { destination } = params as { destination?: unknown };
  if (typeof destination !== 'string' || destination === '') throw new ClientError('invalid', { what: 'destination' });
  return destination;
}

async function isAnswered(path: string): Promise<boolean> {
  const socket = connect(path);
  try {
    await once(socket, 'connect');
    return true;
  } catch {
    return false;
  } finally {
    socket.destroy();
  }
}

/** null where another node of the mesh has the same data folder and answers there already. */
export async function openControl(broker: ServiceBroker): Promise<Server | null> {
  const { config, log, mesh } = contextOf(broker);
  const path = controlPath(config.dataDir);
  if (mesh.isShared && (await isAnswered(path))) {
    log.warn({ path }, 'control.taken');
    return null;
  }
  // A crash leaves the socket's file behind, and by now it is known that nobody listens on it.
  await rm(path, { force: true });
  const server = createServer((req, res) => {
    answer(broker, req, res).catch((error: unknown) => sendProblem(broker, res, error));
  });
  server.requestTimeout = 0;
  server.listen(path);
  await once(server, 'listening');
  // The data folder is its owner's alone, and so is whatever this process makes; the mode says so once more.
  await chmod(path, 0o600);
  return server;
}
