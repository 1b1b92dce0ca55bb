/** Goal: paths are read exactly as RFC 5321 §4.1.2 and RFC 6531 §3.3 write them, and compare in one spelling. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { formatAddress, normalizeAddress, parseAddress, splitSubaddress } from '../../core/mail/address.ts';

const ascii = { smtputf8: false };
const utf8 = { smtputf8: true };

const ACCEPTED: readonly (readonly [text: string, localPart: string, domain: string])[] = [
  ['Smith@bar.com', 'Smith', 'bar.com'],
  ['user+tag@mail.localhost', 'user+tag', 'mail.localhost'],
  ["!#$%&'*+-/=?^_`{|}~@x.example", "!#$%&'*+-/=?^_`{|}~", 'x.example'],
  ['userc%d.bar.org@foo.com', 'userc%d.bar.org', 'foo.com'],
  ['a!b!c@x.example', 'a!b!c', 'x.example'],
  // RFC 5321 §4.1.2: a single nine-character user name
  ['"Joe\\,Smith"@x.example', 'Joe,Smith', 'x.example'],
  ['"a b"@x.example', 'a b', 'x.example'],
  ['"a@b"@x.example', 'a@b', 'x.example'],
  ['"a\\"b\\\\c"@x.example', 'a"b\\c', 'x.example'],
  ['""@x.example', '', 'x.example'],
  ['"..a>"@x.example', '..a>', 'x.example'],
  ['a@[192.0.2.1]', 'a', '[192.0.2.1]'],
  ['a@[IPv6:2001:db8::1]', 'a', '[IPv6:2001:db8::1]'],
  ['a@[IPv6:::]', 'a', '[IPv6:::]'],
  ['a@[IPv6:1:2:3:4:5:6:7:8]', 'a', '[IPv6:1:2:3:4:5:6:7:8]'],
  ['a@[IPv6:::ffff:192.0.2.1]', 'a', '[IPv6:::ffff:192.0.2.1]'],
  ['a@[X-tag:anything.at-all]', 'a', '[X-tag:anything.at-all]'],
  // RFC 5321 Appendix C and §4.1.2: routes must be accepted and should be ignored
  ['@hosta.int,@jkl.org:userc@d.bar.org', 'userc', 'd.bar.org'],
  ['@one.example:"x y"@two.example', 'x y', 'two.example'],
  ['a@b', 'a', 'b'],
  ['a@1.2', 'a', '1.2'],
  ['postmaster', 'postmaster', ''],
  ['PostMaster', 'PostMaster', ''],
  [`${'l'.repeat(64)}@x.example`, 'l'.repeat(64), 'x.example'],
];

const REFUSED: readonly string[] = [
  '',
  '@',
  'a',
  'a@',
  '@b.example',
  'a@@b',
  'a@b@c',
  '.a@b',
  'a.@b',
  'a..b@c',
  'a b@c',
  'a@b c',
  'a@-b.example',
  'a@b-.example',
  'a@b..example',
  'a@.b',
  'a@b.',
  'a@b_c.example',
  'a@b\r\nRCPT TO:<c@d>',
  'a\0@b',
  'a(c)@b',
  'a@b(c)',
  '"a@b',
  '"a"b@c',
  '"a""b"@c',
  '"a\n"@b',
  '"a\\\n"@b',
  '"a"',
  'a@[192.0.2]',
  'a@[192.0.2.256]',
  'a@[192.0.2.1',
  'a@[IPv6:1::2::3]',
  'a@[IPv6:1:2:3:4:5:6:7]',
  'a@[IPv6:1:2:3:4:5:6:7::]',
  'a@[IPv6:12345::]',
  'a@[IPv6:]',
  'a@[nonsense]',
  'a@[tag:]',
  'a@[tag:x]y',
  '@a.example:',
  '@a.example',
  '@:a@b',
  '@a.example,b.example:c@d.example',
  '@a.example:postmaster',
  `${'l'.repeat(65)}@x.example`,
  `a@${'d'.repeat(64)}.example`,
  `a@${'d.'.repeat(200)}e`,
  'ünï@x.example',
  'a@bücher.example',
];

test('accepts what the grammar has', () => {
  for (const [text, localPart, domain] of ACCEPTED)
    assert.deepEqual(parseAddress(text, ascii), { localPart, domain }, text);
});

test('accepts a path of 256 octets, and none that is much longer', () => {
  const domain = `${'d'.repeat(60)}.${'d'.repeat(60)}.${'d'.repeat(60)}.`;
  const path = (length: number): string => `${'l'.repeat(64)}@${domain}${'e'.repeat(length - 64 - 1 - domain.length)}`;
  assert.notEqual(parseAddress(path(254), ascii), null, 'with its brackets 256');
  assert.equal(parseAddress(path(257), ascii), null);
});

test('refuses what the grammar does not have', () => {
  for (const text of REFUSED) assert.equal(parseAddress(text, ascii), null, JSON.stringify(text));
});

test('takes UTF-8 where it is allowed, and only U-labels in domains', () => {
  assert.deepEqual(parseAddress('ünï@bücher.example', utf8), { localPart: 'ünï', domain: 'bücher.example' });
  assert.deepEqual(parseAddress('"ü ü"@x.example', utf8), { localPart: 'ü ü', domain: 'x.example' });
  for (const domain of ['a。b', 'ａ.example', 'ü/.example', 'ü_x.example', '.ü', 'ü.', 'ü..x', 'x\u200b.example']) {
    assert.equal(parseAddress(`a@${domain}`, utf8), null, domain);
  }
  assert.equal(parseAddress(`${'ü'.repeat(33)}@x.example`, utf8), null, '66 octets');
});

test('directories compare lower case, NFC and A-labels', () => {
  const normal = (text: string): string => normalizeAddress(parseAddress(text, utf8)!);
  assert.equal(normal('Alice@Mail.LOCALHOST'), 'alice@mail.localhost');
  assert.equal(normal('"alice"@mail.localhost'), 'alice@mail.localhost');
  assert.equal(normal('A@BÜCHER.example'), 'a@xn--bcher-kva.example');
  assert.equal(normal('u\u0308@x.example'), normal('ü@x.example'));
  assert.equal(normal('postmaster'), 'postmaster@');
  assert.equal(normalizeAddress({ localPart: 'a', domain: 'ü/.example' }), 'a@ü/.example');
});

test('shows an address with the least quoting', () => {
  const shown = (text: string): string => formatAddress(parseAddress(text, utf8)!);
  assert.equal(shown('"alice"@x.example'), 'alice@x.example');
  assert.equal(shown('"a\\ b\\"\\\\"@x.example'), '"a b\\"\\\\"@x.example');
  assert.equal(shown('""@x.example'), '""@x.example');
  assert.equal(shown('@r.example:a@x.example'), 'a@x.example');
  assert.equal(shown('postmaster'), 'postmaster');
});

test('splits at the first separator', () => {
  assert.deepEqual(splitSubaddress('user+a+b', '+'), { user: 'user', subaddress: 'a+b' });
  assert.deepEqual(splitSubaddress('user', '+'), { user: 'user', subaddress: '' });
  assert.deepEqual(splitSubaddress('user+', '+'), { user: 'user', subaddress: '' });
  assert.deepEqual(splitSubaddress('+tag', '+'), { user: '+tag', subaddress: '' });
});
