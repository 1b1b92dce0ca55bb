/**
 * Bytes of a document as BSON (bsonspec.org), computed without the database's client, which lives in the drivers only;
 * test/unit/scale.test.ts holds it against the client's own encoder.
 */

interface Typed {
  readonly _bsontype?: string;
}

const INT32_MAX = 2 ** 31;
const utf8 = (text: string): number => Buffer.byteLength(text);

/** Of an element behind its type and name. @throws RangeError for a type that the stores do not write */
function valueSize(value: unknown): number {
  if (value === null) return 0;
  if (typeof value === 'boolean') return 1;
  if (typeof value === 'string') return 4 + utf8(value) + 1;
  if (typeof value === 'number')
    return Number.isInteger(value) && value >= -INT32_MAX && value < INT32_MAX && !Object.is(value, -0) ? 4 : 8;
  if (value instanceof Uint8Array) return 4 + 1 + value.length;
  if (value instanceof Date) return 8;
  if (typeof value === 'object') return (value as Typed)._bsontype === 'ObjectId' ? 12 : bsonSize(value);
  throw new RangeError(`no such value in a document: ${typeof value}`);
}

/** A list is a document whose names are the places. */
export function bsonSize(document: object): number {
  let size = 4 + 1;
  for (const [name, value] of Object.entries(document)) size += 1 + utf8(name) + 1 + valueSize(value);
  return size;
}
