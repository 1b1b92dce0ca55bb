/**
 * The broker's packets on a bus that takes small messages only: large ones arrive, small ones pass them by, what is lost is
 * found out, and who cannot be sent an answer is told so.
 */

import assert from 'node:assert/strict';
import { afterEach, test } from 'node:test';
import { deflateSync } from 'node:zlib';
import { type Context, Errors, ServiceBroker } from 'moleculer';
import { loadConfig } from '../../core/config/load.ts';
import { TemporaryError } from '../../core/mail/errors.ts';
import { BusTransporter } from '../../mixins/bus-transporter.ts';
import { attachContext, type NodeContext } from '../../mixins/context.ts';
import { isPiece, PACKET_BYTES_MAX } from '../../mixins/packet-pieces.ts';
import { PacketTurns } from '../../mixins/packet-turns.ts';
import { brokerOptions } from '../../moleculer.config.ts';
import { eventually } from '../support/clients.ts';
import { MemoryBus } from '../support/memory-bus.ts';

const config = loadConfig({ MAILMESH_LOG_LEVEL: 'silent' });
const started: ServiceBroker[] = [];

afterEach(async () => {
  for (const broker of started.splice(0)) await broker.stop();
});

type Actions = Record<string, (ctx: Context) => unknown>;

interface Line {
  readonly event: string;
  readonly detail?: string;
}

/** A broker on the bus, with what it logs and counts. */
async function node(bus: MemoryBus, id: string, actions: Actions = {}) {
  const transporter = new BusTransporter(bus);
  const broker = new ServiceBroker(brokerOptions(config, id, { namespace: 'test', transporter }));
  const lines: Line[] = [];
  let dropped = 0;
  const store = { twin: false };
  attachContext(broker, {
    stores: { mesh: { hasTwin: async () => store.twin } },
    log: { warn: (facts: object, event: string) => lines.push({ event, ...facts }) },
    metrics: { packetsDropped: { inc: () => dropped++ } },
  } as unknown as NodeContext);
  broker.createService({ name: id, actions });
  await broker.start();
  started.push(broker);
  return { broker, lines, store, dropped: () => dropped };
}

/** Compresses to about 3/4 of 4/3 of it: to what it is. */
const noise = (length: number): Uint32Array => {
  const made = new Uint32Array(length / 4);
  let state = 1;
  for (let i = 0; i < made.length; i++) {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    made[i] = state;
  }
  return made;
};

const echo = { echo: (ctx: Context) => ctx.params, small: () => 'small' };

async function pair(actions: Actions = echo) {
  const bus = new MemoryBus();
  const [asker, other] = [await node(bus, 'asker'), await node(bus, 'other', actions)];
  await asker.broker.waitForServices('other', 5_000, 20);
  bus.published.length = 0;
  return { bus, asker, other };
}

test('a request and an answer larger than the bus takes cross it whole, in whatever order their pieces come', async () => {
  const { bus, asker, other } = await pair();
  bus.bytesMax = 100_000;
  const uids = noise(1_200_000);
  const held: Parameters<MemoryBus['carry']>[0][] = [];
  bus.way = (message) => {
    if (!isPiece(message.bytes)) return [message];
    // Two at a time, the later first and twice.
    held.push(message);
    if (held.length < 2) {
      setTimeout(() => {
        for (const last of held.splice(0)) bus.carry(last);
      }, 50);
      return [];
    }
    const [first, second] = held.splice(0);
    return [second!, first!, second!];
  };
  assert.deepEqual(await asker.broker.call('other.echo', { uids }), { uids });
  const pieces = bus.published.filter(({ bytes }) => isPiece(bytes));
  assert.ok(pieces.length > 20 && pieces.every(({ bytes }) => bytes.length <= 100_000));
  assert.deepEqual([asker.dropped(), other.dropped(), asker.lines], [0, 0, []]);
});

test('what the bus takes whole is sent whole, and small packets pass large ones by', async () => {
  const { bus, asker } = await pair();
  await asker.broker.call('other.echo', { uids: noise(600_000) });
  assert.ok(bus.published.every(({ bytes }) => !isPiece(bytes)));
  bus.published.length = 0;
  bus.bufferedMax = 0;
  const large = Array.from({ length: 6 }, () => asker.broker.call('other.echo', { uids: noise(3_000_000) }));
  let ended = 0;
  for (const one of large) void one.then(() => ended++);
  let small = 0;
  await eventually('pieces', () => (bus.published.some(({ bytes }) => isPiece(bytes)) ? true : undefined));
  while (ended === 0) {
    await asker.broker.call('other.small');
    small++;
    // This bus carries within the turn.
    await new Promise(setImmediate);
  }
  await Promise.all(large);
  assert.ok(small > 5, `${small} small ones`);
  // Two nodes share this bus, and a window may be exceeded by one piece.
  assert.ok(bus.bufferedMax < 3_000_000, `${bus.bufferedMax} bytes at once`);
});

test('a lost piece makes a timeout, which is tried again, and one line where the others of them wait', async (t) => {
  const { bus, asker, other } = await pair();
  let lost = 0;
  bus.way = (message) => (isPiece(message.bytes) && lost++ === 1 ? [] : [message]);
  t.mock.timers.enable({ apis: ['setTimeout'] });
  const params = { uids: noise(2_000_000) };
  const asked = asker.broker.call('other.echo', params, { timeout: 2_000 });
  const failed = assert.rejects(asked, (error: Error) => {
    // mixins/commit.ts takes it for passing.
    assert.ok(error instanceof Errors.MoleculerRetryableError && !(error instanceof Errors.MoleculerServerError));
    return true;
  });
  while (lost < 8) await new Promise(setImmediate);
  t.mock.timers.tick(2_000);
  await failed;
  // Else a stop would wait for it.
  assert.deepEqual((asker.broker as unknown as { _trackedContexts: unknown[] })._trackedContexts, []);
  assert.deepEqual(await asker.broker.call('other.echo', params), params);
  const at = performance.now();
  t.mock.method(performance, 'now', () => at + 30_000);
  t.mock.timers.tick(30_000);
  assert.equal(other.dropped(), 1);
  assert.match(other.lines[0]!.detail!, /^\d+ of \d+ pieces of a packet came$/);
  t.mock.timers.reset();
});

test('a packet that cannot be sent fails at once: the request where it is asked, the answer where it is waited for', async () => {
  const words = 'x'.repeat(PACKET_BYTES_MAX);
  let away = (): void => undefined;
  const { bus, asker, other } = await pair({
    ...echo,
    vast: () => words,
    cyclic: () => {
      const made: { self?: unknown } = {};
      made.self = made;
      return made;
    },
    broken: () => {
      away();
      return noise(4_000_000);
    },
  });
  const began = performance.now();
  await assert.rejects(
    asker.broker.call('other.echo', { words }),
    (error: TemporaryError) => error instanceof TemporaryError && error.facts.passing !== true,
  );
  for (const action of ['vast', 'cyclic'])
    await assert.rejects(
      asker.broker.call(`other.${action}`),
      (error: TemporaryError) => error instanceof TemporaryError && error.facts.passing !== true,
      action,
    );
  assert.ok(performance.now() - began < 5_000);
  assert.deepEqual(
    other.lines.map(({ event }) => event),
    ['packet.unsent', 'packet.unsent'],
  );
  // The bus goes away in the middle of an answer and comes again at once.
  away = () => {
    bus.way = (message) => {
      if (!isPiece(message.bytes)) return [message];
      bus.isConnected = false;
      setImmediate(() => (bus.isConnected = true));
      return [];
    };
  };
  const asking = asker.broker.call('other.broken', {}, { timeout: 1_000 });
  await assert.rejects(asking, (error: Error) =>
    error instanceof TemporaryError ? error.facts.passing === true : error instanceof Errors.RequestTimeoutError,
  );
  // While it is away, a large request fails as a small one does.
  bus.isConnected = false;
  for (const uids of [noise(40), noise(4_000_000)])
    await assert.rejects(
      asker.broker.call('other.echo', { uids }),
      (error: TemporaryError) => error instanceof TemporaryError && error.facts.passing === true,
    );
});

test('pieces of no packet, and packets of no kind in pieces, are dropped with one line each', async () => {
  const { bus, asker, other } = await pair();
  const topic = 'MOL-test.REQ.other';
  bus.publish(topic, Buffer.from([2, 1, 2, 3]));
  bus.publish(topic, Buffer.alloc(100, 2));
  // Whole at once, and nothing that is a packet: no JSON, nothing to unpack, pieces again.
  const counts = [0, 1, 2, 123];
  for (const first of counts) {
    const piece = Buffer.alloc(22);
    piece[0] = 2;
    piece[1] = first;
    piece.writeUInt32BE(1, 17);
    piece[21] = first;
    bus.publish(topic, piece);
  }
  await eventually('six drops', () => (other.dropped() === 6 ? true : undefined));
  assert.equal(other.lines.length, 6);
  assert.equal(await asker.broker.call('other.small'), 'small');
});

const PROTOCOL = (ServiceBroker as unknown as { PROTOCOL_VERSION: string }).PROTOCOL_VERSION;
const nodesOf = ({ registry }: ServiceBroker): string[] =>
  registry
    .getNodeList({})
    .map(({ id }) => id as string)
    .sort();

test('what has not the form of a packet is dropped before the broker believes it', async () => {
  const { bus, asker, other } = await pair();
  const send = (command: string, fields: object, sender: unknown = 'evil'): void => {
    const packet = JSON.stringify({ ver: PROTOCOL, sender, ...fields });
    bus.carry({ subject: `MOL-test.${command}`, bytes: Buffer.from(packet.replaceAll('PROTO', '__proto__')) });
  };
  const info = { instanceID: 'i', seq: 1, ipList: [], metadata: {}, services: [] };
  const ask = { id: '1', action: 'other.small', params: {}, meta: {} };
  const service = { name: 'mailbox', actions: { 'mailbox.commit': { name: 'mailbox.commit' } } };
  const cases: [string, object, unknown?][] = [
    // A name that is part of a subject: NATS ends the connection of whoever publishes there.
    ...['a b c d', 'a\r\nb', 'a.b', '*', '>', '', 5, null, {}, 'x'.repeat(400)].flatMap((sender): typeof cases => [
      ['DISCOVER.other', {}, sender],
      ['HEARTBEAT', { cpu: 1 }, sender],
      ['PING.other', { time: 1, id: '1' }, sender],
      ['REQ.other', ask, sender],
      ['INFO.other', info, sender],
    ]),
    ...[5, null, 'x', {}, [null], [5], [{}], [{ name: 5 }], [{ ...service, actions: [] }]].map(
      (services): [string, object] => ['INFO.other', { ...info, services }],
    ),
    ['INFO.other', { ...info, services: [{ ...service, actions: { x: null } }] }],
    ['INFO.other', { ...info, services: [{ ...service, events: { x: {} } }] }],
    ['INFO.other', { ...info, services: Array.from({ length: 201 }, () => service) }],
    ['INFO.other', { ...info, instanceID: 5 }],
    ['INFO.other', { ...info, instanceID: undefined }],
    ['INFO.other', { ...info, metadata: 5 }],
    ['INFO.other', { ...info, seq: 'x' }],
    ['HEARTBEAT', { instanceID: {} }],
    ...[{ stream: true }, { stream: true, seq: 7 }, { seq: 3 }, { stream: {} }].flatMap((more, i): typeof cases => [
      ['REQ.other', { ...ask, ...more, id: `s${i}` }],
      ['RES.other', { id: `s${i}`, success: true, ...more }],
    ]),
    ['REQ.other', { ...ask, id: 5 }],
    ['REQ.other', { ...ask, action: null }],
    ['REQ.other', { ...ask, meta: 'x' }],
    ['RES.other', { id: '1', success: 'yes' }],
    ['RES.other', { id: '1', success: false, error: null }],
    ['EVENT.other', { event: 5 }],
    ['EVENT.other', { event: 'x', groups: 'x' }],
    ['EVENT.other', { event: 'x', groups: [5] }],
  ];
  for (const [command, fields, sender] of cases) send(command, fields, sender);
  await eventually('drops', () => (other.dropped() === cases.length ? true : undefined));
  assert.ok(
    other.lines.every(({ event, detail }) => event === 'packet.dropped' && detail === 'not of the form of our packets'),
  );
  // Of the right form, whatever is in it.
  send(
    'INFO.other',
    { ...info, services: [{ name: 'PROTO', actions: { PROTO: { name: 'PROTO', polluted: 1 } } }] },
    'PROTO',
  );
  send('REQ.other', { ...ask, params: { PROTO: { polluted: 1 } }, meta: { PROTO: { polluted: 1 } } });
  send('REQ.other', { ...ask, params: null });
  send('REQ.other', { ...ask, action: 'PROTO' });
  send('RES.other', { id: 'unknown', success: true, meta: { PROTO: { polluted: 1 } } });
  send('EVENT.other', { event: '$node.disconnected', data: { node: null } });
  await new Promise((resolve) => setTimeout(resolve, 50));
  assert.equal(({} as { polluted?: number }).polluted, undefined);
  assert.deepEqual(nodesOf(other.broker), ['__proto__', 'asker', 'other']);
  for (const { subject } of bus.published) assert.match(subject, /^MOL-test\.[A-Z]+(\.[\w-]+)?$/);
  const { pendingReqStreams, pendingResStreams } = other.broker.transit as unknown as Record<
    string,
    ReadonlyMap<string, unknown>
  >;
  assert.deepEqual([pendingReqStreams!.size, pendingResStreams!.size], [0, 0]);
  assert.equal(await asker.broker.call('other.small'), 'small');
  assert.equal(other.dropped(), cases.length);
});

test('nodes and names that are made up do not fill the registry, and those that are gone make room', async () => {
  const { bus, asker, other } = await pair();
  const info = (sender: string, services: readonly object[] = []): void => {
    const packet = { ver: PROTOCOL, sender, instanceID: 'i', seq: 1, ipList: [], metadata: {}, services };
    bus.carry({ subject: 'MOL-test.INFO.other', bytes: Buffer.from(JSON.stringify(packet)) });
  };
  for (let i = 0; i < 5_000; i++) info(`made-${i}`);
  assert.equal(nodesOf(other.broker).length, 4_096);
  const refused = other.dropped();
  assert.equal(refused, 5_000 - 4_094);
  // Ten lines say it.
  assert.equal(other.lines.length, 10);
  const { nodes } = other.broker.registry as unknown as {
    nodes: { disconnected(id: string, unexpected: boolean): void };
  };
  nodes.disconnected('made-7', true);
  info('another');
  assert.ok(nodesOf(other.broker).includes('another'));
  assert.ok(!nodesOf(other.broker).includes('made-7'));
  for (let i = 0; i < 30; i++) {
    const names = Array.from({ length: 100 }, (_, n) => `s.${i}-${n}`);
    const all = Object.fromEntries(names.map((name) => [name, { name }]));
    info('another', [{ name: `s${i}`, actions: all, events: all }]);
    nodes.disconnected('another', true);
  }
  assert.ok(other.dropped() - refused >= 10);
  assert.equal(await asker.broker.call('other.small'), 'small');
});

test('of two nodes of one name the younger one ends, once the store knows of the other; a packet alone ends none', async (t) => {
  const { bus, asker, other } = await pair();
  const codes: unknown[] = [];
  t.mock.method(process, 'exit', (code: unknown) => codes.push(code));
  t.mock.method(process.stderr, 'write', () => true);
  const info = (startedAt: unknown): void => {
    const packet = { ver: PROTOCOL, sender: 'other', instanceID: 'i', seq: 1, metadata: { startedAt }, services: [] };
    bus.carry({ subject: 'MOL-test.INFO.other', bytes: Buffer.from(JSON.stringify(packet)) });
  };
  for (const startedAt of [1, 'x', null]) info(startedAt);
  await new Promise((resolve) => setTimeout(resolve, 700));
  assert.deepEqual([codes, other.dropped()], [[], 3]);
  assert.equal(await asker.broker.call('other.small'), 'small');
  // A younger one is told, however often it speaks, now and then.
  bus.published.length = 0;
  for (let i = 0; i < 50; i++) info(Date.now() + 60_000);
  await new Promise(setImmediate);
  assert.equal(bus.published.filter(({ subject }) => subject === 'MOL-test.INFO').length, 1);
  other.store.twin = true;
  await eventually('end', () => (codes.length > 0 ? true : undefined));
  assert.deepEqual(codes, [1]);
});

test('packets that unpack to a thousand times their size are unpacked a few at a time', async () => {
  const { bus, asker, other } = await pair();
  const bomb = Buffer.concat([Buffer.of(1), deflateSync(Buffer.alloc(PACKET_BYTES_MAX - 1))]);
  const before = process.memoryUsage().arrayBuffers;
  for (let i = 0; i < 10; i++) bus.carry({ subject: 'MOL-test.REQ.other', bytes: bomb });
  let most = 0;
  await eventually(
    'drops',
    () => {
      most = Math.max(most, process.memoryUsage().arrayBuffers);
      return other.dropped() === 10 ? true : undefined;
    },
    60_000,
  );
  assert.ok(most - before < 6 * PACKET_BYTES_MAX, `${most - before} bytes`);
  assert.equal(await asker.broker.call('other.small'), 'small');
});

test('large packets take turns, so many at once; when too many wait, or the connection breaks, their senders hear', async () => {
  const sent: string[] = [];
  let flushed = Promise.withResolvers<void>();
  const turns = new PacketTurns(() => flushed.promise);
  const send = (name: string, parts: number, bytes = 600_000) =>
    turns.send(
      Array.from({ length: parts }, () => new Uint8Array(bytes)).values(),
      parts * bytes,
      () => void sent.push(name),
    );
  const all = ['a', 'b', 'c', 'd', 'e'].map((name) => send(name, 2));
  assert.equal(sent.join(''), 'aa');
  const next = async (): Promise<void> => {
    const before = flushed;
    flushed = Promise.withResolvers<void>();
    before.resolve();
    await new Promise(setImmediate);
  };
  for (let i = 0; i < 5; i++) await next();
  await Promise.all(all);
  assert.equal(sent.splice(0).join(''), 'aabcdebcde');

  const broken = [send('a', 4), send('b', 4)];
  const vast = turns.send([].values(), PACKET_BYTES_MAX, () => undefined);
  const more = turns.send([].values(), PACKET_BYTES_MAX - 3_000_000, () => undefined);
  await assert.rejects(
    turns.send([].values(), 3_000_000, () => undefined),
    TemporaryError,
  );
  flushed.reject(new Error('gone'));
  flushed = Promise.withResolvers<void>();
  await assert.rejects(broken[0]!, /gone/);
  await next();
  await next();
  await next();
  await Promise.all([vast, more, broken[1]]);
});
