/**
 * One connection: reads command lines, runs them strictly in order and answers. All errors of a command end here: a
 * MailError is -ERR, and a Fault is logged and costs this connection, never the process. Only QUIT deletes: however else
 * a session ends, its maildrop stays as it was (RFC 1939 §6).
 */

import { asMailError, ClientError, Fault } from '../mail/errors.ts';
import type { ReplyKey } from '../mail/reply.ts';
import type { Engine, EngineFactory, Wire } from '../mail/wire.ts';
import { COMMAND_OCTETS_MAX, type CommandSpec } from './command.ts';
import { COMMANDS } from './command-table.ts';
import { AUTH_OCTETS_MAX } from './commands/auth.ts';
import type { Pop3Environment } from './environment.ts';
import { type Line, LineReader } from './line-reader.ts';
import { Pop3Session } from './session.ts';
import { ConnectionLost } from './writer.ts';

/** Commands in a row that say the client talks nonsense, or guesses. */
const ERRORS_IN_A_ROW_MAX = 20;
const COUNTED: ReadonlySet<ReplyKey> = new Set<ReplyKey>([
  'commandUnknown',
  'syntaxError',
  'badSequence',
  'lineTooLong',
  'authenticationFailed',
  'authenticationMalformed',
  'authenticationCancelled',
  'authenticationDelayed',
  'authenticationLineTooLong',
  'mechanismUnknown',
  'encryptionRequired',
]);

export const makePop3Engine =
  (env: Pop3Environment): EngineFactory =>
  (wire) =>
    new Pop3Engine(env, wire);

class Pop3Engine implements Engine {
  readonly #session: Pop3Session;
  readonly #lines = new LineReader(AUTH_OCTETS_MAX);
  readonly #startedAt: number;
  readonly #over = Promise.withResolvers<void>();
  #running: Promise<void> | null = null;
  #errorsInARow = 0;
  #draining = false;
  #closed = false;

  constructor(env: Pop3Environment, wire: Wire) {
    this.#session = new Pop3Session(env, wire);
    this.#startedAt = env.now();
  }

  get idleTimeoutMs(): number {
    const { config, now } = this.#session.env;
    if (this.#session.state === 'transaction') return config.idleTimeoutMs;
    // Before login the time counts from the start, so that a byte now and then keeps no connection open.
    return Math.min(config.loginTimeoutMs, Math.max(1, this.#startedAt + config.loginTimeoutMs - now()));
  }

  start(): void {
    // Without a timestamp in angle brackets: APOP is not offered (RFC 1939 §7).
    this.#session.ok(`${this.#session.env.config.hostname} Mailmesh POP3 ready`);
    this.#session.out.handOver();
  }

  feed(bytes: Uint8Array): void | Promise<void> {
    if (this.#closed) return undefined;
    this.#lines.push(bytes);
    if (this.#running !== null) return this.#running;
    const running = this.#run().then(() => {
      this.#running = null;
      if (this.#closed) this.#session.leave();
    });
    this.#running = running;
    return running;
  }

  end(): void {
    this.#close();
  }

  expire(): void {
    // RFC 1939 §3: neither a response nor any deletion. While a command runs it is not the client that is waited for.
    if (this.#running === null || this.#session.out.waiting) this.#close();
  }

  drain(): Promise<void> {
    this.#draining = true;
    if (this.#running === null) this.#goodbye('shuttingDown');
    return this.#over.promise;
  }

  async #run(): Promise<void> {
    const { out } = this.#session;
    try {
      while (!this.#closed) {
        if (this.#draining) this.#goodbye('shuttingDown');
        const line = this.#lines.next();
        if (line !== null) {
          await this.#line(line);
          if (this.#session.closing) this.#hangUp();
          else if (this.#session.startTls) await this.#startTls();
        }
        if (out.needsFlush) await out.flush();
        else if (line === null) break;
      }
      if (!this.#closed) out.handOver();
    } catch (thrown) {
      if (!(thrown instanceof ConnectionLost)) this.#log(thrown);
      this.#close();
    }
  }

  async #line(line: Line): Promise<void> {
    const session = this.#session;
    try {
      if (line.t === 'endless') {
        session.refuse('lineTooLong');
        session.closing = true;
      } else if (session.lineTaker !== null) {
        await session.lineTaker(line);
      } else {
        await this.#command(line);
      }
      this.#errorsInARow = 0;
    } catch (thrown) {
      this.#fail(thrown);
    }
  }

  #command(line: Line): void | Promise<void> {
    const session = this.#session;
    const { userGiven } = session;
    session.userGiven = null;
    if (line.t !== 'line') throw new ClientError(line.t === 'tooLong' ? 'lineTooLong' : 'commandUnknown');
    const space = line.text.indexOf(' ');
    const name = space < 0 ? line.text.trimEnd() : line.text.slice(0, space);
    const command = COMMANDS.get(name.toUpperCase());
    if (command === undefined) throw new ClientError('commandUnknown');
    if (line.octets > (command.octetsMax ?? COMMAND_OCTETS_MAX)) throw new ClientError('lineTooLong');
    if (!command.states.includes(session.state)) throw new ClientError('badSequence');
    const argument = argumentOf(command, space < 0 ? '' : line.text.slice(space + 1));
    // RFC 1939 §7: PASS stands right behind a USER that was taken.
    if (command.name === 'PASS') session.userGiven = userGiven;
    return command.run(session, argument);
  }

  #fail(thrown: unknown): void {
    if (thrown instanceof ConnectionLost) throw thrown;
    const session = this.#session;
    session.lineTaker = null;
    const error = asMailError(thrown);
    session.refuse(error.reply);
    if (error instanceof Fault) {
      this.#log(thrown);
      session.closing = true;
      return;
    }
    session.log('pop3.refused', { ...error.facts, reply: error.reply });
    if (!COUNTED.has(error.reply)) this.#errorsInARow = 0;
    else if (++this.#errorsInARow >= ERRORS_IN_A_ROW_MAX) {
      session.refuse('tooManyErrors');
      session.closing = true;
    }
  }

  #log(thrown: unknown): void {
    const error = asMailError(thrown);
    const cause = error.cause instanceof Error ? error.cause : error;
    this.#session.log('pop3.fault', { ...error.facts, error: error.message, stack: cause.stack });
  }

  async #startTls(): Promise<void> {
    const session = this.#session;
    session.startTls = false;
    session.out.handOver();
    // RFC 2595 §4: nothing that came in plaintext behind the command is looked at.
    this.#lines.reset();
    try {
      await session.wire.startTls();
    } catch {
      throw new ConnectionLost();
    }
  }

  #goodbye(key: ReplyKey): void {
    if (this.#closed) return;
    this.#session.refuse(key);
    this.#hangUp();
  }

  #hangUp(): void {
    this.#session.out.handOver();
    this.#close();
  }

  #close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#lines.reset();
    this.#session.wire.close();
    // A command that runs may still need its maildrop, and its lock.
    if (this.#running === null) this.#session.leave();
    this.#over.resolve();
  }
}

/** What stands behind the command's name; throws where the command wants something else. */
function argumentOf(command: CommandSpec, text: string): string {
  const argument = command.verbatim === true ? text : text.trimEnd();
  if (command.argument === 'none' ? argument !== '' : command.argument === 'required' && argument === '') {
    throw new ClientError('syntaxError');
  }
  return argument;
}
