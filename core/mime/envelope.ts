import { Fault } from '../mail/errors.ts';
import type { Header } from './header.ts';
export function envelopeBytes(_headerBytes: Uint8Array, _header: Header): Uint8Array {
  throw new Fault('later');
}
