/**
 * A data folder of one machine as the first format has it, recorded as a node left it. Each later program must serve it.
 * `RECORD=1 npm test -- e2e/recorded` makes test/recorded/machine-1.jsonl anew, which only a new format is a reason for.
 */

import assert from 'node:assert/strict';
import { createReadStream } from 'node:fs';
import { glob, mkdir, readFile, stat, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { createInterface } from 'node:readline';
import { test } from 'node:test';
import { gunzipSync, gzipSync } from 'node:zlib';
import { loadConfig } from '../../core/config/load.ts';
import { openStores } from '../../mixins/storage.ts';
import { checkRecorded, type Expected, makeRecorded } from '../support/recorded.ts';
import { newDataDir, removeDataDir } from '../support/server.ts';

const FILE = join(import.meta.dirname, '..', 'recorded', 'machine-1.jsonl');
/** The largest blob is in a pack, as most are. */
const LARGE_BYTES = 20_000;
/** A node makes them anew: its certificate, and what is there only while it runs. */
const OWN = /^(tls\/|lock\.db|.*\.sock$)/;

interface Line {
  readonly expected?: Expected;
  /** Below the data folder. */
  readonly file?: string;
  /** In base64. */
  readonly gzip?: string;
}

const worldIn = (dataDir: string) => {
  // A node of a mesh need not run all services; its stores are one machine's.
  const mesh = { MAILMESH_MONGO_URL: 'mongodb://unused', MAILMESH_NATS_URL: 'nats://unused' };
  return {
    environment: { ...mesh, MAILMESH_DATA_DIR: dataDir, MAILMESH_NODE_ID: 'recorder' },
    open: () => openStores(loadConfig({ MAILMESH_DATA_DIR: dataDir }), Date.now),
  };
};

async function record(): Promise<void> {
  const dataDir = await newDataDir();
  try {
    const lines: Line[] = [{ expected: await makeRecorded(worldIn(dataDir), LARGE_BYTES, async () => {}) }];
    for await (const file of glob('**/*', { cwd: dataDir })) {
      if (OWN.test(file) || !(await stat(join(dataDir, file))).isFile()) continue;
      lines.push({ file, gzip: gzipSync(await readFile(join(dataDir, file)), { level: 9 }).toString('base64') });
    }
    await writeFile(FILE, lines.map((line) => `${JSON.stringify(line)}\n`).join(''));
  } finally {
    await removeDataDir(dataDir);
  }
}

test('a recorded data folder of the first format is served, and its work goes on', { timeout: 120_000 }, async () => {
  if (process.env.RECORD === '1') await record();
  const dataDir = await newDataDir();
  try {
    let expected: Expected | undefined;
    const files: string[] = [];
    for await (const text of createInterface({ input: createReadStream(FILE) })) {
      const line = JSON.parse(text) as Line;
      if (line.expected !== undefined) expected = line.expected;
      else {
        const path = join(dataDir, line.file!);
        files.push(line.file!);
        await mkdir(dirname(path), { recursive: true, mode: 0o700 });
        await writeFile(path, gunzipSync(Buffer.from(line.gzip!, 'base64')));
      }
    }
    for (const name of ['queue', 'directory', 'samples', 'search', 'mail-0', 'blobs'])
      assert.ok(files.includes(`${name}.db`), files.join(' '));
    await checkRecorded(worldIn(dataDir), expected!);
  } finally {
    await removeDataDir(dataDir);
  }
});
