/** Renews a blob's grace, and revives it where it is dying. */

import type { BlobRef } from '../../core/mail/ids.ts';
import type { BlobParts } from './blob-parts.ts';

/** False where there is no such blob. */
export async function touchBlob({ blobs, now }: BlobParts, ref: BlobRef): Promise<boolean> {
  const { matched } = await blobs.updateOne({ _id: ref }, { $set: { state: 'live' }, $max: { at: now() } });
  return matched > 0;
}
