/** What every search store driver promises (core/ports/search-store.ts): narrowing never leaves a match out. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { type AccountId, accountId, type ContentId, contentId, modSeq } from '../../core/mail/ids.ts';
import type { SearchDocument, SearchStore } from '../../core/ports/search-store.ts';

export interface SearchStoreFixture {
  /** Open and empty. */
  readonly store: SearchStore;
  reopen(): Promise<SearchStore>;
  dispose(): Promise<void>;
}

const ALICE = accountId('aaaaaaaaaaaaaaaa');
const BOB = accountId('bbbbbbbbbbbbbbbb');

const document = (content: number, header: string, body: string, more: Partial<SearchDocument> = {}) => ({
  account: ALICE,
  content: contentId(content),
  header,
  body,
  truncated: false,
  ...more,
});

async function found(
  store: SearchStore,
  where: 'header' | 'body' | 'text',
  needles: readonly string[],
  account: AccountId = ALICE,
): Promise<number[]> {
  const result = await store.candidates(account, where, needles);
  assert.notEqual(result, null);
  return [...result!.contents].sort((a, b) => a - b);
}

export function searchStoreContract(driver: string, make: () => Promise<SearchStoreFixture>): void {
  const it = (name: string, run: (store: SearchStore, fixture: SearchStoreFixture) => Promise<void>) =>
    void test(`${driver} search store: ${name}`, async () => {
      const fixture = await make();
      try {
        await run(fixture.store, fixture);
      } finally {
        await fixture.dispose();
      }
    });

  it('a new store knows nothing', async (store) => {
    assert.equal(await store.mark(ALICE), 0);
    assert.deepEqual(await store.candidates(ALICE, 'text', ['abc']), { mark: 0, contents: new Set() });
    assert.equal((await store.stats()).documents, 0);
    await store.remove(ALICE, [contentId(1)]);
    await store.removeAccount(ALICE);
  });
  it('finds substrings, in the middle of words and over their ends', async (store) => {
    await store.index([document(1, 'subject: quarterly report\r\n', 'please find the figures attached')], []);
    for (const needle of ['quarterly', 'arter', 'ly rep', 'rt\r\n', ': q'])
      assert.deepEqual(await found(store, 'header', [needle]), [1], needle);
    for (const needle of ['please find', 'igur', 'hed', 'ple'])
      assert.deepEqual(await found(store, 'body', [needle]), [1]);
  });
  it('narrows to those that have all of the needles', async (store) => {
    await store.index(
      [
        document(1, 'subject: apple\r\n', 'banana cherry'),
        document(2, 'subject: apple\r\n', 'banana'),
        document(3, 'subject: other\r\n', 'nothing of it'),
      ],
      [],
    );
    assert.deepEqual(await found(store, 'body', ['banana', 'cherry']), [1]);
    assert.deepEqual(await found(store, 'body', ['banana']), [1, 2]);
    assert.deepEqual(await found(store, 'body', ['zebra']), []);
  });
  it('header and body are told apart; text is either', async (store) => {
    await store.index([document(1, 'subject: apple', 'banana'), document(2, 'subject: banana', 'apple')], []);
    assert.deepEqual(await found(store, 'header', ['apple']), [1]);
    assert.deepEqual(await found(store, 'body', ['apple']), [2]);
    assert.deepEqual(await found(store, 'text', ['apple']), [1, 2]);
    assert.deepEqual(await found(store, 'text', ['apple', 'banana']), [1, 2]);
    assert.deepEqual(await found(store, 'header', ['apple', 'banana']), []);
  });
  it('cannot narrow by needles under three characters', async (store) => {
    await store.index([document(1, 'ab', 'ab')], []);
    for (const needles of [[], [''], ['a'], ['ab'], ['é\u0301'], ['😀😀'], ['a', 'bc']])
      assert.equal(await store.candidates(ALICE, 'text', needles), null, JSON.stringify(needles));
    assert.notEqual(await store.candidates(ALICE, 'text', ['a', 'abc']), null);
  });
  it('scripts without spaces, emoji, quotes and operators are text like any other', async (store) => {
    const texts = [
      '日本語のメール',
      '😀😁😂🤣',
      'say "hello" (now) * - ^',
      'col : umn AND x NOT y',
      "it's; --",
      'a\u0000b\u0000c',
    ];
    await store.index(
      texts.map((text, i) => document(i + 1, '', text)),
      [],
    );
    for (const [needle, content] of [
      ['本語の', 1],
      ['😁😂🤣', 2],
      ['"hello" (', 3],
      ['* - ^', 3],
      [': umn AND', 4],
      ["it's;", 5],
    ] as const)
      assert.ok((await found(store, 'body', [needle])).includes(content), needle);
    const nul = await store.candidates(ALICE, 'body', ['a\u0000b']);
    assert.ok(nul === null || nul.contents.has(contentId(6)));
    assert.ok((await found(store, 'body', ['say "'])).includes(3));
  });
  it('text behind a NUL is indexed', async (store) => {
    await store.index([document(1, 'x\u0000behind', 'x\u0000after it')], []);
    assert.deepEqual(await found(store, 'header', ['behind']), [1]);
    assert.deepEqual(await found(store, 'body', ['after']), [1]);
  });
  it('never leaves a match out', async (store) => {
    let next = 1;
    const character = fc.oneof(
      fc.constantFrom('a', 'b', 'c', ' ', '"', '\u0000', 'é', '😀', '\ud83d', '\ude00', '\ufffd', '*', '日'),
      fc.string({ unit: 'binary', minLength: 1, maxLength: 1 }),
    );
    const text = fc.array(character, { maxLength: 30 }).map((all) => all.join(''));
    await fc.assert(
      fc.asyncProperty(
        text,
        text,
        fc.nat(40),
        fc.nat(12),
        fc.boolean(),
        async (header, body, start, length, inBody) => {
          const content = next++;
          await store.index([document(content, header, body)], []);
          const needle = (inBody ? body : header).slice(start, start + length);
          for (const where of [inBody ? 'body' : 'header', 'text'] as const) {
            const result = await store.candidates(ALICE, where, [needle]);
            assert.ok(result === null || result.contents.has(contentId(content)), JSON.stringify(needle));
          }
        },
      ),
      { numRuns: 150 },
    );
  });
  it('long needles and many of them', async (store) => {
    const body = Array.from({ length: 3000 }, (_, i) => `word${i}`).join(' ');
    await store.index([document(1, '', body), document(2, '', 'word1 word2')], []);
    assert.deepEqual(await found(store, 'body', [body.slice(100, 20_000)]), [1]);
    const many = Array.from({ length: 500 }, (_, i) => `word${i * 5}`);
    assert.ok((await found(store, 'body', many)).includes(1));
  });
  it('accounts do not see each other', async (store) => {
    await store.index([document(7, '', 'shared words'), document(7, '', 'shared words', { account: BOB })], []);
    await store.index([document(8, '', 'shared words', { account: BOB })], []);
    assert.deepEqual(await found(store, 'body', ['shared']), [7]);
    assert.deepEqual(await found(store, 'body', ['shared'], BOB), [7, 8]);
    assert.deepEqual(await found(store, 'body', ['shared'], accountId('cccccccccccccccc')), []);
  });
  it('marks rise and never fall, by account', async (store, fixture) => {
    await store.index([], [{ account: ALICE, mark: modSeq(5) }]);
    assert.equal(await store.mark(ALICE), 5);
    await store.index(
      [document(1, '', 'text')],
      [
        { account: ALICE, mark: modSeq(3) },
        { account: BOB, mark: modSeq(2 ** 52) },
      ],
    );
    assert.deepEqual([await store.mark(ALICE), await store.mark(BOB)], [5, 2 ** 52]);
    assert.equal((await store.candidates(ALICE, 'body', ['text']))!.mark, 5);
    const again = await fixture.reopen();
    assert.deepEqual([await again.mark(ALICE), await again.mark(BOB)], [5, 2 ** 52]);
    assert.deepEqual(await found(again, 'body', ['text']), [1]);
  });
  it('a document indexed again is replaced', async (store) => {
    await store.index([document(1, 'old header', 'old body'), document(2, '', 'old body')], []);
    await store.index([document(1, 'new header', 'new body')], []);
    assert.deepEqual(await found(store, 'body', ['old body']), [2]);
    assert.deepEqual(await found(store, 'text', ['new']), [1]);
    await store.index([document(3, '', 'first'), document(3, '', 'second')], []);
    assert.deepEqual(await found(store, 'body', ['second']), [3]);
    assert.deepEqual(await found(store, 'body', ['first']), []);
    assert.equal((await store.stats()).documents, 3);
  });
  it('truncated documents are always candidates, until they are indexed whole', async (store) => {
    await store.index([document(1, '', 'start', { truncated: true }), document(2, '', 'start')], []);
    assert.deepEqual(await found(store, 'body', ['far behind']), [1]);
    assert.deepEqual(await found(store, 'text', ['start']), [1, 2]);
    await store.index([document(1, '', 'start')], []);
    assert.deepEqual(await found(store, 'body', ['far behind']), []);
  });
  it('a text that is longer than it may be counts as truncated', async (store) => {
    await store.index([document(1, '', `${'x'.repeat(2 * 1024 * 1024)} needle`)], []);
    assert.deepEqual(await found(store, 'body', ['needle']), [1]);
  });
  it('removed contents are gone, others stay', async (store) => {
    await store.index(
      Array.from({ length: 1200 }, (_, i) => document(i + 1, '', 'some text')),
      [],
    );
    await store.index([document(1, '', 'some text', { account: BOB })], []);
    await store.remove(
      ALICE,
      Array.from({ length: 1100 }, (_, i) => contentId(i + 1)),
    );
    const rest = await found(store, 'body', ['some text']);
    assert.deepEqual([rest.length, rest[0]], [100, 1101]);
    assert.deepEqual(await found(store, 'body', ['some text'], BOB), [1]);
    assert.equal((await store.stats()).documents, 101);
  });
  it('a removed account is gone with its mark', async (store) => {
    await store.index(
      Array.from({ length: 700 }, (_, i) => document(i + 1, '', 'some text')),
      [{ account: ALICE, mark: modSeq(9) }],
    );
    await store.index([document(1, '', 'some text', { account: BOB })], [{ account: BOB, mark: modSeq(4) }]);
    await store.removeAccount(ALICE);
    assert.deepEqual([await store.mark(ALICE), await store.mark(BOB)], [0, 4]);
    assert.deepEqual(await found(store, 'body', ['some text']), []);
    assert.deepEqual(await found(store, 'body', ['some text'], BOB), [1]);
    await store.index([document(1, '', 'other')], []);
    assert.deepEqual(await found(store, 'body', ['some text']), []);
    assert.deepEqual(await found(store, 'body', ['other']), [1]);
    assert.equal((await store.stats()).documents, 2);
  });
  it('content numbers up to 2^53', async (store) => {
    const content = Number.MAX_SAFE_INTEGER;
    await store.index([document(content, '', 'large number')], []);
    const result = await store.candidates(ALICE, 'body', ['large']);
    assert.deepEqual(result!.contents, new Set([content as ContentId]));
  });
}
