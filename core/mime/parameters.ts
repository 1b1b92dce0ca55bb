import { Fault } from '../mail/errors.ts';
import type { Params, Part } from './part.ts';
export interface StructuredField {
  /** `type/subtype` or a disposition type, in lower case; '' when there is none. */
  readonly value: string;
  readonly params: Params;
}
export function parseContentType(_value: Uint8Array): StructuredField {
  throw new Fault('later');
}
export function parseDisposition(_value: Uint8Array): StructuredField {
  throw new Fault('later');
}
/** A parameter's value as text (RFC 2231 charset, raw 8-bit and stray encoded words decoded), or null. */
export function parameter(_params: Params, _name: string): string | null {
  throw new Fault('later');
}
/** The attachment's name: `filename` of the disposition, else `name` of the type; null for none. */
export function partFilename(_part: Part): string | null {
  throw new Fault('later');
}
