/**
 * A name server on loopback, so that what is measured does not hang on the network of the machine: it knows the SPF
 * record of the senders' domains and says of everything else that it does not exist.
 */

import { createSocket, type Socket } from 'node:dgram';
import { once } from 'node:events';

const SPF = 'v=spf1 ip4:192.0.2.0/24 ip4:127.0.0.0/8 -all';
const TYPE_TXT = 16;
const HEADER_BYTES = 12;

/** RFC 1035 §4: the question comes back, with one TXT record or with NXDOMAIN. */
function answer(query: Buffer): Buffer {
  const labels: string[] = [];
  let at = HEADER_BYTES;
  for (let length = query[at]!; length > 0 && at < query.length; length = query[at]!) {
    labels.push(query.toString('latin1', at + 1, at + 1 + length).toLowerCase());
    at += length + 1;
  }
  const end = at + 5;
  const known = labels.length === 2 && labels[0]!.startsWith('sender') && labels[1] === 'example';
  const found = known && query.readUInt16BE(at + 1) === TYPE_TXT;
  const reply = Buffer.from(query.subarray(0, end));
  reply.writeUInt16BE(known ? 0x8180 : 0x8183, 2);
  reply.writeUInt16BE(found ? 1 : 0, 6);
  reply.writeUInt32BE(0, 8);
  if (!found) return reply;
  const record = Buffer.from([0xc0, HEADER_BYTES, 0, TYPE_TXT, 0, 1, 0, 0, 14, 16, 0, SPF.length + 1, SPF.length]);
  return Buffer.concat([reply, record, Buffer.from(SPF)]);
}

export interface DnsStub {
  readonly address: string;
  close(): void;
}

export async function startDnsStub(): Promise<DnsStub> {
  const socket: Socket = createSocket('udp4');
  socket.on('message', (query, peer) => socket.send(answer(query), peer.port, peer.address));
  socket.bind(0, '127.0.0.1');
  await once(socket, 'listening');
  return { address: `127.0.0.1:${socket.address().port}`, close: () => socket.close() };
}
