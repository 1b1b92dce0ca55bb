/** What it costs that a commit goes to another node: the same call with and without a hop, both brokers in this process. */

import { ServiceBroker } from 'moleculer';
import { loadConfig } from '../core/config/load.ts';
import { NatsMessageBus } from '../drivers/cluster/message-bus.ts';
import { Nats } from '../drivers/cluster/nats.ts';
import { BusTransporter } from '../mixins/bus-transporter.ts';
import { brokerOptions } from '../moleculer.config.ts';
import { natsServer } from '../test/support/cluster-servers.ts';
import { cpuMs } from './process-tree.ts';

export interface HopCost {
  /** CPU milliseconds a call: of both brokers together, beyond what a call without a hop costs. */
  readonly brokers: number;
  readonly nats: number;
}

const WARM = 500;
const CALLS = 5_000;
const AT_ONCE = 8;
const VISIBLE_MS = 10_000;

/** As large as the commit of a delivered message: content with envelope, structure and layout. */
const PARAMS = {
  account: '0123456789abcdef',
  session: 's0123456789abcd',
  by: 'filter',
  ops: [
    {
      t: 'append',
      mailbox: '0123456789abcdef',
      flags: [],
      internalDate: 1_700_000_000,
      dedupe: '0123456789abcdef/someone@example.com',
      quota: 'enforce',
      content: {
        size: 10_000,
        messageId: '<0123456789@example.com>',
        envelope: Buffer.alloc(500, 'e'),
        bodystructure: Buffer.alloc(200, 'b'),
        structure: Buffer.alloc(100, 's'),
      },
    },
  ],
};

async function many(broker: ServiceBroker, calls: number, nats: number): Promise<HopCost> {
  const before = process.cpuUsage();
  const natsBefore = cpuMs([nats]);
  let left = calls;
  const work = async (): Promise<void> => {
    while (left-- > 0) await broker.call('echo.commit', PARAMS);
  };
  await Promise.all(Array.from({ length: AT_ONCE }, work));
  const used = process.cpuUsage(before);
  return { brokers: (used.user + used.system) / 1_000 / calls, nats: (cpuMs([nats]) - natsBefore) / calls };
}

export async function measureHop(): Promise<HopCost> {
  const server = await natsServer();
  const brokers: ServiceBroker[] = [];
  const connections: Nats[] = [];
  const open = async (id: string): Promise<ServiceBroker> => {
    const nats = new Nats({ url: server.url });
    await nats.open();
    connections.push(nats);
    const failed = (error: unknown): never => {
      throw error;
    };
    const transporter = new BusTransporter(new NatsMessageBus({ nats, failed }));
    const broker = new ServiceBroker(brokerOptions(loadConfig({}), id, { namespace: 'bench', transporter }));
    brokers.push(broker);
    return broker;
  };
  try {
    const [near, far] = [await open('near'), await open('far')];
    const answer = { modSeq: 1, results: [{ ok: true, t: 'append', uid: 1, uidValidity: 1, content: 1 }] };
    const service = { name: 'echo', actions: { commit: () => answer } };
    far.createService(service);
    await Promise.all([near.start(), far.start()]);
    await near.waitForServices('echo', VISIBLE_MS, 20);
    const pid = server.pid!;
    await many(near, WARM, pid);
    const remote = await many(near, CALLS, pid);
    const local = await many(far, CALLS, pid);
    return { brokers: remote.brokers - local.brokers, nats: remote.nats };
  } finally {
    for (const broker of brokers) await broker.stop();
    for (const nats of connections) await nats.close();
    await server.close();
  }
}
