/** STARTTLS: turns TLS on. Whatever the client has sent behind the command is thrown away, unfinished lines included. */

import { BadSyntax } from '../bad-syntax.ts';
import type { CommandSpec } from '../command.ts';
import { ConnectionClosed } from '../input.ts';

export const startTls: CommandSpec<void> = {
  name: 'STARTTLS',
  states: ['not-authenticated'],
  rfc: 'RFC 9051 §6.2.1',
  parse() {},
  async run(session) {
    if (session.wire.tls !== null) throw new BadSyntax('TLS is already on');
    if (!session.wire.canStartTls) throw new BadSyntax('TLS is not available');
    return {
      text: 'Begin TLS negotiation now',
      async after() {
        session.out.handOver();
        // RFC 9051 §11.1: nothing sent in plaintext may be taken for a command under TLS.
        session.input.reader.reset();
        try {
          await session.wire.startTls();
        } catch {
          throw new ConnectionClosed();
        }
      },
    };
  },
};
