/** A run of a migration that is killed behind the fifth batch. */

import { runMigrations } from '../../drivers/cluster/migration.ts';
import { Mongo } from '../../drivers/cluster/mongo.ts';
import { MIGRATION_STEPS } from './migration-steps.ts';

const mongo = new Mongo({ url: process.argv[2]!, knows: 2 });
await mongo.open();
await runMigrations({ mongo, steps: MIGRATION_STEPS, settleMs: 0, told });

function told({ looked }: { readonly looked: number }): void {
  if (looked >= 500) process.kill(process.pid, 'SIGKILL');
}
