/**
 * Hints about mailboxes between nodes. Each is published once, under a subject of its account, and reaches the nodes that
 * watch the account. Subjects are grouped into buckets, so that the search nodes share all accounts between them.
 */

import { setTimeout as sleep } from 'node:timers/promises';
import type { MailboxHint } from '../core/mail/hints.ts';
import { type AccountId, mailboxId, modSeq } from '../core/mail/ids.ts';
import { hashLow } from '../core/mesh/rendezvous.ts';
import type { MessageBus } from '../core/ports/message-bus.ts';
import type { HintHub } from './hint-hub.ts';

export const HINT_BUCKETS = 256;

/** After NATS was away every account watched is looked at, so many at a time: the store has other work. */
const LOOKS_AT_ONCE = 50;
const LOOKS_PAUSE_MS = 50;

const ACCOUNT = /^[a-z0-9]{1,64}$/;

interface Sent extends MailboxHint {
  /** The process that it comes from. */
  readonly from: string;
}

export interface HintBusOptions {
  readonly bus: MessageBus;
  /** Tells meshes apart that share a NATS. */
  readonly mesh: string;
  /** Names this process among those of the mesh. */
  readonly self: string;
  readonly hub: HintHub;
  /** Told of what came in and is no hint, and of what could not be sent. */
  readonly dropped: (detail: string) => void;
}

export const hintBucket = (account: string): number => hashLow(account) & (HINT_BUCKETS - 1);

/** All of it may have changed. */
const everything = (account: AccountId): MailboxHint => ({
  ...{ account, modSeq: modSeq(0), mailboxes: [], listChanged: true },
});

export class HintBus {
  readonly #options: HintBusOptions;
  readonly #watched = new Set<AccountId>();

  constructor(options: HintBusOptions) {
    this.#options = options;
    options.hub.source = (account) => this.#watch(account);
    options.bus.onChange((connected) => {
      if (connected) void this.#lookAgain();
    });
  }

  /** To those who listen here at once, and to the other nodes. */
  publish(hint: MailboxHint): void {
    const { bus, self, hub, dropped } = this.#options;
    hub.publish(hint);
    const sent: Sent = { ...hint, from: self };
    try {
      bus.publish(this.#subject(hint.account), Buffer.from(JSON.stringify(sent)));
    } catch (error) {
      dropped((error as Error).message);
    }
  }

  /** Hints of all accounts of a bucket, those of this process included. */
  watchBucket(bucket: number, listener: (hint: MailboxHint) => void): () => void {
    return this.#options.bus.subscribe(this.#subject('*', bucket), (bytes) => {
      const hint = this.#read(bytes);
      if (hint !== undefined) listener(hint);
    });
  }

  #watch(account: AccountId): () => void {
    const { bus, self, hub, dropped } = this.#options;
    let watching = true;
    this.#watched.add(account);
    const stop = bus.subscribe(this.#subject(account), (bytes) => {
      const hint = this.#read(bytes);
      if (hint !== undefined && hint.from !== self && hint.account === account) hub.publish(hint);
    });
    // What was committed before the server knew of this watch has been told to nobody here: look once more.
    bus.flush().then(
      () => {
        if (watching) hub.publish(everything(account));
      },
      (error: Error) => dropped(error.message),
    );
    return () => {
      watching = false;
      this.#watched.delete(account);
      stop();
    };
  }

  /** Hints of the time in which there was no connection are lost, and who idles asks for nothing. */
  async #lookAgain(): Promise<void> {
    const { bus, hub, dropped } = this.#options;
    try {
      await bus.flush();
    } catch (error) {
      return dropped((error as Error).message);
    }
    let looks = 0;
    for (const account of [...this.#watched]) {
      if (this.#watched.has(account)) hub.publish(everything(account));
      if (++looks % LOOKS_AT_ONCE === 0) await sleep(LOOKS_PAUSE_MS, undefined, { ref: false });
    }
  }

  #subject(account: string, bucket = hintBucket(account)): string {
    return `mailmesh.${this.#options.mesh}.hint.${bucket}.${account}`;
  }

  /** undefined for what is no hint of ours, whoever sent it. */
  #read(bytes: Uint8Array): Sent | undefined {
    try {
      const { account, modSeq: at, mailboxes, listChanged, from } = JSON.parse(Buffer.from(bytes).toString()) as Sent;
      if (typeof account !== 'string' || !ACCOUNT.test(account) || !Array.isArray(mailboxes)) throw new TypeError();
      return {
        account,
        modSeq: modSeq(Number(at)),
        mailboxes: mailboxes.map((id) => mailboxId(String(id))),
        listChanged: listChanged === true,
        from: String(from),
      };
    } catch {
      this.#options.dropped('not a hint of ours');
      return undefined;
    }
  }
}
