/** A read-only thread beside the writer of sqlite-writer.test.ts. */

import type { WorkerDefinition } from '../../drivers/embedded/sqlite-worker.ts';

export const definition: WorkerDefinition = {
  migrations: [],
  readOnly: true,
  open: (db) => ({
    count: () => (db.prepare('SELECT count(*) AS n FROM numbers').get() as { n: number }).n,
    write: () => db.exec('DELETE FROM numbers'),
  }),
};
