/** What one connection may make the server hold or read, by how much is known about it. SECURITY.md lists them. */

import type { ReaderLimits } from './reader.ts';

export const LIMITS_BEFORE_LOGIN: ReaderLimits = {
  textBytesMax: 8 * 1024,
  literalBytesMax: 4 * 1024,
  literalBytesTotalMax: 4 * 1024,
  literalsMax: 10,
  skipBytesMax: 64 * 1024,
};

/** Messages are streamed and not among these literals. */
const AFTER_LOGIN: Omit<ReaderLimits, 'skipBytesMax'> = {
  textBytesMax: 96 * 1024,
  literalBytesMax: 64 * 1024,
  literalBytesTotalMax: 256 * 1024,
  literalsMax: 500,
};

/** A message somewhat over the limit is read and thrown away, so that its client gets a NO and keeps its connection. */
export const limitsAfterLogin = (appendSizeBytesMax: number): ReaderLimits => ({
  ...AFTER_LOGIN,
  skipBytesMax: 2 * appendSizeBytesMax + AFTER_LOGIN.textBytesMax,
});

/** Commands in a row answered with BAD before the connection is closed. */
export const BAD_IN_A_ROW_MAX = 20;
