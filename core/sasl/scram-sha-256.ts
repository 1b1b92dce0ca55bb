/**
 * SCRAM-SHA-256 (RFC 5802, RFC 7677) without channel binding: the client proves that it knows the password without
 * showing it, and the final message proves that this server knows it too. Unknown users go through the whole exchange
 * with invented keys and fail at its end.
 */

import { createHash, createHmac, timingSafeEqual } from 'node:crypto';
import type { Attempt, Authenticator, ScramSecret } from './authenticator.ts';
import { decodeBase64 } from './base64.ts';
import { saslPrep } from './saslprep.ts';
import { EMPTY, refuse, responseText, type SaslServer, type SaslStep } from './step.ts';

/** Of the client's nonce; more is only a burden. */
const NONCE_CHARACTERS_MAX = 512;

interface ClientFirst {
  readonly gs2Header: string;
  readonly bare: string;
  readonly authcid: string;
  readonly authzid: string;
  readonly nonce: string;
}

/** saslname, RFC 5802 §5.1: `=` stands only in `=2C` and `=3D`. */
function readName(text: string): string | null {
  if (text === '' || /=(?!2C|3D)/.test(text) || text.includes('\0')) return null;
  return text.replaceAll('=2C', ',').replaceAll('=3D', '=');
}

/** client-first-message, RFC 5802 §7; null for what is not one, or asks for what is not offered (`p=`, `m=`). */
function readClientFirst(text: string): ClientFirst | null {
  const [flag, authzidPart, user, nonce, ...extensions] = text.split(',');
  // RFC 5802 §6: a client that insists on channel binding fails; `y` only says that it could.
  if (flag !== 'n' && flag !== 'y') return null;
  if (authzidPart === undefined || user === undefined || nonce === undefined) return null;
  let authzid: string | null = '';
  if (authzidPart !== '') authzid = authzidPart.startsWith('a=') ? readName(authzidPart.slice(2)) : null;
  const authcid = user.startsWith('n=') ? readName(user.slice(2)) : null;
  if (authzid === null || authcid === null || !/^r=[\x21-\x2b\x2d-\x7e]+$/.test(nonce)) return null;
  if (nonce.length > NONCE_CHARACTERS_MAX || !extensions.every((extension) => /^[A-Za-z]=/.test(extension)))
    return null;
  const gs2Header = `${flag},${authzidPart},`;
  return { gs2Header, bare: text.slice(gs2Header.length), authcid, authzid, nonce: nonce.slice(2) };
}

const hmac = (key: Uint8Array, data: string): Buffer => createHmac('sha256', key).update(data).digest();

/** Whether `proof` shows the ClientKey of `secret`, RFC 5802 §3. */
function isProof(secret: ScramSecret, authMessage: string, proof: Uint8Array): boolean {
  const signature = hmac(secret.storedKey, authMessage);
  if (proof.length !== signature.length) return false;
  const clientKey = Buffer.alloc(signature.length);
  for (let i = 0; i < clientKey.length; i++) clientKey[i] = signature[i]! ^ proof[i]!;
  return timingSafeEqual(createHash('sha256').update(clientKey).digest(), secret.storedKey);
}

/** @param serverNonce printable ASCII without commas, unlike any before (RFC 5802 §5.1) */
export function scramSha256(authenticator: Authenticator, attempt: Attempt, serverNonce: string): SaslServer {
  let first: ClientFirst | null = null;
  let secret: ScramSecret | null = null;
  let nonce = '';
  let serverFirst = '';

  async function begin(text: string | null): Promise<SaslStep> {
    first = text === null ? null : readClientFirst(text);
    if (first === null) return refuse('authenticationMalformed');
    const found = await authenticator.scram(attempt, saslPrep(first.authcid));
    if ('reply' in found) return refuse(found.reply);
    secret = found;
    nonce = first.nonce + serverNonce;
    serverFirst = `r=${nonce},s=${Buffer.from(secret.salt).toString('base64')},i=${secret.iterations}`;
    return { challenge: Buffer.from(serverFirst) };
  }

  async function finish(text: string | null, opened: ClientFirst, keys: ScramSecret): Promise<SaslStep> {
    const proofAt = text === null ? -1 : text.lastIndexOf(',p=');
    const withoutProof = text?.slice(0, proofAt) ?? '';
    const [binding, echoed] = withoutProof.split(',');
    const proof = proofAt < 0 ? null : decodeBase64(text!.slice(proofAt + 3));
    if (proof === null || echoed === undefined) return refuse('authenticationMalformed');
    const authMessage = `${opened.bare},${serverFirst},${withoutProof}`;
    // RFC 5802 §5.1 and §6: `c` is the header that came first, `r` the nonce that was sent.
    const bound = `c=${Buffer.from(opened.gs2Header).toString('base64')}`;
    const proved = isProof(keys, authMessage, proof) && binding === bound && echoed === `r=${nonce}`;
    const authzid = opened.authzid === '' ? '' : saslPrep(opened.authzid);
    const result = await authenticator.scramDone(attempt, saslPrep(opened.authcid), authzid, proved);
    if (!result.ok) return { result };
    return { result, final: Buffer.from(`v=${hmac(keys.serverKey, authMessage).toString('base64')}`) };
  }

  return {
    async step(response) {
      if (response === null) return { challenge: EMPTY };
      const text = responseText(response);
      return first === null || secret === null ? begin(text) : finish(text, first, secret);
    },
  };
}
