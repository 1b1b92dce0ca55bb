/**
 * Checks accounts against what their messages say, one by one and beside their owners; what is found is told, and with
 * `fix` set right by a commit like any other, which an owner at work learns of before its next one.
 */

import { NO_FLAGS } from '../../core/mail/flags.ts';
import type { AccountId } from '../../core/mail/ids.ts';
import { decodeLayout, layoutBlobs } from '../../core/mail/layout.ts';
import type { Damage } from '../../core/ports/blob-store.ts';
import { Effects, encodeEntry } from './mail-store-log.ts';
import { spillRef } from './mail-store-picture.ts';
import { type ContentDoc, contentRef, type MailboxState, type MailTables, under } from './mail-store-schema.ts';
import { readUses } from './mail-store-uses.ts';
import { type Counted, countRows, readWhole, type Whole } from './mail-store-whole.ts';

/** Findings of one account that are listed one by one. */
const LISTED_MAX = 1000;
const SCANNED = 1000;
const ATTEMPTS = 10;

type Sums = Pick<Whole['doc'], 'usedBytes' | 'usedMessages' | 'modSeq' | 'uidValidity' | 'lastContent'>;

interface Finding {
  readonly found: Omit<Damage, 'repaired'>[];
  readonly effects: Effects;
  readonly sums: Sums;
  /** Contents whose list of blobs is wrong. */
  readonly blobs: ReadonlyMap<string, readonly string[]>;
}

/** @param changed hears of accounts that were repaired */
export async function verifyAccount(
  tables: MailTables,
  account: AccountId,
  fix: { readonly now: number; readonly changed: (account: AccountId) => void } | undefined,
): Promise<Damage[]> {
  for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
    const whole = await readWhole(tables, account);
    if (whole === undefined) return [];
    const finding = await inspect(tables, whole);
    const told = (repaired: boolean): Damage[] =>
      finding.found.slice(0, LISTED_MAX).map((one) => ({ ...one, repaired }));
    if (finding.found.length === 0 || fix === undefined) return told(false);
    if (await repair(tables, whole, finding, fix.now)) {
      fix.changed(account);
      return told(true);
    }
  }
  return [{ what: `account ${account}`, detail: 'it changes faster than it can be repaired', repaired: false }];
}

async function inspect(tables: MailTables, whole: Whole): Promise<Finding> {
  const { doc } = whole;
  const found: Omit<Damage, 'repaired'>[] = [];
  const tell = (what: string, detail: string): void => void found.push({ what: `account ${doc._id}${what}`, detail });
  const effects = new Effects();
  const m = doc.modSeq + 1;
  const contents = await readContents(tables, doc.key);
  const used = new Set<number>();
  const byId = new Map(whole.mailboxes.map((one) => [one.id as string, one]));
  const bury = (mailbox: string, uid: number, created: number): void =>
    effects.putRow(mailbox, { uid, created, flags: NO_FLAGS, modSeq: m, date: 0, size: 0, content: 0 });
  for (const [id, rows] of whole.rows) {
    const name = byId.get(id)?.name ?? null;
    for (const { uid, created, content } of rows) {
      if (content === 0) continue;
      used.add(content);
      const missing = name === null ? 'mailbox' : contents.has(content) ? undefined : 'content';
      // It may have been expunged and collected since.
      if (missing === undefined || !(await isStill(tables, whole, id, uid, content, missing))) continue;
      tell(`, mailbox ${name}`, `message ${uid} refers to a ${missing} that is not there`);
      bury(id, uid, created);
    }
  }
  const sums = { usedBytes: 0, usedMessages: 0, ...marks(whole, used) };
  for (const mailbox of whole.mailboxes) {
    const rows = (whole.rows.get(mailbox.id) ?? []).map((row) => effects.rows.get(mailbox.id)?.get(row.uid) ?? row);
    const counted = countRows(rows, mailbox);
    const before = countRows(whole.rows.get(mailbox.id) ?? [], mailbox);
    const detail = differences(mailbox, before);
    if (detail !== '') tell(`, mailbox ${mailbox.name ?? '(deleted)'}`, detail);
    if (differences(mailbox, counted) !== '')
      effects.mailboxes.set(mailbox.id, { value: { ...mailbox, ...counted }, modSeq: m });
    sums.usedBytes += counted.bytes;
    sums.usedMessages += counted.total;
  }
  const stored = { usedBytes: 0, usedMessages: 0 };
  for (const { bytes, total } of whole.mailboxes) {
    stored.usedBytes += bytes;
    stored.usedMessages += total;
  }
  const wrong = differences(doc, { ...sums, ...stored });
  if (wrong !== '') tell('', wrong);
  const blobs = new Map<string, readonly string[]>();
  let unused = 0;
  for (const [number, content] of contents) {
    if (content.isDamaged) tell(`, content ${number}`, 'its layout cannot be read');
    if (content.blobs !== undefined) {
      tell(`, content ${number}`, 'its list of blobs is wrong');
      blobs.set(contentRef(doc.key, number), content.blobs);
    }
    // A number above the last one was taken by a commit that never came to its point; the next appends find it.
    if (used.has(number) || number > doc.lastContent || !(await isUnused(tables, doc, number))) continue;
    unused++;
    effects.dying.set(number, m);
  }
  if (unused > 0) tell(', contents', `${unused} without a message`);
  return { found, effects, sums, blobs };
}

/** The names of what differs, with both values. */
function differences<T extends Counted | Sums>(stored: NoInfer<T>, counted: T): string {
  const names = Object.keys(counted) as (keyof T)[];
  return names
    .filter((name) => stored[name] !== counted[name])
    .map((name) => `${String(name)} is ${stored[name]}, counted ${counted[name]}`)
    .join('; ');
}

function marks({ doc, mailboxes }: Whole, used: ReadonlySet<number>): Omit<Sums, 'usedBytes' | 'usedMessages'> {
  const highest = (values: Iterable<number>, least: number): number => {
    let top = least;
    for (const value of values) top = Math.max(top, value);
    return top;
  };
  return {
    modSeq: highest(
      mailboxes.map((one) => one.modSeq),
      doc.modSeq,
    ),
    uidValidity: highest(
      mailboxes.map((one) => one.uidValidity),
      doc.uidValidity,
    ),
    lastContent: highest(used, doc.lastContent),
  };
}

type Read = Map<number, { readonly blobs: readonly string[] | undefined; readonly isDamaged: boolean }>;

/** All contents of the account, and what is wrong with them; with their blobs where the list of them is. */
async function readContents(tables: MailTables, key: string): Promise<Read> {
  const found: Read = new Map();
  const { $gte, $lt } = under(key);
  for (let last = $gte; ; ) {
    const fields = ['number', 'blobs', 'layout'] as const satisfies (keyof ContentDoc)[];
    const docs = await tables.contents.find({
      ...{ filter: { _id: { $gt: last, $lt } }, sort: { _id: 1 }, limit: SCANNED, fields },
    });
    for (const { number, blobs, layout } of docs) {
      const needed = blobsOf(layout);
      if (needed === undefined) {
        found.set(number, { blobs: undefined, isDamaged: true });
        continue;
      }
      const right = needed.length === blobs.length && needed.every((ref) => blobs.includes(ref));
      found.set(number, { blobs: right ? undefined : needed, isDamaged: false });
    }
    if (docs.length < SCANNED) return found;
    last = docs.at(-1)!._id;
  }
}

/** undefined where it is no layout. */
function blobsOf(layout: Uint8Array): string[] | undefined {
  try {
    return layoutBlobs(decodeLayout(layout));
  } catch {
    return undefined;
  }
}

/** Looks again: the first look may have been at different moments. */
async function isStill(
  tables: MailTables,
  { doc }: Whole,
  mailbox: string,
  uid: number,
  content: number,
  missing: 'mailbox' | 'content',
): Promise<boolean> {
  if (missing === 'mailbox') return true;
  if ((await tables.contents.findOne({ _id: contentRef(doc.key, content) }, { fields: [] })) !== undefined)
    return false;
  const uses = await readUses(tables, doc._id as AccountId, async () => [content]);
  return uses?.picture.doc.key === doc.key && uses.rows.get(mailbox)?.some((row) => row.uid === uid) === true;
}

async function isUnused(tables: MailTables, doc: Whole['doc'], content: number): Promise<boolean> {
  const _id = contentRef(doc.key, content);
  const uses = await readUses(tables, doc._id as AccountId, async () => [content]);
  if (uses?.picture.doc.key !== doc.key || uses.picture.effects.dying.has(content)) return false;
  for (const rows of uses.rows.values()) if (rows.length > 0) return false;
  // Carried out before the picture, so that it is there until the collector has deleted the content.
  if ((await tables.dying.findOne({ _id: { $gte: _id, $lt: under(_id).$lt } }, { fields: [] })) !== undefined)
    return false;
  return (await tables.contents.findOne({ _id }, { fields: [] })) !== undefined;
}

/** False where the account was changed meanwhile. */
async function repair(tables: MailTables, whole: Whole, finding: Finding, now: number): Promise<boolean> {
  const { doc } = whole;
  for (const [_id, blobs] of finding.blobs) await tables.contents.updateOne({ _id }, { $set: { blobs } });
  const m = Math.max(doc.modSeq, finding.sums.modSeq) + 1;
  const effects = remade(finding.effects, m);
  const { entry, spilled } = encodeEntry(effects, m, now, Number.POSITIVE_INFINITY);
  for (const [i, part] of spilled.entries())
    await tables.commits.insertOne({ _id: spillRef(doc, entry, i), account: doc.key, at: now, ...part });
  const { _id, key, rev } = doc;
  const { matched } = await tables.accounts.updateOne(
    { _id, key, rev, modSeq: doc.modSeq },
    {
      $set: { ...finding.sums, modSeq: m },
      $min: { due: entry.due },
      $push: { log: { $each: [entry] } },
      $inc: { rev: 1 },
    },
  );
  return matched > 0;
}

/** The effects with their final modSeq. */
function remade(effects: Effects, m: number): Effects {
  const made = new Effects();
  for (const [mailbox, rows] of effects.rows)
    for (const row of rows.values()) made.putRow(mailbox, { ...row, modSeq: m });
  for (const [id, { value }] of effects.mailboxes) {
    const changed: MailboxState = { ...value, modSeq: effects.rows.has(id) ? m : value.modSeq };
    made.mailboxes.set(id, { value: changed, modSeq: m });
  }
  for (const number of effects.dying.keys()) made.dying.set(number, m);
  return made;
}
