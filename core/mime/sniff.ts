import { Fault } from '../mail/errors.ts';
export function sniffType(_firstBytes: Uint8Array): string | null {
  throw new Fault('later');
}
