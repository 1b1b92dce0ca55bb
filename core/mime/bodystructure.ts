import { Fault } from '../mail/errors.ts';
import type { Part } from './part.ts';
export function bodystructureBytes(_part: Part): Uint8Array {
  throw new Fault('later');
}
export function bodyBytes(_part: Part): Uint8Array {
  throw new Fault('later');
}
