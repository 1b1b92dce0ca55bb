/** Bytes of what nodes say to each other, taken from the product's own senders on a bus in memory. */

import { ServiceBroker } from 'moleculer';
import { loadConfig } from '../../core/config/load.ts';
import { type AccountId, type MailboxId, modSeq, queueId } from '../../core/mail/ids.ts';
import type { CommitResult, Op } from '../../core/ports/mail-store.ts';
import type { Nats } from '../../drivers/cluster/nats.ts';
import { Pointers } from '../../drivers/cluster/queue-pointers.ts';
import { BusTransporter } from '../../mixins/bus-transporter.ts';
import { HintBus } from '../../mixins/hint-bus.ts';
import { HintHub } from '../../mixins/hint-hub.ts';
import { brokerOptions } from '../../moleculer.config.ts';
import { MemoryBus } from '../../test/support/memory-bus.ts';

/** As long as the random name of a cluster. */
const CLUSTER = '0123456789abcdef';
/** As Kubernetes names them. */
const NODES = ['filter-7d9f8b6c5d-x2x4z', 'mailbox-6c5d7d9f8b-q8w7e'] as const;
const VISIBLE_MS = 5_000;

export interface Wire {
  /** Subject and payload. */
  readonly pointerBytes: number;
  readonly hintBytes: number;
  /** A delivery's commit that goes to another node, and its answer. */
  readonly commitBytes: number;
  readonly answerBytes: number;
  readonly heartbeatBytes: number;
  readonly stream: { readonly name: string; readonly messagesMax: number; readonly ageMsMax: number };
}

interface Message {
  readonly subject: string;
  readonly bytes: number;
}

const unexpected = (error: unknown): never => {
  throw error;
};
const size = ({ subject, bytes }: Message): number => subject.length + bytes;

/** The first message whose subject holds the word. */
function sentAbout(bus: MemoryBus, word: string): Message {
  const found = bus.published.find(({ subject }) => subject.includes(word));
  if (found === undefined) throw new Error(`nothing was sent about ${word}`);
  return { subject: found.subject, bytes: found.bytes.length };
}

/** Of the broker; its types leave it out. */
interface Registry {
  readonly discoverer: { sendLocalNodeInfo(): Promise<void> };
}

interface StreamLimits {
  readonly name: string;
  readonly max_msgs: number;
  readonly max_age: number;
}

async function pointer(): Promise<Pick<Wire, 'pointerBytes' | 'stream'>> {
  const sent: Message[] = [];
  let limits: StreamLimits | undefined;
  const publish = async (subject: string, text: string) => void sent.push({ subject, bytes: text.length });
  const add = async (config: StreamLimits) => {
    limits = config;
  };
  const nats = {
    ...{ connected: true, trouble: null, place: 'memory', manager: { streams: { add } } },
    connection: { jetstream: () => ({ publish }) },
    onChange: () => () => undefined,
  } as unknown as Nats;
  const pointers = new Pointers({
    ...{ nats, prefix: `mailmesh-${CLUSTER}`, instance: '0123456789ab' },
    report: (_, facts) => unexpected(new Error(facts.detail as string)),
    receive: () => undefined,
    room: async () => undefined,
    changed: () => undefined,
  });
  await pointers.open();
  pointers.publish('authentication', queueId(0, new Uint8Array(7)));
  await pointers.close();
  const { name, max_msgs: messagesMax, max_age: ageNs } = limits!;
  return { pointerBytes: size(sent[0]!), stream: { name, messagesMax, ageMsMax: ageNs / 1e6 } };
}

function hint(account: AccountId, mailbox: MailboxId): number {
  const bus = new MemoryBus();
  const self = `${NODES[1]}/0123abcd`;
  const hints = new HintBus({ bus, mesh: CLUSTER, self, hub: new HintHub(unexpected), dropped: unexpected });
  hints.publish({ account, modSeq: modSeq(100_000), mailboxes: [mailbox], listChanged: false });
  return size(sentAbout(bus, 'hint'));
}

/** Two brokers: a filter asks for a delivery's commit, a mailbox node answers. */
async function packets(
  account: AccountId,
  ops: readonly Op[],
): Promise<Pick<Wire, 'commitBytes' | 'answerBytes' | 'heartbeatBytes'>> {
  const bus = new MemoryBus();
  const [near, far] = NODES.map((id) => {
    const transport = { namespace: `mailmesh-${CLUSTER}`, transporter: new BusTransporter(bus) };
    return new ServiceBroker(brokerOptions(loadConfig({}), id, transport));
  }) as [ServiceBroker, ServiceBroker];
  const answer = {
    modSeq: 100_000,
    results: [{ ok: true, t: 'append', uid: 50_000, uidValidity: 1_790_000_000, content: 60_000, duplicate: false }],
  } as unknown as CommitResult;
  far.createService({ name: 'mailbox', actions: { commit: { strategy: 'Rendezvous', handler: () => answer } } });
  try {
    await Promise.all([near.start(), far.start()]);
    // The broker would tell a second later.
    await (far.registry as unknown as Registry).discoverer.sendLocalNodeInfo();
    await near.waitForServices('mailbox', VISIBLE_MS, 5);
    await near.call('mailbox.commit', {
      account,
      ops,
      session: queueId(0, new Uint8Array(7)),
      by: 'filter',
      packed: true,
    });
  } finally {
    await Promise.all([near.stop(), far.stop()]);
  }
  // As Moleculer's transit writes it; its own has the processor's share of the moment.
  const beat = Buffer.from(JSON.stringify({ cpu: 50, ver: '4', sender: NODES[0] }));
  return {
    commitBytes: size(sentAbout(bus, '.REQ.')),
    answerBytes: size(sentAbout(bus, '.RES.')),
    heartbeatBytes: `MOL-mailmesh-${CLUSTER}.HEARTBEAT`.length + beat.length,
  };
}

/** @param delivery what delivery asked for */
export async function measureWire(delivery: {
  readonly account: AccountId;
  readonly ops: readonly Op[];
}): Promise<Wire> {
  const { account, ops } = delivery;
  const append = ops.find((op) => op.t === 'append')!;
  return {
    ...(await pointer()),
    hintBytes: hint(account, append.mailbox),
    ...(await packets(account, ops)),
  };
}
