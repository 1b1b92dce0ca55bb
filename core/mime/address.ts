import { Fault } from '../mail/errors.ts';
/** One address of a list; strings hold one byte per character (latin-1), encoded words as they stand. */
export type AddressItem =
  | {
      readonly t: 'mailbox';
      readonly name: string | null;
      readonly route: string | null;
      readonly local: string;
      readonly domain: string;
    }
  | { readonly t: 'groupStart'; readonly name: string }
  | { readonly t: 'groupEnd' };
export function parseAddressList(_bytes: Uint8Array): AddressItem[] {
  throw new Fault('later');
}
