/** Goal: an unsigned message, of which mailauth is shown a few fields only, is judged as if it had been shown all of it. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { authenticate } from 'mailauth';
import { makeAuthenticationStage } from '../../core/filter/authentication.ts';
import type { StageContext } from '../../core/filter/stage.ts';
import { message } from '../contract/queue-fixture.ts';

const HOSTNAME = 'mail.localhost';
const RECORDS: Readonly<Record<string, string[][]>> = {
  'TXT example.org': [['v=spf1 ip4:192.0.2.0/24 -all']],
  'TXT _dmarc.example.org': [['v=DMARC1; p=reject']],
  'TXT other.example': [['v=spf1 -all']],
};
const resolve = async (name: string, type: string): Promise<string[][]> => {
  const found = RECORDS[`${type} ${name}`];
  if (found === undefined) throw Object.assign(new Error(`${type} ${name}: ENOTFOUND`), { code: 'ENOTFOUND' });
  return found;
};

const REST =
  'To: bob@mail.localhost\r\nSubject: =?utf-8?q?caf=C3=A9?=\r\nMessage-ID: <1@example.org>\r\n\r\nFrom: body@body.example\r\n';
const RECEIVED =
  'Received: from relay.example.org (relay.example.org [192.0.2.9])\r\n\tby mx.example.net with ESMTPS id 7;\r\n\tTue, 24 Nov 2026 10:00:00 +0000\r\n';
const HEADERS: Readonly<Record<string, string>> = {
  plain: 'From: Alice <alice@example.org>\r\n',
  'folded, with a comment': 'From: "Alice,\r\n (of) example"\r\n\t<alice@example.org> (home)\r\n',
  'white space before the colon': 'From : alice@example.org\r\n',
  'two From fields': 'From: alice@example.org\r\nX-Other: 1\r\nFROM: eve@other.example\r\n',
  'two authors': 'From: alice@example.org, eve@other.example\r\n',
  'a group': 'From: friends: alice@example.org;\r\n',
  'no From': 'X-From: alice@example.org\r\n',
  'a line that is no field': 'this is no field\r\nFrom: alice@example.org\r\n',
  'bare line feeds': 'From: alice@example.org\nX-Mailer: old\n',
  'a Return-Path of its own': 'Return-Path: <eve@other.example>\r\nFrom: alice@example.org\r\n',
  'a Received field': `${RECEIVED}From: alice@example.org\r\n`,
  'Received without from': `Received: (qmail 1 invoked by uid 0); 24 Nov 2026\r\n${RECEIVED}From: alice@example.org\r\n`,
};

function contextOf(bytes: Buffer, protocol: string, sender: string): StageContext {
  const accepted = message(1);
  const client = { ...accepted.client, address: '192.0.2.9', helo: 'relay.example.org', protocol };
  return {
    job: {
      message: { ...accepted, client, size: bytes.length, envelope: { ...accepted.envelope, sender } },
      verdicts: {},
      deliveries: [],
    },
    blobs: { read: async (_ref: string, start: number, end: number) => bytes.subarray(start, end) },
    signal: new AbortController().signal,
    now: 0,
  } as unknown as StageContext;
}

for (const [name, header] of Object.entries(HEADERS)) {
  for (const protocol of ['ESMTP', 'LMTP']) {
    test(`${name}, by ${protocol}`, async () => {
      const bytes = Buffer.from(header + REST);
      for (const sender of ['alice@example.org', '']) {
        const stage = makeAuthenticationStage({ resolver: { resolve }, hostname: HOSTNAME });
        const { headers } = await stage(contextOf(bytes, protocol, sender));
        const whole = (await authenticate(bytes, {
          ...(protocol === 'LMTP' ? { trustReceived: true } : { ip: '192.0.2.9', helo: 'relay.example.org' }),
          sender,
          mta: HOSTNAME,
          disableBimi: true,
          resolver: resolve,
        } as unknown as Parameters<typeof authenticate>[1])) as unknown as { headers: string };
        const field = whole.headers.slice(whole.headers.indexOf('Authentication-Results:')).trimEnd();
        assert.equal(headers.join('').trimEnd(), field);
      }
    });
  }
}
