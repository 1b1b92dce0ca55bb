/** Cuts bytes into pieces of the given sizes, over and over; without sizes one piece. */
export function chunked(bytes: Uint8Array, sizes: readonly number[]): Uint8Array[] {
  if (sizes.every((size) => size === 0)) return [bytes];
  const chunks: Uint8Array[] = [];
  for (let at = 0, i = 0; at < bytes.length; i++) {
    const size = sizes[i % sizes.length]!;
    chunks.push(bytes.subarray(at, at + size));
    at += size;
  }
  return chunks;
}
