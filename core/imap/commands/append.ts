/**
 * APPEND: the message goes from the connection to the blob store as it comes, byte for byte, and is described on the
 * way. What can be known to be wrong (no such mailbox, quota, size) is answered before the client sends it.
 */

import { ClientError } from '../../mail/errors.ts';
import { flagSet } from '../../mail/flags.ts';
import { wholeBlob } from '../../mail/layout.ts';
import { describeMessage, toContentInput } from '../../mime/describe.ts';
import type { BlobWriter } from '../../ports/blob-store.ts';
import type { Mailbox, OpResult } from '../../ports/mail-store.ts';
import { BadSyntax } from '../bad-syntax.ts';
import { type CommandSpec, LOGGED_IN } from '../command.ts';
import { findMailbox } from '../find-mailbox.ts';
import type { LiteralHeader } from '../reader.ts';
import type { ImapSession } from '../session.ts';

interface Args {
  readonly mailbox: string;
  readonly flags: readonly string[];
  /** Seconds since 1970, or null for now. */
  readonly internalDate: number | null;
}

export const append: CommandSpec<Args> = {
  name: 'APPEND',
  states: LOGGED_IN,
  rfc: 'RFC 9051 §6.3.12',
  parse(parser) {
    parser.space();
    const mailbox = parser.mailboxName();
    parser.space();
    let flags: string[] = [];
    if (parser.peek() === 0x28) {
      flags = parser.flagList();
      parser.space();
    }
    let internalDate: number | null = null;
    if (parser.peek() === 0x22) {
      internalDate = parser.dateTime();
      parser.space();
    }
    return { mailbox, flags, internalDate };
  },
  async run() {
    throw new BadSyntax('Expected a message literal');
  },
  async stream(session, args, literal) {
    const mailbox = await findMailbox(session, args.mailbox, 'tryCreate');
    await checkSize(session, literal.size);
    const writer = session.env.blobs.writer();
    try {
      const description = await describeMessage(receive(session, literal, writer));
      await session.input.commandEnd();
      const { ref, size } = await writer.commit();
      const result = await commit(session, mailbox, args, toContentInput(description, wholeBlob(ref, size), ''));
      return { code: `APPENDUID ${result.uidValidity} ${result.uid}` };
    } finally {
      await writer.abort();
    }
  },
};

async function checkSize(session: ImapSession, size: number): Promise<void> {
  // A message has a header at least; RFC 3502 §6 knows no empty one either.
  if (size === 0) throw new ClientError('invalid');
  if (size > session.env.config.appendSizeBytesMax) throw new ClientError('messageTooBig', { size });
  const state = await session.env.store.account(session.account);
  const bytesFull = state?.quotaBytes != null && state.usedBytes + size > state.quotaBytes;
  const messagesFull = state?.quotaMessages != null && state.usedMessages >= state.quotaMessages;
  if (bytesFull || messagesFull) throw new ClientError('overQuota', { size });
}

/** The message's bytes, each piece written before it is passed on. */
async function* receive(session: ImapSession, literal: LiteralHeader, writer: BlobWriter): AsyncGenerator<Uint8Array> {
  for await (const bytes of session.input.literal(literal)) {
    // RFC 9051 §9: CHAR8 excludes NUL; only literal8 may carry it.
    if (bytes.includes(0)) throw new BadSyntax('NUL is not allowed in a message');
    await writer.write(bytes);
    yield bytes;
  }
}

async function commit(
  session: ImapSession,
  mailbox: Mailbox,
  args: Args,
  content: ReturnType<typeof toContentInput>,
): Promise<OpResult & { ok: true; t: 'append' }> {
  const { results } = await session.commit([
    {
      t: 'append',
      mailbox: mailbox.id,
      content,
      flags: flagSet(args.flags),
      internalDate: args.internalDate ?? Math.floor(session.env.now() / 1000),
      quota: 'enforce',
    },
  ]);
  const result = results[0]!;
  if (!result.ok) {
    throw new ClientError(result.why === 'quota' ? 'overQuota' : 'tryCreate', { why: result.why });
  }
  return result as OpResult & { ok: true; t: 'append' };
}
