/**
 * Bytes of an index's entries, from the keys of documents that the stores wrote: sorted, without what a key shares with
 * the one before it, as the storage engine writes its pages. Keys follow MongoDB's KeyString in the lengths of what they
 * hold; heads of cells and how full pages are come from assumptions.ts.
 */

import { MONGO } from './assumptions.ts';
import type { Doc, IndexFields } from './recording-mongo.ts';

const NUMBER_BYTES = 9;
/** GridFS names chunks by ObjectIds, which many processes make: they share their time alone, whatever they are. */
const OBJECT_ID = Buffer.from(`o${'\0'.repeat(12)}`);
const OBJECT_ID_SHARED = 1 + 4;

function valueAt(doc: Doc, path: string): unknown {
  return path.split('.').reduce<unknown>((value, name) => (value as Doc | undefined)?.[name], doc);
}

function keyPart(value: unknown): Buffer {
  if (typeof value === 'string') return Buffer.from(`s${value}\0`);
  if (typeof value === 'number') {
    const bytes = Buffer.alloc(NUMBER_BYTES, 'n');
    bytes.writeDoubleBE(value, 1);
    // Small whole numbers have short keys.
    return Number.isSafeInteger(value) ? Buffer.concat([bytes.subarray(0, 1), shortest(value)]) : bytes;
  }
  if (value instanceof Date) return keyPart(value.getTime());
  if ((value as { readonly _bsontype?: string } | null)?._bsontype === 'ObjectId') return OBJECT_ID;
  return Buffer.from(JSON.stringify(value ?? null));
}

function shortest(value: number): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeBigInt64BE(BigInt(value));
  const first = bytes.findIndex((byte) => byte !== 0);
  const length = first < 0 ? 1 : 8 - first;
  return Buffer.concat([Buffer.of(length), bytes.subarray(8 - length)]);
}

/** A list makes an entry for each of its members. */
function keysOf(doc: Doc, fields: IndexFields): Buffer[] {
  let keys: Buffer[] = [Buffer.alloc(0)];
  for (const field of fields) {
    const value = valueAt(doc, field);
    const parts = (Array.isArray(value) ? (value.length === 0 ? [null] : value) : [value]).map(keyPart);
    keys = keys.flatMap((key) => parts.map((part) => Buffer.concat([key, part])));
  }
  return keys;
}

/** Of all entries of one index over these documents. */
export function indexBytes(docs: readonly Doc[], fields: IndexFields): number {
  const keys = docs.flatMap((doc) => keysOf(doc, fields)).sort(Buffer.compare);
  let bytes = 0;
  let before: Buffer = Buffer.alloc(0);
  for (const key of keys) {
    let shared = 0;
    while (shared < key.length && shared < before.length && key[shared] === before[shared]) shared++;
    if (key[0] === OBJECT_ID[0]) shared = Math.min(shared, OBJECT_ID_SHARED);
    bytes += key.length - shared + MONGO.indexEntryBytes;
    before = key;
  }
  return bytes / MONGO.pageFill;
}
