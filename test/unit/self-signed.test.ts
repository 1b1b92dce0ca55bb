/** Goal: the certificate of the first start is one that TLS takes, for the names that people connect to. */

import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { test } from 'node:test';
import tls from 'node:tls';
import { selfSigned } from '../../mixins/self-signed.ts';

const NOW = Date.UTC(2026, 10, 24);

test('a certificate names its hosts and addresses and is signed by its own key', () => {
  const { cert } = selfSigned('mail.example', ['localhost', '127.0.0.1', '::1'], NOW);
  const parsed = new X509Certificate(cert);
  assert.ok(parsed.verify(parsed.publicKey));
  for (const host of ['mail.example', 'localhost']) assert.equal(parsed.checkHost(host), host);
  for (const address of ['127.0.0.1', '::1']) assert.ok(parsed.checkIP(address));
  assert.equal(parsed.checkHost('other.example'), undefined);
  assert.ok(Date.parse(parsed.validFrom) < NOW && Date.parse(parsed.validTo) > NOW + 3600 * 86_400_000);
});

test('a client that trusts the certificate completes a handshake with it', async () => {
  const { cert, key } = selfSigned('localhost', [], Date.now());
  const server = tls.createServer({ cert, key, minVersion: 'TLSv1.2' }, (socket) => socket.end('hello'));
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const client = tls.connect({ port, host: '127.0.0.1', ca: cert, servername: 'localhost' });
  const [data] = (await once(client, 'data')) as [Buffer];
  assert.equal(String(data), 'hello');
  assert.ok(client.authorized);
  client.destroy();
  server.close();
});

test('two certificates have different serial numbers', () => {
  const serials = [1, 2].map(() => new X509Certificate(selfSigned('a.example', [], NOW).cert).serialNumber);
  assert.notEqual(serials[0], serials[1]);
});
