/** Date fields: RFC 5322 §3.3 and §4.3, and what else is seen. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseDate, parseDateTime } from '../../core/mime/date.ts';

const CASES: readonly (readonly [string, string | null])[] = [
  ['Fri, 21 Nov 1997 09:55:06 -0600', '1997-11-21T15:55:06Z'],
  ['21 Nov 97 09:55:06 GMT', '1997-11-21T09:55:06Z'],
  ['Thu,\t13 Feb 1969 23:32 -0330 (Newfoundland Time)', '1969-02-14T03:02:00Z'],
  ['Tue, 1 Jul 2003 10:52:37 +0200', '2003-07-01T08:52:37Z'],
  ['1 Jul 03 10:52 EST', '2003-07-01T15:52:00Z'],
  ['1 Jul 103 10:52 Z', '2003-07-01T10:52:00Z'],
  ['Sat Mar 24 23:00:00 2007', '2007-03-24T23:00:00Z'],
  ['24-Mar-2007 23:00:00 +0000', '2007-03-24T23:00:00Z'],
  ['2007-03-24T23:00:00+01:00', '2007-03-24T22:00:00Z'],
  ['Mon, 31 Dec 2012 23:59:60 +0000', '2013-01-01T00:00:00Z'],
  ['Sat, 24 Mar 2007 23:00:00 A', '2007-03-24T23:00:00Z'],
  ['Sat, 24 March 2007', '2007-03-24T00:00:00Z'],
  ['28 Jun 01 10:05:15 PM', '2001-06-28T22:05:15Z'],
  ['28 Jun 01 12:05 am', '2001-06-28T00:05:00Z'],
  ['Tue, 23 Jul 0102 05:53:57 GMT', '2002-07-23T05:53:57Z'],
  ['32 Jan 2007 00:00:00 +0000', null],
  ['1 Jan 2007 24:00:00 +0000', null],
  ['nonsense', null],
  ['', null],
];

for (const [input, output] of CASES)
  test(`date: ${input}`, () => {
    const seconds = parseDate(input);
    assert.equal(seconds, output === null ? null : Date.parse(output) / 1000);
  });

test('the zone it was written in is kept for searches by local day', () => {
  assert.equal(parseDateTime('Fri, 21 Nov 1997 23:55:06 -0600')?.offsetSeconds, -6 * 3600);
});
