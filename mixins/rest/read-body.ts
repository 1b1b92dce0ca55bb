/**
 * A request's body within limits. Nothing beyond them is held, and JSON that nests deeper than any parameter does is
 * refused before it is parsed: validators recurse. Leaving early keeps the connection, so that the refusal can be read.
 */

import type { IncomingMessage } from 'node:http';
import { Errors } from 'moleculer';
import { ClientError } from '../../core/mail/errors.ts';

const JSON_BYTES_MAX = 1024 * 1024;
const JSON_DEPTH_MAX = 32;

/** The pieces of a body; unlike the request itself, it may be left without closing the connection. */
export const pieces = (req: IncomingMessage): AsyncIterable<Buffer> =>
  req.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>;

/** Rejects with ClientError messageTooBig when the request says itself that it is larger. */
export function checkLength(req: IncomingMessage, bytesMax: number): void {
  if (Number(req.headers['content-length'] ?? 0) > bytesMax)
    throw new ClientError('messageTooBig', { sizeBytesMax: bytesMax });
}

export async function readBody(req: IncomingMessage, bytesMax: number): Promise<Buffer> {
  checkLength(req, bytesMax);
  const read: Buffer[] = [];
  let size = 0;
  for await (const piece of pieces(req)) {
    size += piece.length;
    if (size > bytesMax) throw new ClientError('messageTooBig', { sizeBytesMax: bytesMax });
    read.push(piece);
  }
  return Buffer.concat(read);
}

/** The body as an object of parameters; none is an empty one. */
export async function readParameters(req: IncomingMessage): Promise<Readonly<Record<string, unknown>>> {
  const body = await readBody(req, JSON_BYTES_MAX);
  if (body.length === 0) return {};
  if (!/^application\/json *(;|$)/i.test(req.headers['content-type'] ?? ''))
    throw new Errors.MoleculerClientError('The body is not application/json', 415, 'UNSUPPORTED_MEDIA_TYPE');
  if ((req.headers['content-encoding'] ?? 'identity') !== 'identity')
    throw new Errors.MoleculerClientError('Compressed bodies are not taken', 415, 'UNSUPPORTED_CONTENT_ENCODING');
  const value = parseJson(body);
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw new ClientError('invalid', { what: 'JSON', detail: 'the body is not an object' });
  return value as Readonly<Record<string, unknown>>;
}

export function parseJson(bytes: Buffer): unknown {
  if (isDeep(bytes)) throw new ClientError('invalid', { what: 'JSON', detail: 'the body is nested too deep' });
  try {
    return JSON.parse(bytes.toString());
  } catch {
    throw new ClientError('invalid', { what: 'JSON', detail: 'the body is not valid JSON' });
  }
}

function isDeep(bytes: Uint8Array): boolean {
  let depth = 0;
  let quoted = false;
  for (let i = 0; i < bytes.length; i++) {
    const byte = bytes[i]!;
    if (quoted) {
      if (byte === 0x5c) i++;
      else if (byte === 0x22) quoted = false;
    } else if (byte === 0x22) quoted = true;
    else if (byte === 0x5b || byte === 0x7b) {
      if (++depth > JSON_DEPTH_MAX) return true;
    } else if (byte === 0x5d || byte === 0x7d) depth--;
  }
  return false;
}
