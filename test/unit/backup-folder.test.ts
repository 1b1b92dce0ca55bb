/** What lies in a folder is told without opening it, and a backup that was cut off is told from one that is whole. */

import assert from 'node:assert/strict';
import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { finished, folderKind } from '../../mixins/backup-folder.ts';

test('a backup is unfinished from its beginning to its end, and stays so when it fails', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'mailmesh-backup-'));
  try {
    assert.equal(await folderKind(folder), 'other');
    assert.equal(await folderKind(join(folder, 'none')), 'other');
    const cut = finished(folder, async () => {
      await writeFile(join(folder, 'directory.db'), '');
      assert.equal(await folderKind(folder), 'unfinished');
      throw new Error('disk full');
    });
    await assert.rejects(cut, /disk full/);
    assert.equal(await folderKind(folder), 'unfinished');
    assert.equal(await finished(folder, async () => 'whole'), 'whole');
    assert.deepEqual([await folderKind(folder), await readdir(folder)], ['machine', ['directory.db']]);
    await writeFile(join(folder, 'mail-store.bson'), '');
    assert.equal(await folderKind(folder), 'mesh');
  } finally {
    await rm(folder, { recursive: true });
  }
});
