/** Address lists: RFC 5322 appendix A and obsolete and broken forms. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type AddressItem, parseAddressList } from '../../core/mime/address.ts';

const box = (name: string | null, local: string, domain: string, route: string | null = null): AddressItem => ({
  t: 'mailbox',
  name,
  route,
  local,
  domain,
});
const open = (name: string): AddressItem => ({ t: 'groupStart', name });
const close: AddressItem = { t: 'groupEnd' };

const CASES: readonly (readonly [string, readonly AddressItem[]])[] = [
  ['John Doe <jdoe@machine.example>', [box('John Doe', 'jdoe', 'machine.example')]],
  [
    '"Joe Q. Public" <john.q.public@example.com>, <boss@nil.test>, "Giant; \\"Big\\" Box" <sysservices@example.net>',
    [
      box('Joe Q. Public', 'john.q.public', 'example.com'),
      box(null, 'boss', 'nil.test'),
      box('Giant; "Big" Box', 'sysservices', 'example.net'),
    ],
  ],
  [
    'A Group:Ed Jones <c@a.test>,joe@where.test,John <jdoe@one.test>;',
    [
      open('A Group'),
      box('Ed Jones', 'c', 'a.test'),
      box(null, 'joe', 'where.test'),
      box('John', 'jdoe', 'one.test'),
      close,
    ],
  ],
  ['Undisclosed recipients:;', [open('Undisclosed recipients'), close]],
  ['Pete(A nice \\) chap) <pete(his account)@silly.test(his host)>', [box('Pete', 'pete', 'silly.test')]],
  [
    'Mary Smith <@node.test:mary@example.net>, , jdoe@test  . example',
    [box('Mary Smith', 'mary', 'example.net', '@node.test'), box(null, 'jdoe', 'test.example')],
  ],
  ['user@domain (Real Name)', [box('Real Name', 'user', 'domain')]],
  ['<@a,@b:user@domain>', [box(null, 'user', 'domain', '@a,@b')]],
  ['"quoted local"@example.org', [box(null, 'quoted local', 'example.org')]],
  ['x@[192.0.2.1]', [box(null, 'x', '[192.0.2.1]')]],
  ['=?utf-8?Q?J=C3=BC?= x <a@b>', [box('=?utf-8?Q?J=C3=BC?= x', 'a', 'b')]],
  ['a@b.c <d@e.f>', [box('a@b.c', 'd', 'e.f')]],
  ['nodomain', [box(null, 'nodomain', '')]],
  ['<>', [box(null, '', '')]],
  ['g: a@b', [open('g'), box(null, 'a', 'b'), close]],
  ['a@b; c@d', [box(null, 'a', 'b'), box(null, 'c', 'd')]],
  ['<a@b> c@d', [box(null, 'a', 'b'), box(null, 'c', 'd')]],
  ['<unclosed@b', [box(null, 'unclosed', 'b')]],
  ['', []],
  [' , ,, ', []],
  [
    'group: g1@d1.org, g2@d2.org;, group2: g3@d3.org;',
    [
      open('group'),
      box(null, 'g1', 'd1.org'),
      box(null, 'g2', 'd2.org'),
      close,
      open('group2'),
      box(null, 'g3', 'd3.org'),
      close,
    ],
  ],
];

for (const [input, output] of CASES)
  test(`addresses: ${input === '' ? 'nothing' : input}`, () => {
    assert.deepEqual(parseAddressList(Buffer.from(input, 'latin1')), output);
  });

test('a megabyte of commas, brackets or openings is bounded', () => {
  const started = performance.now();
  assert.equal(parseAddressList(Buffer.from('a,'.repeat(500_000))).length, 10_000);
  for (const piece of ['(', '<', '"\\', ':', '@', '\\(']) parseAddressList(Buffer.from(piece.repeat(500_000)));
  assert.ok(performance.now() - started < 2000);
});
