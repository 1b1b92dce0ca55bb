/**
 * The property that every mail store driver is held to: it equals a simple in-memory model under any sequence of
 * operations, over reopening and collection.
 */

import assert from 'node:assert/strict';
import fc from 'fast-check';
import { contentId, type MailboxId, mailboxId, modSeq } from '../../core/mail/ids.ts';
import type { MailStore, Op, OpResult } from '../../core/ports/mail-store.ts';
import { contentInput, INBOX, JUNK, START, TestAccount } from '../contract/mail-store-fixtures.ts';
import { MailModel } from './mail-store-model.ts';

export const IDS: readonly MailboxId[] = [
  INBOX,
  JUNK,
  ...['c', 'd'].map((letter) => mailboxId(letter.padEnd(16, '0'))),
];
const FLAGS = ['\\Seen', '\\Deleted', 'work', 'Work'];

const mailbox = fc.oneof(
  { weight: 5, arbitrary: fc.constant(INBOX) },
  { weight: 4, arbitrary: fc.constantFrom(...IDS) },
  { weight: 1, arbitrary: fc.constant(mailboxId('never00000000000')) },
);
const list = fc
  .uniqueArray(fc.integer({ min: 1, max: 12 }), { maxLength: 6, size: 'max' })
  .map((uids) => Uint32Array.from(uids));
const flags = fc.subarray(FLAGS);
const name = fc.constantFrom('INBOX', 'Junk', 'a', 'a/b', 'é');

export const op: fc.Arbitrary<Op> = fc.oneof(
  {
    weight: 5,
    arbitrary: fc
      .record({
        mailbox,
        flags,
        ref: fc.option(fc.integer({ min: 1, max: 9 })),
        dedupe: fc.option(fc.constantFrom('x', 'y', 'z')),
        enforce: fc.boolean(),
      })
      .map(
        ({ ref, dedupe, enforce, ...rest }): Op => ({
          t: 'append',
          ...rest,
          content: ref === null ? contentInput({ size: 100 }) : { ref: contentId(ref) },
          internalDate: 1_750_000_000,
          quota: enforce ? 'enforce' : 'ignore',
          ...(dedupe === null ? {} : { dedupe }),
        }),
      ),
  },
  {
    weight: 4,
    arbitrary: fc
      .record({
        mailbox,
        uids: list,
        flags,
        mode: fc.constantFrom('add', 'remove', 'replace'),
        since: fc.option(fc.integer({ min: 0, max: 12 })),
      })
      .map(
        ({ since, ...rest }): Op => ({
          t: 'store',
          ...rest,
          ...(since === null ? {} : { unchangedSince: modSeq(since) }),
        }),
      ),
  },
  { weight: 4, arbitrary: fc.record({ t: fc.constantFrom('copy', 'move'), from: mailbox, uids: list, to: mailbox }) },
  {
    weight: 3,
    arbitrary: fc.record({ t: fc.constant('expunge'), mailbox, uids: fc.option(list), onlyDeleted: fc.boolean() }),
  },
  { weight: 2, arbitrary: fc.record({ t: fc.constant('createMailbox'), id: mailbox, name, role: fc.constant(null) }) },
  { weight: 1, arbitrary: fc.record({ t: fc.constant('updateMailbox'), mailbox, name }) },
  { weight: 1, arbitrary: fc.record({ t: fc.constant('deleteMailbox'), mailbox }) },
  { weight: 1, arbitrary: fc.record({ t: fc.constant('subscribe'), name, subscribed: fc.boolean() }) },
  { weight: 1, arbitrary: fc.record({ t: fc.constant('claimRecent'), mailbox }) },
);

type Step = { readonly commit: Op[] } | 'reopen' | 'gc';
const steps: fc.Arbitrary<Step[]> = fc.array(
  fc.oneof(
    { weight: 12, arbitrary: fc.record({ commit: fc.array(op, { minLength: 1, maxLength: 5, size: 'max' }) }) },
    { weight: 1, arbitrary: fc.constant<Step>('gc') },
    { weight: 1, arbitrary: fc.constant<Step>('reopen') },
  ),
  { minLength: 1, maxLength: 25, size: 'max' },
);

/** A result as plain values; what only the store can know (content ids, uidValidity) is checked by the caller. */
export function plain(result: OpResult): unknown {
  return JSON.parse(
    JSON.stringify(result, (key, value) =>
      value instanceof Uint32Array ? [...value] : key === 'uidValidity' ? undefined : value,
    ),
  );
}

/** @param contentOf the model's number of a content of the store, where they may differ */
export async function same(
  store: MailStore,
  model: MailModel,
  account: Pick<TestAccount, 'id'>,
  contentOf = (content: number): number => content,
): Promise<void> {
  const mailboxes = await store.mailboxes(account.id);
  const shown = mailboxes.map(({ uidValidity: _, role: __, ...rest }) => rest);
  assert.deepEqual(shown, model.mailboxes());
  const state = (await store.account(account.id))!;
  assert.deepEqual(
    [state.modSeq, state.usedBytes, state.usedMessages],
    [model.modSeq, model.usedBytes(), model.usedMessages()],
  );
  assert.deepEqual(await store.subscriptions(account.id), model.subscribed());
  for (const id of IDS) {
    const columns = await store.columns(account.id, id);
    const rows = await store.rows(
      account.id,
      id,
      Uint32Array.from({ length: 60 }, (_, i) => i + 1),
    );
    assert.deepEqual(
      rows.map((row) => [row.uid, row.flags.join(' '), row.modSeq, row.created, contentOf(row.content)]),
      model.rows(id),
    );
    assert.deepEqual(
      columns === undefined ? [] : [...columns.uids],
      rows.map((row): number => row.uid),
    );
  }
  for (const since of [0, Math.floor(model.modSeq / 2), model.modSeq - 1]) {
    const { changed, vanished } = await store.changes(account.id, null, modSeq(Math.max(0, since)));
    const all = [
      ...changed.map((row) => `${row.mailbox} ${row.uid} ${row.modSeq} there`),
      ...vanished.map((one) => `${one.mailbox} ${one.uid} ${one.modSeq} gone`),
    ];
    assert.deepEqual(all.sort(), model.changes(since));
  }
}

/** A store that is open, and how to close it and open another on the same data. */
export interface Reopenable {
  readonly store: MailStore;
  reopen(): Promise<MailStore>;
}

export async function equalsModel(opened: Reopenable, numRuns: number): Promise<void> {
  let { store } = opened;
  await fc.assert(
    fc.asyncProperty(steps, fc.option(fc.integer({ min: 0, max: 12 })), async (sequence, quota) => {
      const account = await TestAccount.create(store, quota === null ? {} : { messages: quota });
      const model = new MailModel(quota);
      const validities = new Map<string, number>();
      for (const step of sequence) {
        if (step === 'gc') {
          while (await store.gc(START, 50));
          model.collect();
        } else if (step === 'reopen') {
          store = await opened.reopen();
          account.store = store;
        } else {
          const { results, modSeq: at } = await account.commit(...step.commit);
          const expected = model.commit(step.commit);
          assert.deepEqual(results.map(plain), JSON.parse(JSON.stringify(expected.results)));
          assert.equal(at, expected.modSeq);
          for (const result of results) {
            if (!result.ok || result.t !== 'createMailbox') continue;
            for (const former of validities.values()) assert(result.uidValidity > former);
            validities.set(result.mailbox, result.uidValidity);
          }
        }
        await same(store, model, account);
      }
    }),
    { numRuns },
  );
  assert.deepEqual(await store.verify(false), []);
}
