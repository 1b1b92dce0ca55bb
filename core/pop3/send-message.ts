/**
 * Sends a message, or its top, as a multi-line response. What fits one piece is read before anything is said, so that a
 * message that can't be read is answered with -ERR and costs nothing else; a long one that breaks off costs the
 * connection, since nothing but a whole response may be ended with the termination octet.
 */

import { isAscii, isUtf8 } from 'node:buffer';
import { ClientError, TemporaryError } from '../mail/errors.ts';
import { PIECE_BYTES, readLayout, readRange } from '../mail/layout.ts';
import { endsInCrlf } from '../mime/structure-code.ts';
import type { Content } from '../ports/mail-store.ts';
import { DotStuffer } from './dot-stuffer.ts';
import type { Pop3Session } from './session.ts';
import { TopCutter } from './top-cutter.ts';

const BLANK_LINES = [Buffer.from('\n\r\n'), Buffer.from('\n\n')];

/** @param bodyLines how much of the body, or null for all of it */
export async function sendMessage(session: Pop3Session, content: Content, bodyLines: number | null): Promise<void> {
  const { out, env } = session;
  const head = await readHead(session, content);
  if (!session.utf8 && needsUtf8(head)) throw new ClientError('utf8Needed');
  const cutter = bodyLines === null ? null : new TopCutter(bodyLines);
  const stuffer = new DotStuffer();
  const send = (piece: Buffer): void => out.bytes(stuffer.stuff(cutter === null ? piece : cutter.take(piece)));
  session.ok(cutter === null ? `${content.size + (endsInCrlf(content.structure) ? 0 : 2)} octets` : 'Top follows');
  send(head);
  for await (const piece of readLayout(env.blobs, content.layout, head.length, content.size)) {
    if (out.needsFlush) await out.flush();
    if (cutter?.done === true) break;
    send(asBuffer(piece));
  }
  out.text(stuffer.endsInCrlf ? '.\r\n' : '\r\n.\r\n');
}

/** The whole of a message that is not long. */
async function readHead(session: Pop3Session, { id, layout, size }: Content): Promise<Buffer> {
  try {
    return asBuffer(await readRange(session.env.blobs, layout, 0, Math.min(size, PIECE_BYTES)));
  } catch (thrown) {
    session.log('pop3.unreadable', { content: id, error: String(thrown) });
    throw new TemporaryError('storeUnavailable', { content: id }, thrown);
  }
}

/**
 * RFC 6856 §2.1 and §5: a message with UTF-8 in its header is sent only to those who said UTF8. What is neither ASCII
 * nor UTF-8 (old mail in old charsets) is nobody's extension, and is sent as it is.
 */
function needsUtf8(head: Buffer): boolean {
  if (isAscii(head)) return false;
  const ends = BLANK_LINES.map((line) => head.indexOf(line)).filter((end) => end >= 0);
  const header = head.subarray(0, Math.min(head.length, ...ends));
  return !isAscii(header) && isUtf8(header);
}

const asBuffer = (bytes: Uint8Array): Buffer =>
  bytes instanceof Buffer ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
