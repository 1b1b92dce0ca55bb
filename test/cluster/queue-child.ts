/** A process to be killed: a node that runs every stage, and says which it has settled: `s ID STAGE`. */

import fs from 'node:fs';
import { Mongo } from '../../drivers/cluster/mongo.ts';
import { Nats } from '../../drivers/cluster/nats.ts';
import { ClusterQueue } from '../../drivers/cluster/queue.ts';
import { ALL_STAGES, stageRunner } from './queue-mesh.ts';

const [mongoUrl, natsUrl, prefix] = process.argv.slice(2) as [string, string, string];
const mongo = new Mongo({ url: mongoUrl });
const nats = new Nats({ url: natsUrl });
await Promise.all([mongo.open(), nats.open()]);
const queue = new ClusterQueue({ mongo, nats, prefix, now: Date.now, archive: () => Promise.reject() as never });
await queue.open();
const settle = queue.settle.bind(queue);
queue.settle = async (...args) => {
  const isSettled = await settle(...args);
  // One write call, so that a line is there whole or not at all.
  if (isSettled) fs.writeSync(1, `s ${args[0].queueId} ${args[0].stage}\n`);
  return isSettled;
};
for (const stage of ALL_STAGES) stageRunner(queue, stage).start();
// Its runners' timers alone keep no process alive.
setInterval(() => {}, 1_000);
