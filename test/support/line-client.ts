/**
 * A client that speaks a line protocol by hand, for what finished clients refuse to send. Every wait has a deadline that
 * names what was waited for and what had come until then.
 */

import { once } from 'node:events';
import { connect as connectPlain, type Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';

const DEADLINE_MS = 30_000;
const SHOWN_BYTES = 600;

export class LineClient {
  readonly socket: Socket;
  #buffered = '';
  #ended = false;
  #wake: (() => void) | undefined;

  private constructor(socket: Socket) {
    this.socket = socket;
    socket.setEncoding('latin1');
    socket.on('data', (piece: string) => {
      this.#buffered += piece;
      this.#wake?.();
    });
    // Servers may cut a connection; tests look at what was said before.
    socket.on('error', () => this.#end());
    socket.on('close', () => this.#end());
    socket.on('end', () => this.#end());
  }

  static async open(port: number, options: { readonly tls?: boolean } = {}): Promise<LineClient> {
    const address = { host: '127.0.0.1', port };
    const socket = options.tls === true ? connectTls({ ...address, rejectUnauthorized: false }) : connectPlain(address);
    const client = new LineClient(socket);
    await once(socket, options.tls === true ? 'secureConnect' : 'connect');
    return client;
  }

  get ended(): boolean {
    return this.#ended;
  }

  /** What has come and was not read yet. */
  get buffered(): string {
    return this.#buffered;
  }

  /** So many bytes, whatever they are. */
  async bytes(count: number, deadlineMs = DEADLINE_MS): Promise<Buffer> {
    await this.#until(() => this.#buffered.length >= count, `${count} bytes`, deadlineMs);
    const bytes = Buffer.from(this.#buffered.slice(0, count), 'latin1');
    this.#buffered = this.#buffered.slice(count);
    return bytes;
  }

  /** Latin-1: a character is a byte. Resolves when the socket may take more. */
  async write(bytes: string | Uint8Array): Promise<void> {
    const taken = typeof bytes === 'string' ? this.socket.write(bytes, 'latin1') : this.socket.write(bytes);
    if (taken || this.#ended) return;
    const given = new AbortController();
    const { signal } = given;
    try {
      await Promise.race([once(this.socket, 'drain', { signal }), once(this.socket, 'close', { signal })]);
    } catch {
      // The connection broke: `ended` says so, and what came before can still be read.
    } finally {
      given.abort();
    }
  }

  /** The next line without its CRLF; undefined when the connection has ended before it. */
  async line(what = 'a line', deadlineMs = DEADLINE_MS): Promise<string | undefined> {
    await this.#until(() => this.#buffered.includes('\n'), what, deadlineMs);
    const end = this.#buffered.indexOf('\n');
    if (end < 0) return undefined;
    const line = this.#buffered.slice(0, end).replace(/\r$/, '');
    this.#buffered = this.#buffered.slice(end + 1);
    return line;
  }

  /** All lines up to and with the first that matches. Throws when the connection ends before. */
  async until(pattern: RegExp, deadlineMs = DEADLINE_MS): Promise<string[]> {
    const lines: string[] = [];
    for (;;) {
      const line = await this.line(`a line like ${pattern}`, deadlineMs);
      if (line === undefined)
        throw new Error(`the connection ended before a line like ${pattern}; there were ${JSON.stringify(lines)}`);
      lines.push(line);
      if (pattern.test(line)) return lines;
    }
  }

  /** One SMTP or LMTP reply, its lines joined by line feeds. */
  async reply(deadlineMs = DEADLINE_MS): Promise<string> {
    return (await this.until(/^\d{3}( |$)/, deadlineMs)).join('\n');
  }

  /** Sends one SMTP command and gives the reply. */
  async smtp(command: string): Promise<string> {
    await this.write(`${command}\r\n`);
    return this.reply();
  }

  /** Sends one IMAP command and gives all lines up to its tagged response. */
  async imap(command: string, deadlineMs = DEADLINE_MS): Promise<string[]> {
    await this.write(`x ${command}\r\n`);
    return this.until(/^x /, deadlineMs);
  }

  /** Waits until the server has closed the connection; what it said before is in `buffered`. */
  async closed(deadlineMs = DEADLINE_MS): Promise<void> {
    await this.#until(() => false, 'the end of the connection', deadlineMs);
  }

  close(): void {
    this.socket.destroy();
  }

  #end(): void {
    this.#ended = true;
    this.#wake?.();
  }

  /** Returns when the condition holds or the connection has ended. */
  async #until(holds: () => boolean, what: string, deadlineMs: number): Promise<void> {
    const deadline = performance.now() + deadlineMs;
    while (!holds() && !this.#ended) {
      const left = deadline - performance.now();
      if (left <= 0) {
        const shown = JSON.stringify(this.#buffered.slice(-SHOWN_BYTES));
        throw new Error(`no ${what} within ${deadlineMs} ms; there is ${shown}`);
      }
      let timer: NodeJS.Timeout | undefined;
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
        timer = setTimeout(resolve, left);
      });
      clearTimeout(timer);
      this.#wake = undefined;
    }
  }
}
