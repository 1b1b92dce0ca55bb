/**
 * The forms of packets: whatever JSON stands in one, asking for its form never throws, and what passes has a sender that is
 * one part of a subject and fields that the broker can read. Packets of ours pass, also with fields that a later version adds.
 */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { hasForm } from '../../mixins/packet-forms.ts';

const COMMANDS = ['REQ', 'RES', 'EVENT', 'INFO', 'HEARTBEAT', 'DISCOVER', 'DISCONNECT', 'PING', 'PONG', 'constructor'];
const NAMES = [
  'id',
  'action',
  'event',
  'groups',
  'meta',
  'stream',
  'seq',
  'success',
  'error',
  'instanceID',
  'services',
];

const anything = fc.oneof(fc.jsonValue({ maxDepth: 3 }), fc.constantFrom('x', 1, true, null, {}, []));
const packet = fc.record({
  command: fc.constantFrom(...COMMANDS),
  sender: fc.oneof(fc.constantFrom<unknown>('node-1', 'a b', 'a.b', '>', '', 5, null, '__proto__'), fc.string()),
  fields: fc.dictionary(fc.constantFrom(...NAMES), anything),
});

test('whatever passes can be read and answered', () => {
  let passed = 0;
  fc.assert(
    fc.property(packet, ({ command, sender, fields }) => {
      const payload = JSON.parse(JSON.stringify({ ...fields, sender })) as Record<string, unknown>;
      if (!hasForm(command, payload)) return;
      passed++;
      assert.match(payload.sender as string, /^[\w-]+$/);
      if (command === 'REQ' || command === 'RES') assert.ok(!payload.stream && payload.seq == null);
      if (command !== 'INFO') return;
      assert.equal(typeof payload.instanceID, 'string');
      for (const { name } of payload.services as { name: unknown }[]) assert.equal(typeof name, 'string');
    }),
    { numRuns: 2_000 },
  );
  assert.ok(passed > 100, `${passed} passed`);
  fc.assert(fc.property(fc.anything(), fc.constantFrom(...COMMANDS), (value, command) => void hasForm(command, value)));
});

test('packets of ours pass, with fields of a later version too', () => {
  const sent: Record<string, object> = {
    REQ: { id: 'a', action: 'node.status', params: null, meta: {}, headers: null, timeout: 5, stream: false },
    RES: { id: 'a', success: false, data: null, error: { name: 'Fenced' }, meta: {} },
    EVENT: { id: 'a', event: 'model.activated', data: {}, groups: null, broadcast: true, meta: {} },
    INFO: {
      instanceID: 'i',
      seq: 3,
      metadata: { startedAt: 1 },
      services: [{ name: 'node', actions: {}, events: {} }],
    },
    HEARTBEAT: { cpu: null, seq: 1, instanceID: 'i' },
    DISCOVER: {},
    PING: { time: 1, id: 'p' },
  };
  for (const [command, fields] of Object.entries(sent))
    assert.ok(hasForm(command, { ver: '5', sender: 'host-example-123-ab12', later: { any: [1] }, ...fields }), command);
});
