/** Content-Type and Content-Disposition: RFC 2045, RFC 2183, RFC 2231 examples, and real-world forms. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parameter, parseStructuredField } from '../../core/mime/parameters.ts';

const parse = (text: string) => parseStructuredField(Buffer.from(text, 'latin1'));

test('type, comments and quoted strings (RFC 2045 §5.1)', () => {
  const expected = { value: 'text/plain', params: [['charset', 'us-ascii']] };
  assert.deepEqual(parse(' text/plain; charset=us-ascii (Plain text)'), expected);
  assert.deepEqual(parse('text/plain; charset="us-ascii"'), expected);
  assert.deepEqual(parse('Text / (a (nested) comment) PLAIN ;\r\n CHARSET = us-ascii'), expected);
  assert.deepEqual(parse('a/b; n="q\\"u\\\\o;te"').params, [['n', 'q"u\\o;te']]);
});

test('continuations and charsets (RFC 2231 §3, §4, §4.1)', () => {
  const joined = parse(
    'message/external-body; access-type=URL;\r\n URL*0="ftp://";\r\n URL*1="cs.utk.edu/pub/moore/bulk-mailer/bulk-mailer.tar"',
  );
  assert.equal(parameter(joined.params, 'url'), 'ftp://cs.utk.edu/pub/moore/bulk-mailer/bulk-mailer.tar');
  const encoded = parse("application/x-stuff; title*=us-ascii'en-us'This%20is%20%2A%2A%2Afun%2A%2A%2A");
  assert.equal(parameter(encoded.params, 'title'), 'This is ***fun***');
  const both = parse(
    "application/x-stuff\r\n ;title*0*=us-ascii'en'This%20is%20even%20more%20\r\n ;title*1*=%2A%2A%2Afun%2A%2A%2A%20\r\n ;title*2=\"isn't it!\"",
  );
  assert.equal(both.params.length, 1);
  assert.equal(parameter(both.params, 'title'), "This is even more ***fun*** isn't it!");
});

test('sections out of order, with a gap, and a character split between sections', () => {
  assert.deepEqual(parse('a/b; n*1=b; n*0=a').params, [['n', 'ab']]);
  assert.deepEqual(parse('a/b; n*0=a; n*2=c').params, [['n', 'a']]);
  assert.deepEqual(parse('a/b; n*1=b').params, [['n*1', 'b']]);
  assert.equal(parameter(parse("a/b; n*0*=utf-8''%C3; n*1*=%BC").params, 'n'), 'ü');
});

test('what mailers write', () => {
  const name = (text: string) => parameter(parse(text).params, 'name');
  assert.equal(name('a/b; name=my file (1).pdf'), 'my file (1).pdf');
  assert.equal(name('a/b; name="unclosed; yes'), 'unclosed; yes');
  assert.equal(name('a/b;;; ; name=x;'), 'x');
  assert.equal(name('a/b name=x'), 'x');
  assert.equal(name('a/b; name="=?utf-8?B?w7wudHh0?="'), 'ü.txt');
  assert.equal(name('a/b; name=\xfc.txt'), 'ü.txt');
  assert.equal(name('a/b; name=""'), '');
  assert.equal(name("a/b; name=plain; name*=utf-8''%C3%BC"), 'ü');
  assert.equal(name('a/b; name*=no%20charset'), 'no charset');
  assert.equal(name('a/b'), null);
  assert.equal(parse('a/b; boundary=gc0pJq0M:08jU534c0p').params[0]![1], 'gc0pJq0M:08jU534c0p');
  assert.equal(parse('a/b; boundary="foo\r\n bar"').params[0]![1], 'foo bar');
  assert.deepEqual(parse(''), { value: '', params: [] });
  assert.deepEqual(parse('; charset=x'), { value: '', params: [['charset', 'x']] });
});

test('many parameters are cut, not collected', () => {
  assert.equal(parse(`a/b${'; x=y'.repeat(100_000)}`).params.length, 200);
});
