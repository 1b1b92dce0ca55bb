import { Fault } from '../mail/errors.ts';
import type { Part } from './part.ts';
export function encodeStructure(_part: Part): Uint8Array {
  throw new Fault('later');
}
export function decodeStructure(_bytes: Uint8Array): Part {
  throw new Fault('later');
}
export function shiftStructure(_part: Part, _delta: number): Part {
  throw new Fault('later');
}
