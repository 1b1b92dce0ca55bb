/** Every dialogue of test/transcripts/smtp, against the engine on a directory and blobs in memory. */

import assert from 'node:assert/strict';
import { createHash, createHmac, pbkdf2Sync } from 'node:crypto';
import { join } from 'node:path';
import { TemporaryError } from '../../core/mail/errors.ts';
import { makeSmtpEngine } from '../../core/smtp/engine.ts';
import type { SmtpKind } from '../../core/smtp/environment.ts';
import { harness, PASSWORD } from '../support/smtp-harness.ts';
import type { TestConnection } from '../support/test-connection.ts';
import { type Header, runTranscripts, type World } from '../transcripts/run.ts';

const KINDS: readonly SmtpKind[] = ['smtp', 'lmtp', 'submission'];
const LOGIN = Buffer.from(`\0alice@mail.localhost\0${PASSWORD}`).toString('base64');

const kindOf = (header: Header): SmtpKind => KINDS.find((kind) => kind === header.get('kind')) ?? 'smtp';

/**
 * Header: `kind: smtp` (when not given), `lmtp` or `submission`; `state: connected`, `greeted` (when not given), `mail`
 * (behind MAIL), `addressed` (behind a RCPT for alice) or `logged-in`, which is in TLS; `tls: on`; `certificate: none`;
 * `errors-max`, `commands-max`, `recipients-max`.
 */
async function open(header: Header): Promise<World> {
  const limit = (name: string, otherwise: number): number => Number(header.get(name) ?? otherwise);
  const made = harness(kindOf(header), {
    config: {
      errorsMax: limit('errors-max', 20),
      commandsMax: limit('commands-max', 1000),
      recipientsMax: limit('recipients-max', 100),
    },
  });
  const { env, accepted } = made;
  let full = false;
  const custody: typeof env.custody = (message) =>
    full ? Promise.reject(new TemporaryError('diskFull')) : env.custody(message);
  return {
    engine: makeSmtpEngine({ ...env, custody }, kindOf(header)),
    connection: {
      tls: header.get('tls') === 'on' || header.get('state') === 'logged-in',
      canStartTls: header.get('certificate') !== 'none',
    },
    begin,
    actions: {
      /** `accepted COUNT`: so many messages are in custody. */
      accepted: (_connection, count) => assert.equal(accepted.length, Number(count)),
      /** `recipients COUNT`: so many copies of the last one go out. */
      recipients: (_connection, count) => assert.equal(accepted.at(-1)!.envelope.recipients.length, Number(count)),
      /** `stored TEXT`: the last one's bytes, with `\r` and `\n` as escapes. */
      stored: (_connection, text) =>
        assert.equal(
          made.stored.get(accepted.at(-1)!.blob)!.toString('latin1'),
          text.replaceAll('\\r', '\r').replaceAll('\\n', '\n'),
        ),
      'disk-full': () => {
        full = true;
      },
      expire: (connection) => connection.engine.expire(),
      drain: (connection) => void connection.engine.drain(),
      /** `scram USER`: the whole exchange with the right password. */
      scram,
    },
    async close() {},
  };
}

async function begin(connection: TestConnection, header: Header): Promise<void> {
  const state = header.get('state') ?? 'greeted';
  assert.match((await connection.line()) ?? '', /^220 mail\.localhost (?:ESMTP|LMTP) /);
  if (state === 'connected') return;
  await command(connection, kindOf(header) === 'lmtp' ? 'LHLO client.example' : 'EHLO client.example');
  if (state === 'logged-in') await command(connection, `AUTH PLAIN ${LOGIN}`);
  if (state === 'mail' || state === 'addressed') await command(connection, 'MAIL FROM:<sender@foreign.example>');
  if (state === 'addressed') await command(connection, 'RCPT TO:<alice@mail.localhost>');
}

async function command(connection: TestConnection, text: string): Promise<void> {
  await connection.send(`${text}\r\n`);
  const lines = await connection.until((line) => line[3] === ' ');
  assert.match(lines.at(-1) ?? '<close>', /^2/);
}

/** RFC 5802 from the client's side. */
async function scram(connection: TestConnection, user: string): Promise<void> {
  const base64 = (text: string): string => Buffer.from(text).toString('base64');
  const challenge = async (): Promise<string> => {
    const line = (await connection.line()) ?? '<close>';
    assert.match(line, /^334 /);
    return Buffer.from(line.slice(4), 'base64').toString();
  };
  const bare = `n=${user},r=clientnonce`;
  await connection.send(`AUTH SCRAM-SHA-256 ${base64(`n,,${bare}`)}\r\n`);
  const first = await challenge();
  const [nonce, salt, iterations] = first.split(',').map((part) => part.slice(2));
  const salted = pbkdf2Sync(PASSWORD, Buffer.from(salt!, 'base64'), Number(iterations), 32, 'sha256');
  const hmac = (key: Buffer, text: string): Buffer => createHmac('sha256', key).update(text).digest();
  const clientKey = hmac(salted, 'Client Key');
  const withoutProof = `c=biws,r=${nonce}`;
  const signed = `${bare},${first},${withoutProof}`;
  const signature = hmac(createHash('sha256').update(clientKey).digest(), signed);
  const proof = Buffer.from(clientKey.map((byte, index) => byte ^ signature[index]!)).toString('base64');
  await connection.send(`${base64(`${withoutProof},p=${proof}`)}\r\n`);
  assert.equal(await challenge(), `v=${hmac(hmac(salted, 'Server Key'), signed).toString('base64')}`);
  await connection.send('\r\n');
}

runTranscripts(join(import.meta.dirname, '../transcripts/smtp'), open);
