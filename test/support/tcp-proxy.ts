/**
 * A TCP proxy on a loopback port that can be a bad network: it delays every byte, swallows them as a partition does, cuts
 * connections or refuses them. Bytes of a connection keep their order, whatever the delay.
 */

import { once } from 'node:events';
import { connect, createServer, type Socket } from 'node:net';

/** What a direction may have on its way before its source is paused. */
const UNDERWAY_BYTES_MAX = 4 * 1024 * 1024;

export interface TcpProxy {
  readonly port: number;
  /** Milliseconds that bytes take in each direction, from the next that come. */
  delayMs: number;
  /** Bytes are kept and new connections wait, as in a partition where nobody says no; what was kept goes on after `heal`. */
  partition(): void;
  heal(): void;
  /** Ends all connections by a reset. New ones go through. */
  cut(): void;
  /** Ends all connections and takes no new ones until `heal`. */
  refuse(): void;
  close(): Promise<void>;
}

interface Pair {
  readonly client: Socket;
  readonly server: Socket;
  /** Sends what was kept. */
  readonly flush: (() => void)[];
}

/** A reset, which libuv refuses, and never closes, while its own end is still being sent. */
function breakOff(socket: Socket): void {
  if (socket.writableEnded) socket.destroy();
  else socket.resetAndDestroy();
}

export async function tcpProxy(targetPort: number): Promise<TcpProxy> {
  const pairs = new Set<Pair>();
  const waiting = new Set<Socket>();
  let mode: 'open' | 'partitioned' | 'refusing' = 'open';

  const server = createServer({ allowHalfOpen: true, pauseOnConnect: true }, (client) => {
    client.on('error', () => client.destroy());
    client.setNoDelay(true);
    if (mode === 'refusing') breakOff(client);
    else if (mode === 'partitioned') {
      waiting.add(client);
      client.once('close', () => waiting.delete(client));
    } else join(client);
  });

  function join(client: Socket): void {
    const upstream = connect({ port: targetPort, host: '127.0.0.1', allowHalfOpen: true, noDelay: true });
    const pair: Pair = { client, server: upstream, flush: [] };
    pairs.add(pair);
    for (const [from, to] of [
      [client, upstream],
      [upstream, client],
    ] as const) {
      from.on('error', () => from.destroy());
      // An orderly end is passed on in its turn, see `carry`; any other at once.
      from.once('close', (broken) => {
        if (broken) breakOff(to);
        if (client.closed && upstream.closed) pairs.delete(pair);
      });
      pair.flush.push(carry(from, to));
    }
    client.resume();
  }

  /** Passes on what comes, when its time has come and no partition is in the way. Gives what to do when one ends. */
  function carry(from: Socket, to: Socket): () => void {
    const underway: { readonly piece: Buffer | null; readonly dueMs: number }[] = [];
    let bytes = 0;
    let timer: NodeJS.Timeout | undefined;
    const send = (): void => {
      clearTimeout(timer);
      timer = undefined;
      while (mode !== 'partitioned' && underway[0] !== undefined) {
        const { piece, dueMs } = underway[0];
        const left = dueMs - performance.now();
        if (left > 0) {
          timer = setTimeout(send, left);
          return;
        }
        underway.shift();
        if (piece === null) to.end();
        else {
          bytes -= piece.length;
          to.write(piece);
        }
      }
      if (bytes < UNDERWAY_BYTES_MAX) from.resume();
    };
    const take = (piece: Buffer | null): void => {
      bytes += piece?.length ?? 0;
      underway.push({ piece, dueMs: performance.now() + proxy.delayMs });
      if (bytes >= UNDERWAY_BYTES_MAX) from.pause();
      if (timer === undefined) send();
    };
    from.on('data', (piece: Buffer) => take(piece));
    from.once('end', () => take(null));
    to.once('close', () => clearTimeout(timer));
    return send;
  }

  const cutAll = (): void => {
    for (const { client, server: upstream } of [...pairs]) {
      breakOff(client);
      breakOff(upstream);
    }
    for (const client of [...waiting]) breakOff(client);
  };

  server.listen({ port: 0, host: '127.0.0.1' });
  await once(server, 'listening');
  const address = server.address();
  const proxy: TcpProxy = {
    port: typeof address === 'object' && address !== null ? address.port : 0,
    delayMs: 0,
    partition() {
      mode = 'partitioned';
    },
    heal() {
      mode = 'open';
      for (const { flush } of pairs) for (const send of flush) send();
      for (const client of [...waiting]) {
        waiting.delete(client);
        join(client);
      }
    },
    cut: cutAll,
    refuse() {
      mode = 'refusing';
      cutAll();
    },
    async close() {
      mode = 'refusing';
      cutAll();
      server.close();
      await once(server, 'close');
    },
  };
  return proxy;
}
