/** Goal: replies come in order and together, TLS forgets what was said before it, and every wait has an end. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { harness } from '../support/smtp-harness.ts';

/** Lets promises that are due settle. */
const settle = async (): Promise<void> => {
  for (let i = 0; i < 50; i++) await Promise.resolve();
};

const GROUP = 'MAIL FROM:<a@b.example>\r\nRCPT TO:<alice@mail.localhost>\r\nRCPT TO:<no@mail.localhost>\r\nDATA\r\n';

test('replies to a pipelined group leave in one write, in order (RFC 2920 §3.2)', async () => {
  const smtp = harness('smtp');
  await smtp.say('EHLO x');
  await smtp.engine.feed(Buffer.from(GROUP));
  assert.equal(smtp.wire.writes.length, 1);
  assert.match(smtp.wire.take(), /^250 2\.1\.0.*\r\n250 2\.1\.5.*\r\n550 5\.1\.1.*\r\n354 .*\r\n$/);
  await smtp.engine.feed(Buffer.from(`A: b\r\n\r\n.\r\nRSET\r\n${GROUP}`));
  assert.match(
    smtp.wire.take(),
    /^250 2\.0\.0 Accepted.*\r\n250 2\.0\.0 OK\r\n250 2\.1\.0.*\r\n250.*\r\n550.*\r\n354 .*\r\n$/,
  );
});

test('what can be answered at once makes the listener wait for nothing', () => {
  const smtp = harness('smtp');
  assert.equal(smtp.engine.feed(Buffer.from('EHLO x\r\nNOOP\r\nNOO')), undefined);
  assert.match(smtp.wire.take(), /250 2\.0\.0 OK\r\n$/);
});

test('bytes fed while a step runs wait for it', async () => {
  const held = Promise.withResolvers<void>();
  const smtp = harness('smtp', {
    env: {
      resolveRecipient: async () => {
        await held.promise;
        return { ok: false, reply: 'mailboxUnknown' };
      },
    },
  });
  await smtp.say('EHLO x');
  const first = smtp.engine.feed(Buffer.from('MAIL FROM:<>\r\nRCPT TO:<x@mail.localhost>\r\nNO'));
  const second = smtp.engine.feed(Buffer.from('OP\r\n'));
  await settle();
  assert.deepEqual(smtp.wire.writes, []);
  held.resolve();
  await Promise.all([first, second]);
  assert.match(smtp.wire.take(), /^250 2\.1\.0.*\r\n550 .*\r\n250 2\.0\.0 OK\r\n$/);
});

test('bytes that come through TLS while the handshake is settled are not lost', async () => {
  const handshake = Promise.withResolvers<void>();
  const smtp = harness('smtp');
  smtp.wire.handshake = handshake.promise;
  const feeding = smtp.engine.feed(Buffer.from('STARTTLS\r\nNOOP plaintext\r\n'));
  void smtp.engine.feed(Buffer.from('EHLO secure.example\r\n'));
  handshake.resolve();
  await feeding;
  assert.match(smtp.wire.take(), /^220 .*\r\n250-mail\.localhost\r\n/);
});

test('a handshake that fails ends the connection, and no certificate is 454', async () => {
  const broken = harness('smtp');
  broken.wire.handshake = Promise.reject(new Error('no shared cipher'));
  await broken.say('STARTTLS');
  assert.equal(broken.wire.closed, true);
  const none = harness('smtp');
  none.wire.canStartTls = false;
  assert.match(await none.say('STARTTLS'), /^454 4\.7\.0/);
});

test('waits as long as the phase allows, then says 421 4.4.2', async () => {
  const smtp = harness('smtp');
  assert.equal(smtp.engine.idleTimeoutMs, 60_000);
  await smtp.say('EHLO x');
  assert.equal(smtp.engine.idleTimeoutMs, 300_000);
  await smtp.say(GROUP);
  assert.equal(smtp.engine.idleTimeoutMs, 180_000);
  await smtp.say('half a message');
  smtp.engine.expire();
  assert.match(smtp.wire.take(), /^421 4\.4\.2/);
  assert.equal(smtp.wire.closed, true);
  assert.equal(smtp.open.size, 0, 'the half message is forgotten');
  smtp.engine.end();
  assert.equal(await smtp.say('NOOP'), '', 'nothing is answered after that');
});

test('one byte a second is too slow for a line, and for a message', async () => {
  const line = harness('smtp');
  await line.say(Buffer.from('NO'));
  line.clock += 300_001;
  assert.match(await line.say(Buffer.from('O')), /^421 4\.4\.2/);
  const message = harness('smtp');
  await message.say(`EHLO x\r\n${GROUP}`);
  for (let i = 0; i < 29; i++) {
    message.clock += 60_000;
    assert.equal(await message.say(Buffer.from('x')), '', `minute ${i}`);
  }
  message.clock += 60_001;
  assert.match(await message.say(Buffer.from('x')), /^421 4\.4\.2/);
  assert.equal(message.wire.closed, true);
  const idle = harness('smtp');
  await idle.say('NOOP');
  idle.clock += 3_600_000;
  assert.match(await idle.say('NOOP'), /^250/, 'idle between commands is the listener’s business');
});

test('a line without an end is cut off', async () => {
  const smtp = harness('smtp');
  let reply = '';
  for (let i = 0; i < 20 && !smtp.wire.closed; i++) reply += await smtp.say(Buffer.alloc(64 * 1024, 'x'));
  assert.match(reply, /^421 /);
});

test('drain: says goodbye between commands, lets a message end first', async () => {
  const idle = harness('smtp');
  await idle.say('EHLO x\r\nMAIL FROM:<a@b.example>');
  await idle.engine.drain();
  assert.match(idle.wire.take(), /^421 4\.3\.2/);
  assert.equal(idle.wire.closed, true);

  const busy = harness('smtp');
  await busy.say(`EHLO x\r\n${GROUP}A: b\r\n`);
  const drained = busy.engine.drain();
  assert.equal(busy.wire.closed, false);
  assert.match(
    await busy.say('\r\n.\r\nMAIL FROM:<next@b.example>\r\n'),
    /^250 2\.0\.0 Accepted.*\r\n421 4\.3\.2 .*\r\n$/,
  );
  await drained;
  assert.equal(busy.accepted.length, 1);

  const chunks = harness('smtp');
  await chunks.say('EHLO x\r\nMAIL FROM:<>\r\nRCPT TO:<alice@mail.localhost>\r\nBDAT 2\r\n\r\n');
  const over = chunks.engine.drain();
  assert.equal(chunks.wire.closed, false);
  assert.match(await chunks.say('BDAT 0 LAST\r\nNOOP\r\n'), /^250 2\.0\.0 Accepted.*\r\n421 /);
  await over;
});

test('drain resolves when the peer is gone', async () => {
  const smtp = harness('smtp');
  await smtp.say(`EHLO x\r\n${GROUP}A: b\r\n`);
  const drained = smtp.engine.drain();
  smtp.engine.end();
  await drained;
  assert.equal(smtp.open.size, 0);
});

test('a peer that leaves while custody is taken gets no reply, and the message is kept', async () => {
  const custody = Promise.withResolvers<void>();
  const smtp = harness('smtp', { env: { custody: () => custody.promise } });
  await smtp.say(`EHLO x\r\n${GROUP}`);
  const feeding = smtp.engine.feed(Buffer.from('\r\n.\r\nNOOP\r\n'));
  await settle();
  smtp.engine.expire();
  assert.equal(smtp.wire.closed, false, 'it is our own work that is waited for');
  smtp.engine.end();
  custody.resolve();
  await feeding;
  assert.deepEqual(smtp.wire.writes, []);
  assert.equal(smtp.stored.size, 1);
  assert.deepEqual(
    smtp.refused.map(({ phase }) => phase),
    ['RCPT'],
  );
});

test('a peer that sends and never reads is waited for, and can time out', async () => {
  const smtp = harness('smtp', { config: { commandsMax: 100_000 } });
  smtp.wire.reading = new Promise(() => undefined);
  let pending = smtp.engine.feed(Buffer.from('NOOP\r\n'));
  for (let i = 0; i < 200 && pending === undefined; i++)
    pending = smtp.engine.feed(Buffer.from('NOOP\r\n'.repeat(100)));
  assert.ok(pending instanceof Promise);
  await settle();
  assert.ok(smtp.wire.take().length < 100_000);
  smtp.engine.expire();
  assert.match(smtp.wire.take(), /^421 4\.4\.2/);
});

test('a refused message does not stop the next one', async () => {
  const smtp = harness('smtp');
  await smtp.say(`EHLO x\r\n${GROUP}bare\nline\r\n.\r\n${GROUP}A: b\r\n\r\n.\r\n`);
  assert.equal(smtp.accepted.length, 1);
  assert.equal(smtp.message(), 'A: b\r\n\r\n');
});
