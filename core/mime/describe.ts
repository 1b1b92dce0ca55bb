import { Fault } from '../mail/errors.ts';
import type { Layout } from '../mail/layout.ts';
import type { ContentInput } from '../ports/mail-store.ts';
import type { Part } from './part.ts';
export interface MessageDescription {
  readonly size: number;
  readonly root: Part;
  readonly envelope: Uint8Array;
  readonly bodystructure: Uint8Array;
  /** `root` encoded. */
  readonly structure: Uint8Array;
  /** With brackets, or ''. */
  readonly messageId: string;
  /** Seconds since 1970. */
  readonly sentAt: number | null;
  /** Decoded, at most 200 characters. */
  readonly subject: string;
  readonly from: string;
}
export function describeMessage(
  _chunks: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
): Promise<MessageDescription> {
  throw new Fault('later');
}
export function toContentInput(_description: MessageDescription, _layout: Layout, _origin: string): ContentInput {
  throw new Fault('later');
}
