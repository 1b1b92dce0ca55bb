/** The proxy that plays a bad network for the fault tests does what it is told to, and no more. */

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { buffer } from 'node:stream/consumers';
import { type TestContext, test } from 'node:test';
import { tcpProxy } from '../support/tcp-proxy.ts';

/** An error comes before its close. */
const closed = (socket: Socket): Promise<void> => new Promise((resolve) => socket.once('close', () => resolve()));

/** A server that says everything back, behind a proxy. */
async function world(t: TestContext) {
  const echo = createServer({ allowHalfOpen: true }, (socket) => {
    socket.on('error', () => undefined);
    socket.pipe(socket);
  });
  echo.listen(0, '127.0.0.1');
  await once(echo, 'listening');
  const proxy = await tcpProxy((echo.address() as AddressInfo).port);
  t.after(async () => {
    await proxy.close();
    echo.close();
  });
  const begin = (): Socket => {
    const socket = connect({ port: proxy.port, host: '127.0.0.1' });
    socket.on('error', () => undefined);
    return socket;
  };
  const open = async (): Promise<Socket> => {
    const socket = begin();
    await once(socket, 'connect');
    return socket;
  };
  return { proxy, begin, open };
}

test('bytes come back whole and in order, also when they are many and late', async (t) => {
  const { proxy, open } = await world(t);
  proxy.delayMs = 30;
  const bytes = Buffer.alloc(9 * 1024 * 1024, 'abcdefg');
  const socket = await open();
  const begun = performance.now();
  const all = buffer(socket);
  socket.end(bytes);
  assert.ok((await all).equals(bytes));
  assert.ok(performance.now() - begun >= 60, 'there and back');
});

test('a partition keeps bytes until it heals', async (t) => {
  const { proxy, open } = await world(t);
  const socket = await open();
  proxy.partition();
  const later = await open();
  socket.write('a');
  later.write('b');
  let healed = false;
  const answers = Promise.all([once(socket, 'data'), once(later, 'data')]).then(([[a], [b]]) => {
    assert.ok(healed);
    return `${a}${b}`;
  });
  await new Promise((resolve) => setTimeout(resolve, 50));
  healed = true;
  proxy.heal();
  assert.equal(await answers, 'ab');
});

test('cut ends connections, refuse takes no new ones until healed', async (t) => {
  const { proxy, begin, open } = await world(t);
  const first = await open();
  first.write('a');
  await once(first, 'data');
  proxy.cut();
  await closed(first);
  const second = await open();
  second.write('a');
  await once(second, 'data');
  proxy.refuse();
  await closed(second);
  await closed(begin());
  proxy.heal();
  const third = await open();
  third.write('a');
  assert.equal(String((await once(third, 'data'))[0]), 'a');
});
