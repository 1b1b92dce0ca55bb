/**
 * The reading side of IMAP: commands one at a time. Of an answer only its end is looked at, unless the caller wants the
 * whole text, so that the client costs little beside the server it measures.
 */

import { Connection, type Consumer } from './connection.ts';

/** A tagged line is never longer. */
const TAIL_BYTES = 2048;

export interface Answer {
  readonly bytes: number;
  /** The tagged line. */
  readonly line: string;
}

export class ImapClient {
  readonly #connection: Connection;
  #commands = 0;

  private constructor(connection: Connection) {
    this.#connection = connection;
  }

  static async open(port: number, login: { readonly address: string; readonly password: string }): Promise<ImapClient> {
    const connection = await Connection.open(port);
    await connection.receive((chunk) => chunk.at(-1) === 10);
    const client = new ImapClient(connection);
    await client.run(`LOGIN "${login.address}" "${login.password}"`);
    return client;
  }

  run(command: string, watch?: (chunk: Buffer) => void): Promise<Answer> {
    const tag = this.#tag();
    this.#connection.write(`${tag} ${command}\r\n`);
    return this.#tagged(tag, watch);
  }

  /** Like `run`, with all that the server sent. */
  async text(command: string): Promise<string> {
    const chunks: Buffer[] = [];
    await this.run(command, (chunk) => chunks.push(chunk));
    return Buffer.concat(chunks).toString('latin1');
  }

  async count(mailbox: string): Promise<number> {
    const text = await this.text(`STATUS "${mailbox}" (MESSAGES)`);
    return Number(/MESSAGES (\d+)/.exec(text)?.[1]);
  }

  /** APPEND with literals that are not waited for (RFC 7888); several messages are a MULTIAPPEND (RFC 3502). */
  append(mailbox: string, ...messages: readonly Buffer[]): Promise<Answer> {
    const tag = this.#tag();
    const pieces = messages.flatMap((message) => [` {${message.length}+}\r\n`, message]);
    this.#connection.writeAll([`${tag} APPEND "${mailbox}"`, ...pieces, '\r\n']);
    return this.#tagged(tag);
  }

  /** Begins IDLE. `exists` resolves with the next EXISTS that the server tells. */
  async idle(): Promise<{ exists(): Promise<void>; done(): Promise<void> }> {
    const tag = this.#tag();
    this.#connection.write(`${tag} IDLE\r\n`);
    await this.#connection.receive((chunk) => /(^|\n)\+[^\n]*\r\n$/.test(chunk.toString('latin1')));
    return {
      exists: () => {
        let text = '';
        return this.#connection.receive((chunk) => {
          text += chunk.toString('latin1');
          return / EXISTS\r\n/.test(text);
        });
      },
      done: async () => {
        this.#connection.write('DONE\r\n');
        await this.#tagged(tag);
      },
    };
  }

  close(): void {
    this.#connection.close();
  }

  #tag(): string {
    return `q${++this.#commands}`;
  }

  async #tagged(tag: string, watch?: (chunk: Buffer) => void): Promise<Answer> {
    let bytes = 0;
    let tail: Buffer = Buffer.alloc(0);
    let line = '';
    const start = `${tag} `;
    const consumer: Consumer = (chunk) => {
      bytes += chunk.length;
      watch?.(chunk);
      tail =
        chunk.length >= TAIL_BYTES ? chunk.subarray(-TAIL_BYTES) : Buffer.concat([tail, chunk]).subarray(-TAIL_BYTES);
      if (tail.at(-1) !== 10) return false;
      const from = tail.length < 3 ? 0 : tail.lastIndexOf(10, tail.length - 2) + 1;
      line = tail.toString('latin1', from, tail.length - 2);
      return line.startsWith(start);
    };
    await this.#connection.receive(consumer);
    if (!line.startsWith(`${tag} OK`)) throw new Error(`the server answered: ${line}`);
    return { bytes, line };
  }
}
