/**
 * The broker's options; no other file sets any. Timeouts and heartbeats are explicit because Moleculer's defaults never
 * time out and notice a dead node only after half a minute.
 */

import { type BrokerOptions, Errors } from 'moleculer';
import type { Config } from './core/config/load.ts';
import { ClientError, Fault, Fenced, MailError, TemporaryError } from './core/mail/errors.ts';
import { REPLIES, type ReplyKey } from './core/mail/reply.ts';

/** Brings our errors back when they cross a wire, where Moleculer would make plain ones of them. */
class MailErrorRegenerator extends Errors.Regenerator {
  override restoreCustomError(plain: Errors.PlainMoleculerError): Error {
    const { name, message, data } = plain as Errors.PlainMoleculerError & { data?: { reply?: string; facts?: object } };
    const reply = (data?.reply !== undefined && data.reply in REPLIES ? data.reply : 'fault') as ReplyKey;
    const facts = (data?.facts ?? {}) as MailError['facts'];
    switch (name) {
      case 'ClientError':
        return new ClientError(reply, facts);
      case 'TemporaryError':
        return new TemporaryError(reply, facts);
      case 'Fenced':
        return new Fenced(facts);
      case 'Fault':
        return new Fault(message ?? 'fault', facts);
      default:
        // Moleculer then makes one of its own; its type does not say that it may be undefined.
        return undefined as unknown as Error;
    }
  }

  override extractPlainError(error: Error): Errors.PlainMoleculerError {
    const plain = super.extractPlainError(error);
    if (error instanceof MailError) return { ...plain, data: { reply: error.reply, facts: error.facts } };
    return plain;
  }
}

/**
 * JSON makes plain objects of typed arrays, which commits carry as uids and bytes. Their memory is little-endian on every
 * platform that is supported.
 */
const typedArray = (prefix: string, Type: typeof Uint8Array | typeof Uint32Array | typeof Float64Array) => ({
  prefix,
  check: (value: unknown) => value instanceof Type,
  serialize: ({ buffer, byteOffset, byteLength }: Uint8Array) =>
    Buffer.from(buffer, byteOffset, byteLength).toString('base64'),
  // A copy of its own: pooled memory is not aligned.
  deserialize: (text: string) => new Type(Uint8Array.from(Buffer.from(text, 'base64')).buffer),
});

/** @param nodeId names the node in the mesh */
export const brokerOptions = (config: Config, nodeId: string): BrokerOptions => ({
  namespace: 'mailmesh',
  nodeID: nodeId,
  // Our own log has one line per event of the mail; the broker speaks up only when something is wrong.
  logger:
    config.logLevel === 'trace' || config.logLevel === 'debug'
      ? { type: 'Console', options: { level: 'info' } }
      : false,
  serializer: {
    type: 'JSONExt',
    options: {
      customs: [typedArray('U8', Uint8Array), typedArray('U32', Uint32Array), typedArray('F64', Float64Array)],
    },
  },
  requestTimeout: 10_000,
  retryPolicy: { enabled: false },
  circuitBreaker: { enabled: false },
  heartbeatInterval: 2,
  heartbeatTimeout: 5,
  tracking: { enabled: true, shutdownTimeout: config.drainTimeoutMs },
  registry: { strategy: 'RoundRobin', preferLocal: true },
  metrics: false,
  tracing: false,
  errorRegenerator: new MailErrorRegenerator(),
  skipProcessEventRegistration: true,
  internalServices: false,
});
