/** The worker side of test/unit/sqlite-writer.test.ts: a table of numbers, and handlers that fail in every way. */

import { ClientError, Fenced } from '../../core/mail/errors.ts';
import type { WorkerDefinition } from '../../drivers/embedded/sqlite-worker.ts';

export const definition: WorkerDefinition = {
  migrations: [
    'CREATE TABLE numbers (n INTEGER PRIMARY KEY, filler BLOB) STRICT',
    'ALTER TABLE numbers ADD COLUMN word TEXT',
  ],
  pragmas: 'PRAGMA max_page_count = 60',
  open(db, options) {
    const add = db.prepare('INSERT INTO numbers (n, filler, word) VALUES (?, zeroblob(?), ?)');
    const all = db.prepare('SELECT n FROM numbers ORDER BY n');
    all.setReturnArrays(true);
    const addOne = ({ n, bytes = 0 }: { n: number; bytes?: number }): void => void add.run(n, bytes, String(options));
    return {
      add: addOne,
      addAndThrow(args: { n: number; kind: 'fenced' | 'client' | 'error' }) {
        addOne(args);
        if (args.kind === 'fenced') throw new Fenced();
        if (args.kind === 'client') throw new ClientError('notFound');
        throw new Error('a bug');
      },
      clear: () => db.exec('DELETE FROM numbers'),
      all: () => Float64Array.from((all.all() as unknown as number[][]).flat()),
      echo: (bytes: Uint8Array) => ({ bytes: Uint8Array.from(bytes), length: bytes.length }),
      end: () => process.exit(3),
    };
  },
};
