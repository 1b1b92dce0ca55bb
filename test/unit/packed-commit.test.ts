/** The answer to a commit crosses packed and is the same behind it, and is small where it was large. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { flagSet } from '../../core/mail/flags.ts';
import { modSeq, uid } from '../../core/mail/ids.ts';
import type { CommitResult } from '../../core/ports/mail-store.ts';
import { packCommit, unpackCommit } from '../../mixins/packed-commit.ts';

const sets = [[], ['\\Seen'], ['\\Seen', 'a', 'b'], ['\\Seen', 'a","b']].map((names) => flagSet(names));

const commitOf = (count: number): CommitResult => ({
  modSeq: modSeq(7),
  results: [
    { ok: false, why: 'noSuchMailbox' },
    {
      ok: true,
      t: 'store',
      stored: Array.from({ length: count }, (_, i) => ({
        uid: uid(4_294_967_295 - count + i),
        // Equal sets need not be the same object.
        flags: [...sets[(i >> 2) % 4]!],
        modSeq: modSeq(2 ** 40 + i),
      })),
      modified: Uint32Array.of(1, 2),
    },
    { ok: true, t: 'copy', uidValidity: 1, from: Uint32Array.of(1), to: Uint32Array.of(2) },
  ],
});

test('what is unpacked is what was packed, whether it was long or short', () => {
  for (const count of [0, 1, 999, 1_000, 5_003]) {
    const result = commitOf(count);
    const packed = packCommit(result);
    assert.equal('columns' in packed.results[1]!, count >= 1_000);
    assert.deepEqual(unpackCommit(packed), result);
    assert.deepEqual(unpackCommit(result), result);
  }
});

test('flag sets are carried once each', () => {
  const packed = packCommit(commitOf(60_000)).results[1]!;
  assert.ok('columns' in packed);
  assert.deepEqual(packed.columns.flagSets, sets);
});
