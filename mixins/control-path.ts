/**
 * Where a running server and the mailmesh command meet. Both compute it from the data folder, so nothing is configured
 * and nothing listens on the network.
 */

import { createHash } from 'node:crypto';
import { tmpdir, userInfo } from 'node:os';
import { join, resolve } from 'node:path';

/** sun_path holds 104 bytes on macOS and 108 on Linux, with a NUL at the end. */
const PATH_BYTES_MAX = 103;

/** RFC 9110 §15.5.20, Misdirected Request: no node that is up does what was asked for, and nothing was begun. */
export const NOBODY = 421;

/** DATA_DIR/control.sock, or for a data folder too deep for a socket's name a name in the temporary folder. */
export function controlPath(dataDir: string): string {
  const folder = resolve(dataDir);
  const path = join(folder, 'control.sock');
  if (Buffer.byteLength(path) <= PATH_BYTES_MAX) return path;
  const digest = createHash('sha256').update(folder).digest('hex').slice(0, 20);
  return join(tmpdir(), `mailmesh-${userInfo().uid}-${digest}.sock`);
}
