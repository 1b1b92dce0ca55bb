/**
 * Golden messages: features of messages whose verdict is beyond doubt, shipped with the seed model. A candidate that newly
 * gets one of them wrong is not activated. Packed as label, length, features, one after the other.
 */

import { zstdCompressSync, zstdDecompressSync } from 'node:zlib';
import { Fault } from '../mail/errors.ts';

export interface GoldenMessage {
  readonly label: 'spam' | 'ham';
  /** As stored by the sample store. */
  readonly features: Uint8Array;
}

const PACKED_BYTES_MAX = 16 * 1024 * 1024;

export function encodeGolden(messages: readonly GoldenMessage[]): Uint8Array {
  const pieces: Uint8Array[] = [];
  for (const { label, features } of messages) {
    const head = Buffer.alloc(5);
    head[0] = label === 'spam' ? 1 : 0;
    head.writeUInt32LE(features.length, 1);
    pieces.push(head, features);
  }
  return zstdCompressSync(Buffer.concat(pieces));
}

export function decodeGolden(packed: Uint8Array): GoldenMessage[] {
  const bytes = zstdDecompressSync(packed, { maxOutputLength: PACKED_BYTES_MAX });
  const messages: GoldenMessage[] = [];
  let at = 0;
  while (at < bytes.length) {
    if (at + 5 > bytes.length) throw new Fault('the golden messages are cut short');
    const end = at + 5 + bytes.readUInt32LE(at + 1);
    if (end > bytes.length) throw new Fault('the golden messages are cut short');
    messages.push({ label: bytes[at] === 1 ? 'spam' : 'ham', features: bytes.subarray(at + 5, end) });
    at = end;
  }
  return messages;
}
