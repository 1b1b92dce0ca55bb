import { Fault } from '../mail/errors.ts';
import type { Part } from './part.ts';
export class StructureParser {
  /** Keeps no reference to the chunk. */
  push(_chunk: Uint8Array): void {
    throw new Fault('later');
  }
  end(): Part {
    throw new Fault('later');
  }
  /** The root's header bytes up to the limit, once it has ended. */
  get header(): Uint8Array {
    throw new Fault('later');
  }
}
/** Of a message in memory. */
export function parseStructure(_bytes: Uint8Array): Part {
  throw new Fault('later');
}
