import { Fault } from '../mail/errors.ts';
export function decodeCharset(_bytes: Uint8Array, _label: string): string {
  throw new Fault('later');
}
