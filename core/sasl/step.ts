/** What a mechanism is to the protocol that carries it, and the answers that mechanisms share. */

import { isUtf8 } from 'node:buffer';
import type { ReplyKey } from '../mail/reply.ts';
import type { AuthResult } from './authenticator.ts';

/**
 * A challenge to be answered, or the end. `final` goes with a success: a protocol that can't send data with its
 * success reply sends it as one more challenge, which the client answers with an empty response (RFC 4422 §3.6).
 */
export type SaslStep =
  | { readonly challenge: Uint8Array }
  | { readonly result: AuthResult; readonly final?: Uint8Array };

export interface SaslServer {
  /** The client's next response; null at the start when it sent no initial response. Call again only after a challenge. */
  step(response: Uint8Array | null): Promise<SaslStep>;
}

export const EMPTY = new Uint8Array(0);

export const refuse = (reply: ReplyKey): SaslStep => ({ result: { ok: false, reply } });

/** The text of a response, or null where it is not UTF-8. */
export const responseText = (bytes: Uint8Array): string | null =>
  isUtf8(bytes) ? Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('utf8') : null;
