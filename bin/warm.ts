/**
 * Starts and stops a whole node once on a folder of its own, without listeners, so that all of its code is in the compile
 * cache. A server that then starts from the cache is ready sooner and needs some 100 MB less, because neither it nor its
 * threads load the compiler that strips the types.
 */

import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { flushCompileCache } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { loadConfig } from '../core/config/load.ts';
import { OPTIONS } from '../core/config/schema.ts';
import { startNode } from '../mixins/node.ts';

const dataDir = await mkdtemp(join(tmpdir(), 'mailmesh-warm-'));
try {
  const ports = OPTIONS.filter((option) => option.type === 'port').map((option) => [option.env, 'off']);
  const config = loadConfig({ ...Object.fromEntries(ports), MAILMESH_DATA_DIR: dataDir, MAILMESH_LOG_LEVEL: 'silent' });
  const node = await startNode(config, { roles: 'all' });
  // The command's own modules too.
  await import('./mailmesh.ts');
  await import('./commands/start.ts');
  await node.stop();
  flushCompileCache();
  // Tells the door that this need not be done again: other commands put a part of the code there.
  const cache = process.env.NODE_COMPILE_CACHE;
  if (cache !== undefined) await writeFile(join(cache, 'warm'), '');
} finally {
  await rm(dataDir, { recursive: true, force: true });
}
