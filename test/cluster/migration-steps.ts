/** A change of format that no release has made, for tests: a name in two parts. Nothing else of a document changes. */

import type { MigrationStep } from '../../drivers/cluster/migration.ts';

export const MIGRATION_STEPS: readonly MigrationStep[] = [
  {
    to: 2,
    collection: 'names',
    change: ({ name, times }) => {
      if (name === undefined) return undefined;
      const [first, last] = String(name).split(' ');
      return {
        filter: { name, times },
        update: { $set: { first, last }, $unset: { name: true }, $inc: { times: 1 } } as never,
      };
    },
  },
];
