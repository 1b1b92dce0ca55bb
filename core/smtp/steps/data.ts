/** DATA (RFC 5321 §4.1.1.4): the mail data, line by line, up to a line of one dot. */

import { finishMessage } from '../accept.ts';
import { DataReader } from '../data-reader.ts';
import { Incoming } from '../incoming.ts';
import type { Receiver, SmtpSession, Transaction } from '../session.ts';
import type { Step } from '../step.ts';
import { EVERYWHERE } from '../step.ts';

function receiver(session: SmtpSession, transaction: Transaction, incoming: Incoming): Receiver {
  const reader = new DataReader();
  return {
    async take(chunk, at) {
      const { bytes, end } = reader.take(chunk, at);
      if (reader.bareLineEnd) incoming.fail('bareLineEnd');
      await incoming.write(bytes);
      if (end < 0) return chunk.length;
      if (session.transaction === transaction) await finishMessage(session, transaction);
      return end;
    },
  };
}

export const data: Step = {
  verb: 'DATA',
  kinds: EVERYWHERE,
  rfc: 'RFC 5321 §4.1.1.4',
  needsAuth: true,
  run(session, argument) {
    const { transaction } = session;
    if (argument !== '') return session.reply('syntaxError');
    // RFC 3030 §2: DATA and BDAT do not mix.
    if (transaction === null || transaction.incoming !== null) return session.reply('badSequence');
    if (transaction.accepted.length === 0) {
      // RFC 5321 §3.3 allows 503 and 554; RFC 2033 §4.2 wants 503.
      return session.reply(transaction.rcptSeen && session.kind !== 'lmtp' ? 'noValidRecipients' : 'badSequence');
    }
    transaction.incoming = new Incoming(session.env, session.wire.session);
    session.receiver = receiver(session, transaction, transaction.incoming);
    session.reply('startMail');
  },
};
