/** Every dialogue of test/transcripts/imap, against the engine on real embedded stores. */

import assert from 'node:assert/strict';
import { createHash, createHmac, pbkdf2Sync } from 'node:crypto';
import { join } from 'node:path';
import { after } from 'node:test';
import { makeImapEngine } from '../../core/imap/engine.ts';
import { type ImapStores, ImapWorld, openImapStores, PASSWORD } from '../support/imap-world.ts';
import { exampleMessage } from '../support/messages.ts';
import type { TestConnection } from '../support/test-connection.ts';
import { type Header, runTranscripts, type World } from '../transcripts/run.ts';

let stores: Promise<ImapStores> | undefined;
after(async () => (await stores)?.close());

const names = (text: string | undefined): string[] => text?.split(',').map((name) => name.trim()) ?? [];

/**
 * Header: `state: not-authenticated`, `authenticated` (when not given) or `selected NAME`; `tls: off`; `insecure: yes`;
 * `mailboxes: a, a/b`; `subscribed: a, b`; `messages: 3` in the inbox; `quota-bytes`, `quota-messages`; `enable: NAMES`.
 */
async function open(header: Header): Promise<World> {
  stores ??= openImapStores();
  const quota: { bytes?: number; messages?: number } = {};
  if (header.has('quota-bytes')) quota.bytes = Number(header.get('quota-bytes'));
  if (header.has('quota-messages')) quota.messages = Number(header.get('quota-messages'));
  const world = await ImapWorld.open(await stores, { insecureAuth: header.get('insecure') === 'yes' }, quota);
  for (const name of names(header.get('mailboxes'))) await world.createMailbox(name);
  for (const name of names(header.get('subscribed'))) {
    await world.commit([{ t: 'subscribe', name, subscribed: true }]);
  }
  for (let n = 1; n <= Number(header.get('messages') ?? 0); n++) await world.deliver('INBOX', exampleMessage(n));
  return {
    engine: makeImapEngine(world.env),
    connection: { tls: header.get('tls') !== 'off' },
    begin,
    actions: {
      /** `deliver MAILBOX NUMBER FLAGS…`: another one comes in. */
      async deliver(_connection, args) {
        const [mailbox = 'INBOX', number = '1', ...flags] = args.split(' ').filter((word) => word !== '');
        await world.deliver(mailbox, exampleMessage(Number(number)), flags);
      },
      'lose-hints': () => {
        world.silent = true;
      },
      greater(_connection, args) {
        const [a, b] = args.split(' ').map(Number);
        assert.ok(a! > b!, args);
      },
      /** Sessions that wait for hints. */
      listeners: (_connection, args) => assert.equal(world.listeners, Number(args)),
      drain: (connection) => connection.engine.drain(),
      expire: (connection) => connection.engine.expire(),
      /** `scram TAG USER`: the whole exchange with the right password. */
      scram: (connection, args) => scram(connection, args),
    },
    async close() {},
  };
}

async function begin(connection: TestConnection, header: Header): Promise<void> {
  const state = header.get('state') ?? 'authenticated';
  assert.match((await connection.line()) ?? '', /^\* OK \[CAPABILITY IMAP4rev1 /);
  if (state === 'not-authenticated') return;
  await command(connection, `LOGIN alice "${PASSWORD}"`);
  if (header.has('enable')) await command(connection, `ENABLE ${header.get('enable')}`);
  if (state.startsWith('selected ')) await command(connection, `SELECT ${state.slice(9)}`);
}

async function command(connection: TestConnection, text: string): Promise<void> {
  await connection.send(`begin ${text}\r\n`);
  const lines = await connection.until((line) => line.startsWith('begin '));
  assert.match(lines.at(-1) ?? '<close>', /^begin OK /);
}

/** RFC 5802 from the client's side. */
async function scram(connection: TestConnection, args: string): Promise<void> {
  const [tag, user] = args.split(' ');
  const bare = `n=${user},r=clientnonce`;
  await connection.send(`${tag} AUTHENTICATE SCRAM-SHA-256 ${Buffer.from(`n,,${bare}`).toString('base64')}\r\n`);
  const challenge = Buffer.from((await connection.line())!.slice(2), 'base64').toString();
  const [nonce, salt, iterations] = challenge.split(',').map((part) => part.slice(2));
  const salted = pbkdf2Sync(PASSWORD, Buffer.from(salt!, 'base64'), Number(iterations), 32, 'sha256');
  const hmac = (key: Buffer, text: string): Buffer => createHmac('sha256', key).update(text).digest();
  const clientKey = hmac(salted, 'Client Key');
  const withoutProof = `c=biws,r=${nonce}`;
  const signed = `${bare},${challenge},${withoutProof}`;
  const signature = hmac(createHash('sha256').update(clientKey).digest(), signed);
  const proof = clientKey.map((byte, index) => byte ^ signature[index]!);
  const final = `${withoutProof},p=${Buffer.from(proof).toString('base64')}`;
  await connection.send(`${Buffer.from(final).toString('base64')}\r\n`);
  const verifier = Buffer.from((await connection.line())!.slice(2), 'base64').toString();
  assert.equal(verifier, `v=${hmac(hmac(salted, 'Server Key'), signed).toString('base64')}`);
  await connection.send('\r\n');
}

runTranscripts(join(import.meta.dirname, '../transcripts/imap'), open);
