/**
 * BDAT (RFC 3030 §2, RFC 2033 §4.3): the mail data in chunks of a told length. The octets of a refused chunk are read
 * and thrown away before the reply, so that none of them is ever taken for a command.
 */

import type { ReplyKey } from '../../mail/reply.ts';
import { finishMessage } from '../accept.ts';
import { ChunkCheck } from '../chunk-check.ts';
import { Incoming } from '../incoming.ts';
import type { Receiver, SmtpSession, Transaction } from '../session.ts';
import type { Step } from '../step.ts';
import { EVERYWHERE } from '../step.ts';

/** Chunks of this length or more are not counted as commands: a large message may come in any number of them. */
const CHUNK_OCTETS_FREE = 1024;

/** Takes `octets` from the stream and hands them to `write`, then calls `done`. */
function counted(
  session: SmtpSession,
  octets: number,
  write: (bytes: Buffer) => void | Promise<void>,
  done: () => void | Promise<void>,
): Receiver {
  let left = octets;
  return {
    async take(chunk, at) {
      const end = Math.min(chunk.length, at + left);
      left -= end - at;
      await write(chunk.subarray(at, end));
      if (left === 0) {
        session.receiver = null;
        await done();
      }
      return end;
    },
  };
}

/** Why this chunk is not wanted, whatever its octets; null when it is. */
function refusalOf(session: SmtpSession, transaction: Transaction | null): ReplyKey | null {
  if (session.needsAuth) return 'authenticationRequired';
  if (transaction === null) return 'badSequence';
  if (transaction.accepted.length === 0) return transaction.rcptSeen ? 'noValidRecipients' : 'badSequence';
  return null;
}

function wanted(session: SmtpSession, transaction: Transaction, octets: number, last: boolean): Receiver {
  transaction.incoming ??= new Incoming(session.env, session.wire.session);
  const { incoming } = transaction;
  transaction.chunks ??= new ChunkCheck();
  const { chunks } = transaction;
  return counted(
    session,
    octets,
    (bytes) => {
      chunks.take(bytes);
      // Without BINARYMIME a chunk is text in lines of CRLF (RFC 3030 §2).
      if (chunks.bareLineEnd) incoming.fail('bareLineEnd');
      return incoming.write(bytes);
    },
    () => {
      if (session.transaction !== transaction) return;
      if (last) {
        if (chunks.endsInCr) incoming.fail('bareLineEnd');
        return finishMessage(session, transaction);
      }
      if (incoming.failure === null) session.reply('ok', `${octets} octets received`);
      else session.refuse(incoming.failure);
    },
  );
}

function unwanted(session: SmtpSession, octets: number, last: boolean, key: ReplyKey): Receiver {
  // RFC 2033 §4.3: BDAT LAST is answered once for each accepted recipient, and there is none.
  const silent = session.kind === 'lmtp' && last && session.transaction !== null && key !== 'authenticationRequired';
  return counted(
    session,
    octets,
    () => undefined,
    () => {
      // RFC 3030 §2: the transaction has failed, so nothing of it may be taken for a whole message.
      if (last || key === 'syntaxError') session.reset();
      if (!silent) session.reply(key);
    },
  );
}

export const bdat: Step = {
  verb: 'BDAT',
  kinds: EVERYWHERE,
  rfc: 'RFC 3030 §2',
  run(session, argument) {
    const match = /^([0-9]{1,15})(?: (.*))?$/.exec(argument);
    // How long the chunk is can't be known: what follows would be read as commands (smuggling), so nothing is.
    if (match === null) {
      session.reply('syntaxError');
      session.closing = true;
      return;
    }
    const octets = Number(match[1]);
    const last = match[2]?.toUpperCase() === 'LAST';
    const { transaction } = session;
    const refusal = match[2] !== undefined && !last ? 'syntaxError' : refusalOf(session, transaction);
    const receiver =
      refusal === null ? wanted(session, transaction!, octets, last) : unwanted(session, octets, last, refusal);
    session.receiver = receiver;
    if (refusal === null && octets >= CHUNK_OCTETS_FREE) session.commands--;
    // A chunk of no octets is complete with its command.
    if (octets === 0) return Promise.resolve(receiver.take(Buffer.alloc(0), 0)).then(() => undefined);
  },
};
