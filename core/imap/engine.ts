/**
 * One connection: reads commands, runs them strictly in order and answers. All errors of a command end here: bad
 * grammar is BAD, a MailError is NO, and a Fault is logged and costs this connection, never the process.
 */

import { asMailError, Fault } from '../mail/errors.ts';
import { REPLIES, type Reply } from '../mail/reply.ts';
import type { Engine, EngineFactory, Wire } from '../mail/wire.ts';
import { BadSyntax } from './bad-syntax.ts';
import { capabilities } from './capability.ts';
import type { CommandSpec, Completion } from './command.ts';
import { COMMANDS } from './command-table.ts';
import type { ImapEnvironment } from './environment.ts';
import { ConnectionClosed } from './input.ts';
import { BAD_IN_A_ROW_MAX } from './limits.ts';
import { ArgParser, type Piece } from './parser.ts';
import type { LiteralHeader } from './reader.ts';
import { ImapSession } from './session.ts';

export const makeImapEngine =
  (env: ImapEnvironment): EngineFactory =>
  (wire) =>
    new ImapEngine(env, wire);

/** The beginning of one command. */
interface Begun {
  readonly tag: string;
  readonly spec: CommandSpec<unknown>;
  /** Behind the command's name. */
  readonly parser: ArgParser;
}

class ImapEngine implements Engine {
  readonly #session: ImapSession;
  readonly #startedAt: number;
  #lastFedAt: number;
  #badInARow = 0;
  #done: Promise<void> = Promise.resolve();

  constructor(env: ImapEnvironment, wire: Wire) {
    this.#session = new ImapSession(env, wire);
    this.#startedAt = env.now();
    this.#lastFedAt = this.#startedAt;
  }

  get idleTimeoutMs(): number {
    const { config } = this.#session.env;
    if (this.#session.state !== 'not-authenticated') return config.idleTimeoutMs;
    // Before login the time counts from the start, so that a byte now and then keeps no connection open.
    return Math.max(1, config.loginTimeoutMs - Math.max(0, this.#lastFedAt - this.#startedAt));
  }

  start(): void {
    const { out, env } = this.#session;
    out.untagged(`OK [CAPABILITY ${capabilities(this.#session)}] ${env.config.hostname} Mailmesh ready`);
    this.#done = this.#run();
  }

  feed(bytes: Uint8Array): Promise<void> {
    this.#lastFedAt = this.#session.env.now();
    return this.#session.input.feed(bytes);
  }

  end(): void {
    this.#session.input.end();
  }

  expire(): void {
    // RFC 9051 §5.4
    this.#goodbye('Autologout; idle for too long');
    this.#session.input.end();
  }

  drain(): Promise<void> {
    this.#session.input.drain();
    return this.#done;
  }

  async #run(): Promise<void> {
    const { input, wire } = this.#session;
    try {
      while (!this.#session.closing) {
        if (input.draining) throw new ConnectionClosed();
        await this.#step();
      }
      await input.flush();
    } catch (thrown) {
      if (!(thrown instanceof ConnectionClosed)) this.#fault(thrown);
      else if (input.draining && !input.ended) this.#goodbye(REPLIES.shuttingDown.text, REPLIES.shuttingDown.imap);
    }
    input.end();
    this.#session.select(null);
    wire.close();
  }

  /** One event of the reader. */
  async #step(): Promise<void> {
    const { input, out } = this.#session;
    const event = input.reader.next();
    if (event === null) {
      await input.more();
      return;
    }
    switch (event.t) {
      case 'command':
        await this.#command(event.pieces);
        break;
      case 'literal':
        await this.#announced(event.header, event.pieces);
        break;
      case 'overflow':
        this.#bad(tagOf(event.head), 'Line is too long');
        break;
      case 'flood':
        this.#close('Too much data behind a refused command', 'TOOBIG');
        break;
    }
    if (out.needsFlush) await input.flush();
  }

  /** Reads tag and name; answers BAD and gives null where that is as far as it goes. */
  #begin(pieces: readonly Piece[]): Begun | null {
    const parser = new ArgParser(pieces, this.#session.enabled.utf8);
    let tag = '*';
    try {
      tag = parser.tag();
      parser.space();
      let name = parser.keyword();
      if (name === 'UID') {
        parser.space();
        name = `UID ${parser.keyword()}`;
      }
      const spec = COMMANDS.get(name);
      if (spec === undefined) throw new BadSyntax('Unknown command');
      if (!spec.states.includes(this.#session.state)) throw new BadSyntax('Command is not allowed in this state');
      return { tag, spec, parser };
    } catch (thrown) {
      this.#fail(tag, thrown);
      return null;
    }
  }

  async #command(pieces: readonly Piece[]): Promise<void> {
    const begun = this.#begin(pieces);
    if (begun === null) return;
    await this.#complete(begun, () => {
      const args = begun.spec.parse(begun.parser);
      begun.parser.end();
      return begun.spec.run(this.#session, args);
    });
  }

  /** A literal waits to be taken. What can be known to be wrong already is answered before the client sends it. */
  async #announced(header: LiteralHeader, pieces: readonly Piece[]): Promise<void> {
    const { reader } = this.#session.input;
    const begun = this.#begin(pieces);
    if (begun === null) return this.#refuse();
    const { spec, parser } = begun;
    if (spec.stream !== undefined && !isFirstArgument(pieces, parser)) {
      await this.#complete(begun, () => {
        if (header.binary) throw new BadSyntax('literal8 is not supported');
        const args = spec.parse(parser);
        parser.end();
        return spec.stream!(this.#session, args, header);
      });
      return this.#refuse();
    }
    const problem = header.binary ? 'literal8 is not allowed here' : reader.literalProblem();
    if (problem !== null) {
      // RFC 7888 §4 and §5, RFC 4469 §4.2.
      this.#bad(begun.tag, problem, header.binary ? undefined : 'TOOBIG');
      return this.#refuse();
    }
    reader.accept();
    if (header.sync) this.#session.out.ascii('+ Ready for literal data\r\n');
  }

  /** Skips what is left of a command that was answered, or ends the connection where that is too much. */
  #refuse(): void {
    if (this.#session.closing || this.#session.input.ended) return;
    if (!this.#session.input.reader.refuse()) this.#close('Literal is too large', 'TOOBIG');
  }

  async #complete({ tag, spec }: Begun, run: () => Promise<Completion>): Promise<void> {
    this.#session.begin(tag);
    try {
      const { code, text, after } = await run();
      this.#badInARow = 0;
      // The command is done: trouble here must not make its OK a NO.
      const trouble = await this.#session.tellChanges(spec.holdsExpunge !== true);
      this.#tagged(tag, 'OK', code, text ?? `${spec.name} completed`);
      await after?.();
      if (trouble instanceof Fault) this.#fault(trouble);
    } catch (thrown) {
      this.#fail(tag, thrown);
    }
  }

  #fail(tag: string, thrown: unknown): void {
    if (thrown instanceof ConnectionClosed) throw thrown;
    if (thrown instanceof BadSyntax) {
      this.#bad(tag, thrown.message);
      return;
    }
    const error = asMailError(thrown);
    const reply: Reply = REPLIES[error.reply];
    this.#session.selected?.writeHighestModSeq();
    this.#tagged(tag, 'NO', reply.imap, reply.text);
    if (error instanceof Fault) this.#fault(thrown);
    else {
      this.#badInARow = 0;
      this.#session.log('imap.refused', { ...error.facts, reply: error.reply });
    }
  }

  #fault(thrown: unknown): void {
    const error = asMailError(thrown);
    const cause = error.cause instanceof Error ? error.cause : error;
    this.#session.log('imap.fault', { ...error.facts, error: error.message, stack: cause.stack });
    this.#close(REPLIES.fault.text, REPLIES.fault.imap);
  }

  #bad(tag: string, text: string, code?: string): void {
    this.#tagged(tag, 'BAD', code, text);
    if (++this.#badInARow >= BAD_IN_A_ROW_MAX) this.#close('Too many bad commands');
  }

  #tagged(tag: string, condition: 'OK' | 'NO' | 'BAD', code: string | undefined, text: string): void {
    this.#session.out.ascii(`${tag} ${condition} ${code === undefined ? '' : `[${code}] `}${text}\r\n`);
  }

  #close(text: string, code?: string): void {
    this.#session.out.untagged(`BYE ${code === undefined ? '' : `[${code}] `}${text}`);
    this.#session.closing = true;
  }

  /** Says BYE and closes without waiting for the client to read it. */
  #goodbye(text: string, code?: string): void {
    this.#close(text, code);
    this.#session.out.handOver();
    this.#session.wire.close();
  }
}

/** Whether nothing but a space stands before the literal: it is the command's first argument, not its message. */
function isFirstArgument(pieces: readonly Piece[], parser: ArgParser): boolean {
  return pieces.length === 1 && parser.onlySpaceLeft();
}

/** The tag at the beginning of a line that was not read as a command, or `*`. */
function tagOf(head: Uint8Array): string {
  try {
    const parser = new ArgParser([{ t: 'text', bytes: head }]);
    const tag = parser.tag();
    parser.space();
    return tag;
  } catch {
    return '*';
  }
}
