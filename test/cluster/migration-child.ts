/** A run of a migration that says how far it is, until it is killed. */

import { runMigrations } from '../../drivers/cluster/migration.ts';
import { Mongo } from '../../drivers/cluster/mongo.ts';
import { MIGRATION_STEPS } from './migration-steps.ts';

const mongo = new Mongo({ url: process.argv[2]!, knows: 2 });
await mongo.open();
await runMigrations({ mongo, steps: MIGRATION_STEPS, settleMs: 0, told: ({ looked }) => console.log(looked) });
await mongo.close();
