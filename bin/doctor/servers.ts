/** Whether the servers of a mesh answer, as this node would meet them. */

import type { Config } from '../../core/config/load.ts';
import { type Finding, finding } from './finding.ts';

export async function checkServers({ mongoUrl, natsUrl }: Config): Promise<Finding[]> {
  if (mongoUrl === null || natsUrl === null) return [];
  // Loaded only here: it brings the clients of both.
  const { lookAtServers } = await import('../../mixins/mesh-servers.ts');
  const { mongo, mongoWarnings, nats } = await lookAtServers(mongoUrl, natsUrl);
  return [
    mongo === null ? finding('MongoDB', 'ok', 'answers') : finding('MongoDB', 'fail', mongo),
    ...mongoWarnings.map((line) => finding('MongoDB', 'warn', line)),
    nats === null ? finding('NATS', 'ok', 'answers, with JetStream') : finding('NATS', 'fail', nats),
  ];
}
