/** The mail store as a few maps and lists, written for plainness: what the drivers are compared with. */

import { applyFlags, type FlagSet, flagSet } from '../../core/mail/flags.ts';
import type { Op } from '../../core/ports/mail-store.ts';
import { INBOX, JUNK } from '../contract/mail-store-fixtures.ts';

interface Message {
  uid: number;
  flags: FlagSet;
  modSeq: number;
  created: number;
  content: number;
  gone: boolean;
}
interface Box {
  name: string | null;
  messages: Message[];
  uidNext: number;
  modSeq: number;
  recentUid: number;
}

const SIZE = 100;
const live = (box: Box): Message[] => box.messages.filter((message) => !message.gone);
const byteOrder = (a: string, b: string): number => Buffer.compare(Buffer.from(a), Buffer.from(b));

export class MailModel {
  modSeq = 1;
  readonly #quota: number | null;
  readonly #boxes = new Map<string, Box>();
  readonly #subscriptions = new Set<string>();
  readonly #receipts = new Map<string, { uid: number; content: number }>();
  readonly #contents = new Set<number>();
  readonly #outbox = new Set<string>();
  #lastContent = 0;
  #effect = false;

  /** @param quota messages, or null */
  constructor(quota: number | null) {
    this.#quota = quota;
    this.#boxes.set(INBOX, { name: 'INBOX', messages: [], uidNext: 1, modSeq: 1, recentUid: 1 });
    this.#boxes.set(JUNK, { name: 'Junk', messages: [], uidNext: 1, modSeq: 1, recentUid: 1 });
  }

  commit(ops: readonly Op[]): { modSeq: number; results: unknown[] } {
    this.#effect = false;
    const results = ops.map((op) => this.#apply(op, this.modSeq + 1));
    if (this.#effect) this.modSeq++;
    return { modSeq: this.modSeq, results };
  }

  #box(id: string): Box | undefined {
    const box = this.#boxes.get(id);
    return box?.name === null ? undefined : box;
  }

  #touch(box: Box, at: number): void {
    box.modSeq = at;
    this.#effect = true;
  }

  #add(box: Box, flags: FlagSet, content: number, at: number): number {
    const uid = box.uidNext++;
    box.messages.push({ uid, flags, modSeq: at, created: at, content, gone: false });
    this.#touch(box, at);
    return uid;
  }

  #bury(box: Box, message: Message, at: number): void {
    message.gone = true;
    message.modSeq = at;
    this.#touch(box, at);
  }

  #full(more: number): boolean {
    return this.#quota !== null && this.usedMessages() + more > this.#quota;
  }

  #nameTaken(name: string): boolean {
    return [...this.#boxes.values()].some((box) => box.name === name);
  }

  #apply(op: Op, at: number): unknown {
    const no = (why: string) => ({ ok: false, why });
    switch (op.t) {
      case 'append': {
        const first = op.dedupe === undefined ? undefined : this.#receipts.get(op.dedupe);
        if (first !== undefined) return { ok: true, t: 'append', ...first, duplicate: true };
        const box = this.#box(op.mailbox);
        if (box === undefined) return no('noSuchMailbox');
        if ('ref' in op.content && !this.#contents.has(op.content.ref)) return no('noSuchContent');
        if (op.quota === 'enforce' && this.#full(1)) return no('quota');
        const content = 'ref' in op.content ? op.content.ref : ++this.#lastContent;
        this.#contents.add(content);
        const uid = this.#add(box, flagSet(op.flags), content, at);
        if (op.dedupe !== undefined) this.#receipts.set(op.dedupe, { uid, content });
        return { ok: true, t: 'append', uid, content, duplicate: false };
      }
      case 'store': {
        const box = this.#box(op.mailbox);
        if (box === undefined) return no('noSuchMailbox');
        const stored = [];
        const modified = [];
        for (const message of live(box)) {
          if (!op.uids.includes(message.uid)) continue;
          if (op.unchangedSince !== undefined && message.modSeq > op.unchangedSince) {
            modified.push(message.uid);
            continue;
          }
          const after = applyFlags(message.flags, op.mode, flagSet(op.flags));
          if (after !== message.flags) {
            message.flags = after;
            message.modSeq = at;
            this.#touch(box, at);
          }
          stored.push({ uid: message.uid, flags: after, modSeq: message.modSeq });
        }
        return { ok: true, t: 'store', stored, modified };
      }
      case 'copy':
      case 'move': {
        const from = this.#box(op.from);
        const to = this.#box(op.to);
        if (from === undefined || to === undefined) return no('noSuchMailbox');
        const messages = live(from).filter((message) => op.uids.includes(message.uid));
        if (op.t === 'copy' && this.#full(messages.length)) return no('quota');
        const added = messages.map((message) => this.#add(to, message.flags, message.content, at));
        if (op.t === 'move') for (const message of messages) this.#bury(from, message, at);
        return { ok: true, t: op.t, from: messages.map((message) => message.uid), to: added };
      }
      case 'expunge': {
        const box = this.#box(op.mailbox);
        if (box === undefined) return no('noSuchMailbox');
        const messages = live(box).filter(
          (message) =>
            (op.uids === null || op.uids.includes(message.uid)) &&
            (!op.onlyDeleted || message.flags.includes('\\Deleted')),
        );
        for (const message of messages) this.#bury(box, message, at);
        return { ok: true, t: 'expunge', uids: messages.map((message) => message.uid) };
      }
      case 'createMailbox':
        if (this.#boxes.has(op.id) || this.#nameTaken(op.name)) return no('mailboxExists');
        this.#boxes.set(op.id, { name: op.name, messages: [], uidNext: 1, modSeq: at, recentUid: 1 });
        this.#effect = true;
        return { ok: true, t: 'createMailbox', mailbox: op.id };
      case 'updateMailbox': {
        const box = this.#box(op.mailbox);
        if (box === undefined) return no('noSuchMailbox');
        if (op.name !== box.name) {
          if (this.#nameTaken(op.name!)) return no('mailboxExists');
          box.name = op.name!;
          this.#effect = true;
        }
        return { ok: true, t: 'updateMailbox' };
      }
      case 'deleteMailbox': {
        const box = this.#box(op.mailbox);
        if (box === undefined) return no('noSuchMailbox');
        for (const message of live(box)) this.#bury(box, message, at);
        box.name = null;
        this.#effect = true;
        return { ok: true, t: 'deleteMailbox' };
      }
      case 'subscribe':
        if (op.subscribed !== this.#subscriptions.has(op.name)) this.#effect = true;
        if (op.subscribed) this.#subscriptions.add(op.name);
        else this.#subscriptions.delete(op.name);
        return { ok: true, t: 'subscribe' };
      case 'claimRecent': {
        const box = this.#box(op.mailbox);
        if (box === undefined) return no('noSuchMailbox');
        const { recentUid } = box;
        box.recentUid = box.uidNext;
        return { ok: true, t: 'claimRecent', recentUid };
      }
      case 'outbox':
        if (!this.#outbox.has(op.key)) this.#effect = true;
        this.#outbox.add(op.key);
        return { ok: true, t: 'outbox' };
    }
  }

  /** Contents that have a message. */
  used(): Set<number> {
    return new Set([...this.#boxes.values()].flatMap((box) => live(box).map((message) => message.content)));
  }

  /** Whether there was a mailbox with this id, which is remembered still. */
  isDeleted(id: string): boolean {
    return this.#boxes.get(id)?.name === null;
  }

  /** Keys of entries that nobody took out. */
  outbox(): string[] {
    return [...this.#outbox].sort();
  }

  collect(): void {
    const used = this.used();
    for (const content of this.#contents) if (!used.has(content)) this.#contents.delete(content);
    // A deleted mailbox without tombstones leaves nothing to remember, and its id is free.
    for (const [id, box] of this.#boxes) if (box.name === null && box.messages.length === 0) this.#boxes.delete(id);
  }

  mailboxes(): unknown[] {
    return [...this.#boxes]
      .filter(([, box]) => box.name !== null)
      .sort(([, a], [, b]) => Number(b.name === 'INBOX') - Number(a.name === 'INBOX') || byteOrder(a.name!, b.name!))
      .map(([id, box]) => {
        const messages = live(box);
        return {
          id,
          name: box.name,
          uidNext: box.uidNext,
          modSeq: box.modSeq,
          total: messages.length,
          unseen: messages.filter((message) => !message.flags.includes('\\Seen')).length,
          deleted: messages.filter((message) => message.flags.includes('\\Deleted')).length,
          bytes: messages.length * SIZE,
          recentUid: box.recentUid,
        };
      });
  }

  rows(id: string): unknown[] {
    const box = this.#box(id);
    if (box === undefined) return [];
    return live(box).map(({ uid, flags, modSeq, created, content }) => [
      uid,
      flags.join(' '),
      modSeq,
      created,
      content,
    ]);
  }

  changes(since: number): string[] {
    return [...this.#boxes]
      .flatMap(([id, box]) =>
        box.messages
          .filter((message) => message.modSeq > since)
          .map((message) => `${id} ${message.uid} ${message.modSeq} ${message.gone ? 'gone' : 'there'}`),
      )
      .sort();
  }

  usedMessages(): number {
    return [...this.#boxes.values()].reduce((sum, box) => sum + live(box).length, 0);
  }

  usedBytes(): number {
    return this.usedMessages() * SIZE;
  }

  subscribed(): string[] {
    return [...this.#subscriptions].sort(byteOrder);
  }
}
