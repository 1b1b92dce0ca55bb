/** Goal: every refusal before DATA is kept for traces, and our own trouble is told from the client's. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Harness, type HarnessOptions, harness } from '../support/smtp-harness.ts';

/** Behind EHLO. */
async function greeted(options: HarnessOptions = {}): Promise<Harness> {
  const made = harness('smtp', options);
  await made.say('EHLO client.example');
  return made;
}

test('refusals are kept for traces, each with its phase and reply', async () => {
  const smtp = await greeted();
  await smtp.say(
    'MAIL FROM:<a@b.example> SIZE=100001\r\nMAIL FROM:<a@b.example>\r\nRCPT TO:<nobody@mail.localhost>\r\n',
  );
  assert.deepEqual(
    smtp.refused.map(({ phase, sender, recipients, reply }) => ({ phase, sender, recipients, reply })),
    [
      { phase: 'MAIL', sender: 'a@b.example', recipients: [], reply: '552 5.3.4 Message exceeds the size limit' },
      {
        phase: 'RCPT',
        sender: 'a@b.example',
        recipients: ['nobody@mail.localhost'],
        reply: '550 5.1.1 No such mailbox here',
      },
    ],
  );
  assert.equal(new Set(smtp.refused.map(({ queueId }) => queueId)).size, 2);
});

test('a directory that fails is a temporary trouble, a bug ends the connection', async () => {
  const fails = (error: Error): HarnessOptions => ({ env: { resolveRecipient: () => Promise.reject(error) } });
  const down = await greeted(fails(new Error('database is locked')));
  await down.say('MAIL FROM:<a@b.example>');
  assert.match(await down.say('RCPT TO:<alice@mail.localhost>\r\nNOOP\r\n'), /^451 4\.3\.0 .*\r\n250 /);
  const bug = await greeted(fails(new TypeError('x is not a function')));
  await bug.say('MAIL FROM:<a@b.example>');
  assert.match(await bug.say('RCPT TO:<alice@mail.localhost>\r\nNOOP\r\n'), /^451 4\.3\.0 Internal error\r\n$/);
  assert.equal(bug.wire.closed, true);
  assert.match(bug.logged.join('\n'), /TypeError: x is not a function/);
});

test('a long local part of a sender is taken, one of ours is not (RFC 5321 §4.5.3.1.1)', async () => {
  const smtp = await greeted();
  const local = 'l'.repeat(80);
  assert.match(await smtp.say(`MAIL FROM:<${local}@b.example>`), /^250/);
  assert.match(await smtp.say(`RCPT TO:<${local}@mail.localhost>`), /^501 5\.1\.3/);
});
