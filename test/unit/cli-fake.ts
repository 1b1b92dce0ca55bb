/** A node of the mesh in memory, for tests of the command: accounts, mailboxes and messages, and what was called. */

import { createHash } from 'node:crypto';
import { Readable } from 'node:stream';
import { runCommand } from '../../bin/mailmesh.ts';
import type { MeshNode, StartNode } from '../../bin/mesh-node.ts';
import { ClientError } from '../../core/mail/errors.ts';
import type { ActionName, MessageSummary, Params, Result } from '../../mixins/contracts.ts';

interface Stored {
  readonly uid: number;
  readonly blob: string;
  readonly flags: readonly string[];
  readonly internalDate: number | null;
}

type Answers = { [A in ActionName]?: (params: Params<A>) => Result<A> | Promise<Result<A>> };

export class FakeNode implements MeshNode {
  readonly id = 'fake';
  readonly services = [];
  firstStart: MeshNode['firstStart'] = null;
  listeners: MeshNode['listeners'] = [];
  readonly calls: [action: string, params: unknown][] = [];
  readonly blobs = new Map<string, Buffer>();
  readonly mailboxes = new Map<string, Stored[]>([['INBOX', []]]);
  readonly #dedupe = new Map<string, number>();
  stopped = 0;
  /** Answers of actions that a test wants otherwise, or that are not here. */
  answers: Answers = {};

  async call<A extends ActionName>(action: A, params: Params<A>): Promise<Result<A>> {
    this.calls.push([action, params]);
    const own = this.answers[action] as ((params: Params<A>) => Result<A>) | undefined;
    if (own !== undefined) return own(params);
    const builtIn = this.#builtIn[action] as ((params: Params<A>) => Result<A>) | undefined;
    if (builtIn === undefined) throw new ClientError('notFound', { action });
    return builtIn(params);
  }

  readonly #builtIn: Answers = {
    'account.get': ({ account }) => {
      if (account !== 'alice@mail.localhost' && account !== 'alice-id') throw new ClientError('notFound', { account });
      return { id: 'alice-id', address: 'alice@mail.localhost' } as Result<'account.get'>;
    },
    'folder.list': () =>
      ({
        items: [...this.mailboxes].map(([name, messages]) => ({ name, uidValidity: 7, total: messages.length })),
        cursor: null,
      }) as unknown as Result<'folder.list'>,
    'folder.create': ({ name }) => {
      if (this.mailboxes.has(name)) throw new ClientError('mailboxExists', { name });
      this.mailboxes.set(name, []);
      return { name } as unknown as Result<'folder.create'>;
    },
    'message.append': ({ mailbox, blob, flags, internalDate, dedupe }) => {
      const messages = this.mailboxes.get(mailbox);
      if (messages === undefined) throw new ClientError('mailboxUnknown', { mailbox });
      const known = this.#dedupe.get(dedupe ?? '');
      if (known !== undefined) return { mailbox, uid: known, duplicate: true };
      const uid = (messages.at(-1)?.uid ?? 0) + 1;
      messages.push({ uid, blob, flags: flags ?? [], internalDate: internalDate ?? null });
      if (dedupe !== undefined) this.#dedupe.set(dedupe, uid);
      return { mailbox, uid, duplicate: false };
    },
    'message.list': ({ mailbox, cursor }) => {
      // Newest first, in pages of two.
      const all = (this.mailboxes.get(mailbox) ?? []).toReversed();
      const start = Number(cursor ?? 0);
      const items = all.slice(start, start + 2).map((message) => this.#summary(mailbox, message));
      return { items, cursor: start + 2 < all.length ? String(start + 2) : null };
    },
  };

  #summary(mailbox: string, { uid, blob, flags, internalDate }: Stored): MessageSummary {
    const receivedAt = (internalDate ?? 0) * 1000;
    const [subject, from, messageId, queueId] = ['', '', '', ''];
    return {
      mailbox,
      uid,
      flags,
      sizeBytes: this.blobs.get(blob)!.length,
      receivedAt,
      subject,
      from,
      messageId,
      queueId,
    };
  }

  async putBlob(stream: AsyncIterable<Uint8Array>): Promise<{ blob: string; sizeBytes: number }> {
    const pieces: Uint8Array[] = [];
    for await (const piece of stream) pieces.push(Buffer.from(piece));
    const bytes = Buffer.concat(pieces);
    const blob = createHash('sha256').update(bytes).digest('hex');
    this.blobs.set(blob, bytes);
    return { blob, sizeBytes: bytes.length };
  }

  async *readMessage(_account: string, mailbox: string, uid: number): AsyncGenerator<Uint8Array> {
    const found = this.mailboxes.get(mailbox)?.find((message) => message.uid === uid);
    if (found === undefined) throw new ClientError('notFound', { uid });
    const bytes = this.blobs.get(found.blob)!;
    for (let at = 0; at < bytes.length; at += 1000) yield bytes.subarray(at, at + 1000);
  }

  /** The messages of a mailbox as text. */
  texts(mailbox: string): string[] {
    return (this.mailboxes.get(mailbox) ?? []).map(({ blob }) => this.blobs.get(blob)!.toString('latin1'));
  }

  async stop(): Promise<void> {
    this.stopped += 1;
  }
}

export interface Ran {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

export async function run(
  node: FakeNode,
  argv: readonly string[],
  {
    env = {},
    stdin = '',
    start = async () => node,
  }: {
    env?: Record<string, string>;
    stdin?: string;
    start?: StartNode;
  } = {},
): Promise<Ran> {
  let [out, err] = ['', ''];
  const io = {
    stdin: Readable.from([Buffer.from(stdin)]),
    out: (text: string) => {
      out += text;
    },
    err: {
      write: (text: string) => {
        err += text;
      },
    },
    now: () => 1_790_000_000_000,
  };
  const code = await runCommand(argv, { MAILMESH_DATA_DIR: '/nonexistent/mailmesh', ...env }, io, start);
  return { code, out, err };
}
