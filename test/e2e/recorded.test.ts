/**
 * A data folder of one machine as a format has it, recorded as a node left it. Each later program must serve each
 * of them. `RECORD=2 npm test -- e2e/recorded` makes test/recorded/machine-2.jsonl, of the format that this program writes.
 */

import assert from 'node:assert/strict';
import { glob, mkdir, readFile, stat, writeFile } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { test } from 'node:test';
import { gunzipSync, gzipSync } from 'node:zlib';
import { loadConfig } from '../../core/config/load.ts';
import { openStores } from '../../mixins/storage.ts';
import { checkRecorded, type Expected, isToBeMade, linesOf, makeRecorded, recordings } from '../support/recorded.ts';
import { newDataDir, removeDataDir } from '../support/server.ts';

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

async function record(to: string): Promise<void> {
  const dataDir = await newDataDir();
  try {
    const lines: Line[] = [{ expected: await makeRecorded(worldIn(dataDir), LARGE_BYTES, async () => {}) }];
    for await (const file of glob('**/*', { cwd: dataDir })) {
      if (OWN.test(file) || !(await stat(join(dataDir, file))).isFile()) continue;
      lines.push({ file, gzip: gzipSync(await readFile(join(dataDir, file)), { level: 9 }).toString('base64') });
    }
    await writeFile(to, lines.map((line) => `${JSON.stringify(line)}\n`).join(''));
  } finally {
    await removeDataDir(dataDir);
  }
}

for (const file of recordings('machine'))
  test(`${basename(file)} is served, and its work goes on`, { timeout: 120_000 }, () => serve(file));

async function serve(file: string): Promise<void> {
  if (isToBeMade(file)) await record(file);
  const dataDir = await newDataDir();
  try {
    let expected: Expected | undefined;
    const files: string[] = [];
    for await (const line of linesOf<Line>(file)) {
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
}
