/**
 * Packets in pieces: whatever the sizes, the order, what is doubled, lost or no piece at all, each packet whose pieces all
 * came is there once and unchanged, nothing else is, and what waits stays within its limits.
 */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { INCOMPLETE_MS, isPiece, PACKET_BYTES_MAX, PieceCollector, PieceCutter } from '../../mixins/packet-pieces.ts';

const collector = () => {
  const dropped: string[] = [];
  return { dropped, pieces: new PieceCollector((_command, why) => dropped.push(why)) };
};
const packet = (seed: number, length: number): Buffer =>
  Buffer.from(Uint8Array.from({ length }, (_, i) => (seed * 31 + i * 7 + (i >> 8)) & 255));

const plan = fc.record({
  packets: fc.array(fc.record({ length: fc.integer({ min: 1, max: 40_000 }), sender: fc.nat(2) }), {
    minLength: 1,
    maxLength: 8,
  }),
  bytesMax: fc.integer({ min: 1, max: 9_000 }),
  order: fc.infiniteStream(fc.nat()),
  fate: fc.infiniteStream(fc.constantFrom('once', 'once', 'once', 'twice', 'lost')),
  garbage: fc.array(fc.uint8Array({ maxLength: 60 }), { maxLength: 10 }),
});

test('packets come out once and unchanged, but for those that lost a piece', () => {
  fc.assert(
    fc.property(plan, ({ packets, bytesMax, order, fate, garbage }) => {
      const cutters = Array.from({ length: 3 }, () => new PieceCutter());
      const { pieces, dropped } = collector();
      const whole: Buffer[] = [];
      const sent: { piece: Buffer; key: number }[] = [];
      let broken = 0;
      for (const [i, { length, sender }] of packets.entries()) {
        const data = packet(i, length);
        const cut = [...cutters[sender]!.cut(data, bytesMax)];
        assert.ok(cut.every((piece) => isPiece(piece) && piece.length <= Math.max(bytesMax, 1_024 + 21)));
        let lost = 0;
        for (const piece of cut) {
          const how = fate.next().value!;
          if (how === 'lost') lost++;
          else for (let n = how === 'twice' ? 2 : 1; n > 0; n--) sent.push({ piece, key: order.next().value! });
        }
        if (lost === 0) whole.push(data);
        else if (lost < cut.length) broken++;
      }
      // No packet has count 0: these are never taken for a piece of the others.
      const rubbish = garbage.map((bytes) => ({
        piece: Buffer.from([2, ...bytes.map(() => 0)]),
        key: order.next().value!,
      }));
      const got: Buffer[] = [];
      for (const { piece } of [...sent, ...rubbish].sort((a, b) => a.key - b.key)) {
        const one = pieces.add('REQ', piece, 0);
        if (one !== undefined) got.push(one);
      }
      const sorted = (all: Buffer[]): string[] => all.map((one) => one.toString('latin1')).sort();
      assert.deepEqual(sorted(got), sorted(whole));
      assert.equal(pieces.size, broken);
      assert.equal(dropped.length, rubbish.length);
      pieces.expire(INCOMPLETE_MS - 1);
      assert.equal(pieces.size, broken);
      pieces.expire(INCOMPLETE_MS);
      assert.deepEqual([pieces.size, pieces.bytes, dropped.length], [0, 0, rubbish.length + broken]);
      // What comes late belongs to nothing any more.
      for (const { piece } of sent) assert.equal(pieces.add('REQ', piece, INCOMPLETE_MS), undefined);
      assert.equal(pieces.size, 0);
    }),
    { numRuns: 300 },
  );
});

test('any bytes at all neither throw nor make more wait than may', () => {
  const head = fc.tuple(fc.nat(20), fc.nat(3), fc.nat(6), fc.oneof(fc.nat(6), fc.constant(0xffff_ffff)));
  const piece = fc.tuple(head, fc.uint8Array({ maxLength: 40 })).map(([[sender, number, at, count], bytes]) => {
    const made = Buffer.alloc(21 + bytes.length);
    made[0] = 2;
    made[1] = sender;
    made.writeUInt32BE(number, 9);
    made.writeUInt32BE(at, 13);
    made.writeUInt32BE(count, 17);
    made.set(bytes, 21);
    return made;
  });
  const any = fc.oneof(
    piece,
    fc.uint8Array({ maxLength: 80 }).map((bytes) => Buffer.from(bytes)),
  );
  fc.assert(
    fc.property(fc.array(any, { maxLength: 400, size: 'max' }), (all) => {
      const { pieces } = collector();
      for (const one of all) {
        const made = pieces.add('REQ', one, 0);
        assert.ok(made === undefined || made.length > 0);
        assert.ok(pieces.size <= 256 && pieces.bytes <= 2 * PACKET_BYTES_MAX);
      }
    }),
    { numRuns: 300 },
  );
});

test('a packet beyond the limit is given up, and so are the oldest of a sender, and of all, that waits for too much', () => {
  const half = Buffer.alloc(PACKET_BYTES_MAX / 2 + 2 * 1024 * 1024);
  const { pieces, dropped } = collector();
  const cutter = new PieceCutter();
  for (const piece of cutter.cut(Buffer.alloc(PACKET_BYTES_MAX + 1), 1024 * 1024)) pieces.add('RES', piece, 0);
  assert.deepEqual([dropped.splice(0), pieces.size], [['a packet in pieces is too large'], 0]);

  const begun = (by: PieceCutter, data: Buffer, bytesMax: number): Buffer[] => {
    const [last, ...others] = [...by.cut(data, bytesMax)].reverse();
    for (const piece of others) assert.equal(pieces.add('RES', piece, 0), undefined);
    return [last!];
  };
  // The second one of the sender: the first has to go. The last piece of the second completes it, that of the first nothing.
  const first = begun(cutter, half, 1024 * 1024);
  const second = begun(cutter, half, 1024 * 1024);
  assert.deepEqual([dropped.splice(0), pieces.size], [['too much waits for further pieces'], 1]);
  assert.equal(pieces.add('RES', first[0]!, 0), undefined);
  assert.deepEqual(pieces.add('RES', second[0]!, 0)?.length, half.length);
  assert.deepEqual([dropped, pieces.bytes], [[], 0]);

  for (let i = 0; i < 20; i++) begun(cutter, Buffer.alloc(4_000), 2_000);
  assert.deepEqual([pieces.size, dropped.splice(0).length], [16, 4]);
  for (let i = 0; i < 300; i++) begun(new PieceCutter(), Buffer.alloc(4_000), 2_000);
  assert.deepEqual([pieces.size, dropped.splice(0).length], [256, 60]);
  for (let i = 0; i < 4; i++) begun(new PieceCutter(), half, 1024 * 1024);
  assert.ok(pieces.bytes <= 2 * PACKET_BYTES_MAX);
  assert.ok(dropped.length > 0);
});

test('the same numbers of other senders and other commands are other packets', () => {
  const { pieces } = collector();
  const [one, two] = [new PieceCutter(), new PieceCutter()];
  const [a, b] = [[...one.cut(packet(1, 2_000), 1_045)], [...two.cut(packet(2, 2_000), 1_045)]];
  assert.equal(a.length, 2);
  assert.equal(pieces.add('REQ', a[0]!, 0), undefined);
  assert.equal(pieces.add('RES', a[1]!, 0), undefined);
  assert.equal(pieces.add('REQ', b[1]!, 0), undefined);
  assert.deepEqual(pieces.add('REQ', a[1]!, 0), packet(1, 2_000));
  assert.deepEqual(pieces.add('REQ', b[0]!, 0), packet(2, 2_000));
});
