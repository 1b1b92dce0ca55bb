/**
 * Packets that are larger than one message may be, cut into pieces and put together again. A piece says whose packet it
 * belongs to, which of its pieces it is and how many there are, so their order does not matter and doubled ones are known.
 * What is incomplete is held within limits; beyond them the packets that have waited longest for a piece are given up.
 */

import { randomBytes } from 'node:crypto';

/** Nothing that a node sends comes near it, packed or not; beyond, unpacking would be an attack. */
export const PACKET_BYTES_MAX = 64 * 1024 * 1024;
/** One sender's, or all: of packets that are incomplete. A node sends at most as much at once (mixins/packet-turns.ts). */
const SENDER_BYTES_MAX = PACKET_BYTES_MAX;
const WAITING_BYTES_MAX = 2 * PACKET_BYTES_MAX;
const SENDER_PACKETS_MAX = 16;
const WAITING_PACKETS_MAX = 256;
/** Without a further piece; longer than a request waits for its answer (requestTimeout). */
export const INCOMPLETE_MS = 12_000;
/** Packets remembered for pieces that come late or twice. */
const ENDED_MAX = 1_000;

/** The first byte: packets are JSON objects or begin with a 1, and versions that know no pieces drop this one. */
const PIECE = 2;
const SENDER_BYTES = 8;
/** The first byte, the sender, then the packet's number, the piece's and their count in 4 bytes each. */
const HEAD_BYTES = 1 + SENDER_BYTES + 3 * 4;
/** A piece that is held counts for at least as much; servers that take no messages of this size are not used. */
const PIECE_BYTES_MIN = 1_024;
const PIECES_MAX = PACKET_BYTES_MAX / PIECE_BYTES_MIN;

export const isPiece = (bytes: Uint8Array): boolean => bytes[0] === PIECE;

/** Names the packets of one process. */
export class PieceCutter {
  readonly #sender = randomBytes(SENDER_BYTES);
  #packet = 0;

  /** @param bytesMax of a piece with its head */
  *cut(data: Buffer, bytesMax: number): Generator<Buffer, void, void> {
    this.#packet = (this.#packet + 1) >>> 0;
    const packet = this.#packet;
    const size = Math.max(PIECE_BYTES_MIN, bytesMax - HEAD_BYTES);
    const count = Math.ceil(data.length / size);
    for (let number = 0; number < count; number++) {
      const head = Buffer.alloc(HEAD_BYTES);
      head[0] = PIECE;
      this.#sender.copy(head, 1);
      let at = 1 + SENDER_BYTES;
      for (const value of [packet, number, count]) at = head.writeUInt32BE(value, at);
      yield Buffer.concat([head, data.subarray(number * size, (number + 1) * size)]);
    }
  }
}

interface Waiting {
  readonly command: string;
  readonly sender: string;
  readonly count: number;
  readonly pieces: Map<number, Uint8Array>;
  bytes: number;
  /** What it counts for against the limits of what waits. */
  cost: number;
  /** Of its last new piece. */
  at: number;
}

/** What one sender has waiting. */
interface Load {
  cost: number;
  packets: number;
}

export class PieceCollector {
  /** Those that got a piece last stand last. */
  readonly #waiting = new Map<string, Waiting>();
  readonly #loads = new Map<string, Load>();
  readonly #ended = new Set<string>();
  readonly #dropped: (command: string, why: string) => void;
  #cost = 0;

  /** @param dropped is told once of each packet that is given up, and of each piece that is none */
  constructor(dropped: (command: string, why: string) => void) {
    this.#dropped = dropped;
  }

  /** Packets that are incomplete. */
  get size(): number {
    return this.#waiting.size;
  }

  /** Bytes that are held for them. */
  get bytes(): number {
    return this.#cost;
  }

  /**
   * The packet, when this was its last piece.
   * @param now milliseconds of a clock that never jumps
   */
  add(command: string, piece: Buffer, now: number): Buffer | undefined {
    if (piece.length <= HEAD_BYTES) return this.#refuse(command);
    let at = 1 + SENDER_BYTES;
    const sender = piece.toString('latin1', 1, at);
    const packet = piece.readUInt32BE(at);
    at += 4;
    const number = piece.readUInt32BE(at);
    at += 4;
    const count = piece.readUInt32BE(at);
    if (number >= count || count > PIECES_MAX) return this.#refuse(command);
    const key = `${command} ${sender} ${packet}`;
    if (this.#ended.has(key)) return;
    const known = this.#waiting.get(key);
    if (known !== undefined && known.count !== count) return this.#refuse(command);
    if (known?.pieces.has(number) === true) return;
    const waiting = known ?? { command, sender, count, pieces: new Map(), bytes: 0, cost: 0, at: now };
    const load = this.#loads.get(sender) ?? { cost: 0, packets: 0 };
    this.#loads.set(sender, load);
    // A copy: what came may be a small part of a large buffer.
    const bytes = new Uint8Array(piece.subarray(HEAD_BYTES));
    const cost = Math.max(PIECE_BYTES_MIN, bytes.length);
    waiting.pieces.set(number, bytes);
    waiting.bytes += bytes.length;
    waiting.cost += cost;
    waiting.at = now;
    this.#cost += cost;
    load.cost += cost;
    if (known === undefined) load.packets++;
    this.#waiting.delete(key);
    this.#waiting.set(key, waiting);
    if (waiting.bytes > PACKET_BYTES_MAX) return this.#giveUp(key, waiting, 'a packet in pieces is too large');
    if (waiting.pieces.size === count) {
      this.#end(key, waiting);
      return Buffer.concat(Array.from({ length: count }, (_, i) => waiting.pieces.get(i)!));
    }
    this.#makeRoom(sender, load);
    return;
  }

  /** Gives up what got no piece for INCOMPLETE_MS. */
  expire(now: number): void {
    for (const [key, waiting] of this.#waiting) {
      if (now - waiting.at < INCOMPLETE_MS) return;
      this.#giveUp(key, waiting, `${waiting.pieces.size} of ${waiting.count} pieces of a packet came`);
    }
  }

  #makeRoom(sender: string, load: Load): void {
    const crowded = (): boolean => load.cost > SENDER_BYTES_MAX || load.packets > SENDER_PACKETS_MAX;
    const full = (): boolean => this.#cost > WAITING_BYTES_MAX || this.#waiting.size > WAITING_PACKETS_MAX;
    for (const [key, waiting] of this.#waiting) {
      if (full() || (crowded() && waiting.sender === sender))
        this.#giveUp(key, waiting, 'too much waits for further pieces');
      else if (!crowded()) return;
    }
  }

  #refuse(command: string): undefined {
    this.#dropped(command, 'not a piece of a packet');
  }

  #giveUp(key: string, waiting: Waiting, why: string): undefined {
    this.#end(key, waiting);
    this.#dropped(waiting.command, why);
  }

  #end(key: string, { sender, cost }: Waiting): void {
    this.#waiting.delete(key);
    this.#cost -= cost;
    const load = this.#loads.get(sender)!;
    load.cost -= cost;
    load.packets--;
    if (load.packets === 0) this.#loads.delete(sender);
    this.#ended.add(key);
    if (this.#ended.size > ENDED_MAX) for (const oldest of this.#ended.keys().take(1)) this.#ended.delete(oldest);
  }
}
