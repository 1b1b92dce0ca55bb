import { Fault } from '../mail/errors.ts';
export function decodeTransfer(_bytes: Uint8Array, _encoding: string): Uint8Array {
  throw new Fault('later');
}
