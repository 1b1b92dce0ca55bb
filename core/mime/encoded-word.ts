import { Fault } from '../mail/errors.ts';
export function decodeEncodedWords(_input: string | Uint8Array): string {
  throw new Fault('later');
}
export function decodeHeaderText(_bytes: Uint8Array): string {
  throw new Fault('later');
}
