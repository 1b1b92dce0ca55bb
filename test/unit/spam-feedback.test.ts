/** What users' operations say about spam: the table of learning, row by row, and idempotence. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { flagSet } from '../../core/mail/flags.ts';
import { accountId, contentId, modSeq } from '../../core/mail/ids.ts';
import type { Role } from '../../core/ports/mail-store.ts';
import type { StoredLabel } from '../../core/ports/sample-store.ts';
import {
  type CommitContext,
  type LabelFacts,
  type LabelIntent,
  labelIntents,
  resolveLabel,
  type UserOperation,
} from '../../core/spam/feedback.ts';

const message = (id: number, ...flags: string[]) => ({ content: contentId(id), flags: flagSet(flags) });
const context = (operations: UserOperation[], by: CommitContext['by'] = 'user'): CommitContext => ({
  by,
  modSeq: modSeq(7),
  at: 1000,
  operations,
});
const wishes = (...operations: UserOperation[]): string[] => labelIntents(context(operations)).map((one) => one.wish);
const move = (from: Role | null, to: Role | null, t: 'move' | 'copy' = 'move'): UserOperation => ({
  t,
  from,
  to,
  messages: [message(1)],
});

for (const t of ['move', 'copy'] as const) {
  test(`${t}: into Junk is spam, out of Junk to any mailbox but Trash is ham, all else is nothing`, () => {
    for (const from of ['inbox', null, 'archive', 'trash', 'sent'] as const)
      assert.deepEqual(wishes(move(from, 'junk', t)), ['spam'], String(from));
    for (const to of ['inbox', null, 'archive', 'sent'] as const)
      assert.deepEqual(wishes(move('junk', to, t)), ['ham'], String(to));
    for (const [from, to] of [
      ['junk', 'trash'],
      ['junk', 'junk'],
      ['inbox', 'trash'],
      ['inbox', 'archive'],
      ['trash', 'inbox'],
      [null, null],
    ] as const)
      assert.deepEqual(wishes(move(from, to, t)), [], `${from} to ${to}`);
  });
}

const store = (mode: 'add' | 'remove' | 'replace', flags: string[], before: string[]): UserOperation => ({
  t: 'store',
  mode,
  flags: flagSet(flags),
  messages: [message(1, ...before)],
});

test('keywords: setting $Junk or $NotJunk is a label, whatever their case', () => {
  assert.deepEqual(wishes(store('add', ['$junk'], [])), ['spam']);
  assert.deepEqual(wishes(store('add', ['$NOTJUNK', '\\Seen'], ['\\Flagged'])), ['ham']);
  assert.deepEqual(wishes(store('replace', ['$Junk', '\\Seen'], ['\\Seen'])), ['spam']);
});

test('keywords: setting what is set, and other flags, say nothing', () => {
  assert.deepEqual(wishes(store('add', ['$Junk'], ['$Junk'])), []);
  assert.deepEqual(wishes(store('add', ['\\Seen'], ['$Junk'])), []);
  assert.deepEqual(wishes(store('replace', ['$Junk', '\\Seen'], ['$Junk'])), []);
  assert.deepEqual(wishes(store('remove', ['$Junk'], ['\\Seen'])), []);
});

test('keywords: changing one for the other is the new one', () => {
  assert.deepEqual(wishes(store('replace', ['$NotJunk'], ['$Junk'])), ['ham']);
  assert.deepEqual(wishes(store('replace', ['$Junk'], ['$NotJunk'])), ['spam']);
});

test('keywords: taking one off undoes it, also by a replacing STORE that does not name it', () => {
  assert.deepEqual(wishes(store('remove', ['$Junk'], ['$Junk'])), ['notSpam']);
  assert.deepEqual(wishes(store('remove', ['$NotJunk'], ['$NotJunk'])), ['notHam']);
  assert.deepEqual(wishes(store('replace', ['\\Seen'], ['$Junk'])), ['notSpam']);
});

test('keywords: both at once contradict each other and say nothing', () => {
  assert.deepEqual(wishes(store('add', ['$Junk', '$NotJunk'], [])), []);
});

test('the API labels wherever the message is', () => {
  const intents = labelIntents(context([{ t: 'label', label: 'withdrawn', messages: [message(3)] }]));
  assert.deepEqual(
    intents.map((one) => [one.wish, one.source, one.content]),
    [['withdrawn', 'api', 3]],
  );
});

test('a filter never labels', () => {
  assert.deepEqual(labelIntents(context([move('inbox', 'junk'), store('add', ['$Junk'], [])], 'filter')), []);
});

test('every message of an operation is named once, and a replay names them alike', () => {
  const operations: UserOperation[] = [
    { t: 'move', from: 'inbox', to: 'junk', messages: [message(1), message(2)] },
    store('add', ['$NotJunk'], []),
  ];
  const intents = labelIntents(context(operations));
  assert.equal(new Set(intents.map((one) => one.key)).size, 3);
  assert.deepEqual(labelIntents(context(operations)), intents);
});

const intent = (wish: LabelIntent['wish'], source: LabelIntent['source'] = 'move'): LabelIntent => ({
  key: '1:7:0',
  content: contentId(1),
  wish,
  source,
  at: 1000,
});
const facts = (newest: StoredLabel['label'] | null): LabelFacts => ({
  account: accountId('alice'),
  sample: 'm1',
  newest: newest === null ? undefined : ({ label: newest } as StoredLabel),
  sender: 's',
  previous: 'spam',
  score: 0.97,
  model: 'v1/abcdef12',
  schema: 1,
});
const resolved = (wish: LabelIntent['wish'], newest: StoredLabel['label'] | null, source?: LabelIntent['source']) =>
  resolveLabel(intent(wish, source), facts(newest))?.label ?? null;

test('the first word is the label, the same again is nothing', () => {
  assert.equal(resolved('spam', null), 'spam');
  assert.equal(resolved('ham', 'withdrawn'), 'ham');
  assert.equal(resolved('spam', 'spam'), null);
  assert.equal(resolved('ham', 'ham', 'keyword'), null);
});

test('moving back withdraws; a keyword or the API replaces', () => {
  assert.equal(resolved('ham', 'spam'), 'withdrawn');
  assert.equal(resolved('spam', 'ham'), 'withdrawn');
  assert.equal(resolved('ham', 'spam', 'keyword'), 'ham');
  assert.equal(resolved('spam', 'ham', 'api'), 'spam');
});

test('taking back what was not said is nothing', () => {
  assert.equal(resolved('notSpam', 'spam', 'keyword'), 'withdrawn');
  assert.equal(resolved('notSpam', 'ham', 'keyword'), null);
  assert.equal(resolved('notHam', 'ham', 'keyword'), 'withdrawn');
  assert.equal(resolved('notHam', null, 'keyword'), null);
  assert.equal(resolved('withdrawn', null, 'api'), null);
  assert.equal(resolved('withdrawn', 'ham', 'api'), 'withdrawn');
});

test('a client that copies to Junk, deletes and expunges labels once; copying back withdraws', () => {
  const first = labelIntents(context([move('inbox', 'junk', 'copy')]));
  const deleted = labelIntents(context([store('add', ['\\Deleted'], [])]));
  assert.equal(first.length, 1);
  assert.equal(deleted.length, 0);
  assert.equal(resolveLabel(first[0]!, facts(null))?.label, 'spam');
  const back = labelIntents(context([move('junk', 'inbox', 'copy')]));
  assert.equal(resolveLabel(back[0]!, facts('spam'))?.label, 'withdrawn');
});

test('a label carries the verdict it corrects, and a rescue weighs double', () => {
  const label = resolveLabel(intent('ham'), facts(null))!;
  assert.deepEqual(
    [label.previous, label.score, label.model, label.weight, label.key],
    ['spam', 0.97, 'v1/abcdef12', 2, 'alice/1:7:0'],
  );
  assert.equal(resolveLabel(intent('spam'), facts(null))!.weight, 1);
});
