/**
 * The engine of one SMTP, LMTP or submission connection: takes the peer's bytes in any chunking, gives them to commands
 * and messages in order, and writes the replies. Only one step runs at a time, whatever the peer has sent ahead, and
 * replies to commands that came together leave together (RFC 2920 §3.2).
 */

import { Fault } from '../mail/errors.ts';
import type { ReplyKey } from '../mail/reply.ts';
import type { Engine, EngineFactory, Wire } from '../mail/wire.ts';
import { parseCommand } from './command.ts';
import type { SmtpEnvironment, SmtpKind } from './environment.ts';
import { type Line, LineReader } from './line-reader.ts';
import { SmtpSession } from './session.ts';
import type { Step } from './step.ts';
import { stepTable } from './step-table.ts';
import { AUTH_OCTETS_MAX } from './steps/auth.ts';
import { asTrouble, stackOf } from './trouble.ts';

const COMMAND_OCTETS_MAX = 512;
/** Of one line that is too long: what goes on after that is no client. */
const SKIPPED_OCTETS_MAX = 1024 * 1024;
/** Replies written before the engine waits for the peer to read them. */
const UNREAD_CHARACTERS_MAX = 64 * 1024;
/** The first byte of a TLS handshake (RFC 8446 §5.1), sent to a port that begins in plaintext. */
const TLS_HANDSHAKE = 22;
/** A browser that was made to talk to us: nothing that follows is meant for us. */
const HTTP_METHODS = new Set(['GET', 'POST', 'PUT', 'HEAD', 'OPTIONS', 'CONNECT', 'DELETE', 'PATCH', 'TRACE']);

class SmtpEngine implements Engine {
  readonly #session: SmtpSession;
  readonly #steps: ReadonlyMap<string, Step>;
  readonly #lines = new LineReader(AUTH_OCTETS_MAX);
  #input: Buffer[] = [];
  #busy = false;
  #running: Promise<void> | undefined;
  /** The engine waits for the peer to read, not for our own work. */
  #waiting = false;
  #unread = 0;
  #errors = 0;
  #greeted = false;
  #draining = false;
  #closed = false;
  /** Since when the line or message under way is under way. */
  #since = 0;
  readonly #over = Promise.withResolvers<void>();

  constructor(session: SmtpSession, steps: ReadonlyMap<string, Step>) {
    this.#session = session;
    this.#steps = steps;
  }

  get idleTimeoutMs(): number {
    const { config } = this.#session.env;
    if (this.#session.receiver !== null) return config.dataTimeoutMs;
    return this.#greeted ? config.commandTimeoutMs : config.greetingTimeoutMs;
  }

  start(): void {
    const { env, kind } = this.#session;
    const protocol = kind === 'lmtp' ? 'LMTP' : 'ESMTP';
    this.#session.reply('greeting', `${env.config.hostname} ${protocol} Mailmesh`);
    this.#flush();
  }

  feed(bytes: Uint8Array): void | Promise<void> {
    if (this.#closed) return undefined;
    this.#input.push(bytes instanceof Buffer ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length));
    if (this.#busy) return this.#running;
    if (this.#isSlow()) return this.#goodbye('timeout');
    this.#busy = true;
    const running = this.#run();
    // What could be done at once is done: nothing to wait for.
    if (!this.#busy) return undefined;
    this.#running = running;
    return running;
  }

  end(): void {
    this.#close();
  }

  expire(): void {
    // While a step runs it is not the peer that is waited for.
    if (!this.#busy || this.#waiting) this.#goodbye('timeout');
  }

  drain(): Promise<void> {
    this.#draining = true;
    if (!this.#busy || this.#waiting) this.#leave();
    return this.#over.promise;
  }

  async #run(): Promise<void> {
    try {
      for (let chunk = this.#input.shift(); chunk !== undefined && !this.#closed; chunk = this.#input.shift()) {
        let at = 0;
        while (at < chunk.length && !this.#closed) {
          const taken = this.#session.receiver === null ? this.#command(chunk, at) : this.#receive(chunk, at);
          at = typeof taken === 'number' ? taken : await taken;
          if (this.#session.startTls) {
            // RFC 3207 §4.2: nothing that came in plaintext behind the command is looked at.
            this.#input = [];
            await this.#startTls();
            break;
          }
        }
      }
      this.#flush();
      if (this.#unread > UNREAD_CHARACTERS_MAX) await this.#drained();
      if (this.#since === 0 && this.#underWay()) this.#since = this.#session.env.now();
    } catch (thrown) {
      this.#failed(thrown);
      this.#goodbye('shuttingDown');
    } finally {
      this.#busy = false;
      this.#running = undefined;
    }
  }

  /** Takes one line from the chunk, and returns where it ended. */
  #command(chunk: Buffer, at: number): number | Promise<number> {
    if (!this.#greeted && chunk[at] === TLS_HANDSHAKE && this.#lines.pending === 0) {
      this.#session.reply('commandUnknown');
      this.#goodbye('tooManyErrors');
      return chunk.length;
    }
    const found = this.#lines.next(chunk, at);
    if (found === undefined) return chunk.length;
    this.#greeted = true;
    this.#since = 0;
    const corked = this.#session.lineTaker === null && this.#isCorked(found.line);
    const pending = this.#line(found.line);
    if (pending === undefined) {
      this.#settle(corked);
      return found.end;
    }
    return pending.then(() => {
      this.#settle(corked);
      return found.end;
    });
  }

  #receive(chunk: Buffer, at: number): number | Promise<number> {
    const { receiver } = this.#session;
    const taken = receiver!.take(chunk, at);
    if (typeof taken === 'number') return taken;
    return taken.then((end) => {
      if (this.#session.receiver !== receiver) {
        this.#since = 0;
        this.#settle(false);
      }
      return end;
    });
  }

  #line(line: Line): void | Promise<void> {
    const session = this.#session;
    session.failed = false;
    try {
      const pending = session.lineTaker === null ? this.#dispatch(line) : session.lineTaker(line);
      return pending?.catch((thrown: unknown) => this.#failed(thrown));
    } catch (thrown) {
      this.#failed(thrown);
    }
  }

  #dispatch(line: Line): void | Promise<void> {
    const session = this.#session;
    if (++session.commands > session.env.config.commandsMax) return session.close('tooManyCommands');
    if (line.t === 'tooLong') return session.reply('lineTooLong');
    if (line.t === 'malformed') return session.reply('commandUnknown');
    const { verb, argument } = parseCommand(line.text);
    const step = this.#steps.get(verb);
    if (step === undefined) {
      session.reply('commandUnknown');
      if (HTTP_METHODS.has(verb)) session.close('tooManyErrors');
      return;
    }
    if (line.octets > (step.octetsMax ?? COMMAND_OCTETS_MAX)) return session.reply('lineTooLong');
    if (step.needsAuth === true && session.needsAuth) return session.reply('authenticationRequired');
    return step.run(session, argument);
  }

  #isCorked(line: Line): boolean {
    return line.t === 'line' && this.#steps.get(parseCommand(line.text).verb)?.corked === true;
  }

  /** After each command and message: counts errors, writes what can't wait, and ends what is to end. */
  #settle(corked: boolean): void {
    const session = this.#session;
    if (session.failed && ++this.#errors >= session.env.config.errorsMax) session.close('tooManyErrors');
    session.failed = false;
    if (session.closing) this.#hangUp();
    else if (!corked) this.#flush();
    this.#leave();
  }

  /** A message that is coming in may end, by DATA or by the rest of its chunks; nothing else may begin. */
  #leave(): void {
    const { receiver, transaction } = this.#session;
    if (this.#draining && receiver === null && (transaction?.incoming ?? null) === null) this.#goodbye('shuttingDown');
  }

  #failed(thrown: unknown): void {
    const session = this.#session;
    const error = asTrouble(thrown);
    session.env.log('command failed', { session: session.wire.session, reply: error.reply, stack: stackOf(error) });
    session.refuse(error.reply);
    // A bug of ours: the session's state can't be trusted any more.
    if (error instanceof Fault) session.closing = true;
  }

  async #startTls(): Promise<void> {
    const session = this.#session;
    session.startTls = false;
    session.forget();
    this.#flush();
    try {
      await session.wire.startTls();
    } catch (thrown) {
      session.env.log('TLS refused', { session: session.wire.session, error: String(thrown) });
      this.#hangUp();
    }
  }

  async #drained(): Promise<void> {
    this.#waiting = true;
    try {
      await this.#session.wire.drained();
      this.#unread = 0;
    } catch (thrown) {
      this.#session.env.log('connection lost', { session: this.#session.wire.session, error: String(thrown) });
      this.#close();
    } finally {
      this.#waiting = false;
    }
  }

  #underWay(): boolean {
    return this.#session.receiver !== null || this.#lines.pending > 0;
  }

  /** One byte a second keeps the idle time from passing, but not the time for the whole. */
  #isSlow(): boolean {
    if (this.#since === 0) return false;
    const { config } = this.#session.env;
    const limit = this.#session.receiver === null ? config.commandTimeoutMs : config.dataTotalTimeoutMs;
    return this.#session.env.now() - this.#since > limit || this.#lines.pending > SKIPPED_OCTETS_MAX;
  }

  #flush(): void {
    const replies = this.#session.takeReplies();
    if (replies === '' || this.#closed) return;
    this.#unread += replies.length;
    this.#session.wire.write(replies);
  }

  #goodbye(key: ReplyKey): void {
    if (this.#closed) return;
    this.#session.close(key);
    this.#hangUp();
  }

  #hangUp(): void {
    if (this.#closed) return;
    this.#flush();
    this.#session.wire.close();
    this.#close();
  }

  #close(): void {
    this.#closed = true;
    this.#input = [];
    this.#session.reset();
    this.#over.resolve();
  }
}

/** The engines of one listener. */
export function makeSmtpEngine(env: SmtpEnvironment, kind: SmtpKind): EngineFactory {
  const steps = stepTable(kind);
  return (wire: Wire) => new SmtpEngine(new SmtpSession(env, kind, wire), steps);
}
