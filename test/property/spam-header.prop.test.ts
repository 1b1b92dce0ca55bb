/** Properties of what the filter writes into messages and of the labels it reads from users' operations. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { spamHeader } from '../../core/filter/spam.ts';
import { flagSet } from '../../core/mail/flags.ts';
import { accountId, contentId, modelId, modSeq } from '../../core/mail/ids.ts';
import type { Role } from '../../core/ports/mail-store.ts';
import type { StoredLabel } from '../../core/ports/sample-store.ts';
import { labelIntents, resolveLabel } from '../../core/spam/feedback.ts';

test('whatever the reasons hold, the header is one field of short printable lines', () => {
  const model = { id: modelId('0123456789abcdef'), version: 3 };
  fc.assert(
    fc.property(
      fc.array(fc.string({ unit: 'binary', maxLength: 300 }), { maxLength: 3 }),
      fc.double({ min: 0, max: 1, noNaN: true }),
      (reasons, shown) => {
        const header = spamHeader('ham', shown, model, reasons);
        assert.match(header, /^X-Mailmesh-Spam: ham, score=[01]\.\d\d, model=v3\/01234567[ -~]*(?:\r\n [ -~]*)*\r\n$/);
        assert.ok(header.split('\r\n').every((line) => line.length <= 998));
      },
    ),
  );
});

test('any sequence of moves leaves the label that the last place and the first say', () => {
  const role = fc.constantFrom<Role | null>('inbox', 'junk', null, 'archive');
  fc.assert(
    fc.property(role, fc.array(role, { maxLength: 12 }), (start, moves) => {
      let place = start;
      let newest: StoredLabel | undefined;
      const keys = new Set<string>();
      moves.forEach((to, i) => {
        const operations = [
          { t: 'move' as const, from: place, to, messages: [{ content: contentId(1), flags: flagSet([]) }] },
        ];
        for (const intent of labelIntents({ by: 'user', modSeq: modSeq(i + 1), at: i, operations })) {
          const label = resolveLabel(intent, {
            account: accountId('a'),
            sample: 's',
            newest,
            sender: '',
            previous: 'none',
            score: null,
            model: '',
            schema: 1,
          });
          if (label === null) continue;
          assert.ok(!keys.has(label.key));
          keys.add(label.key);
          newest = { ...label, seq: i };
        }
        place = to;
      });
      // Back where the filter had put it, nothing is said; on the other side, the user's word stands.
      const said = newest === undefined || newest.label === 'withdrawn' ? null : newest.label;
      const expected = (start === 'junk') === (place === 'junk') ? null : place === 'junk' ? 'spam' : 'ham';
      assert.equal(said, expected);
    }),
  );
});
