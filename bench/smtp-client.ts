/** The sending side of SMTP and LMTP: one message after the other on a connection that is kept, with PIPELINING. */

import { Connection } from './connection.ts';

const END_OF_DATA = '.\r\n';

export class SmtpClient {
  readonly #connection: Connection;
  #rest = '';

  private constructor(connection: Connection) {
    this.#connection = connection;
  }

  static async open(port: number, protocol: 'smtp' | 'lmtp'): Promise<SmtpClient> {
    const client = new SmtpClient(await Connection.open(port));
    await client.#expect(['220']);
    client.#connection.write(`${protocol === 'lmtp' ? 'LHLO' : 'EHLO'} bench.example\r\n`);
    await client.#expect(['250']);
    return client;
  }

  /** Resolves when the message is answered 250. The message ends with CRLF and no line of it begins with a dot. */
  async send(from: string, to: string, message: Buffer): Promise<void> {
    this.#connection.write(`MAIL FROM:<${from}>\r\nRCPT TO:<${to}>\r\nDATA\r\n`);
    await this.#expect(['250', '250', '354']);
    this.#connection.writeAll([message, END_OF_DATA]);
    await this.#expect(['250']);
  }

  close(): void {
    this.#connection.write('QUIT\r\n');
    this.#connection.close();
  }

  async #expect(codes: readonly string[]): Promise<void> {
    let at = 0;
    let wrong: string | undefined;
    await this.#connection.receive((chunk) => {
      this.#rest += chunk.toString('latin1');
      for (let end = this.#rest.indexOf('\n'); end >= 0 && at < codes.length; end = this.#rest.indexOf('\n')) {
        const line = this.#rest.slice(0, end);
        this.#rest = this.#rest.slice(end + 1);
        // RFC 5321 §4.2.1: a hyphen behind the code says that the reply goes on.
        if (line[3] === '-') continue;
        if (!line.startsWith(codes[at]!)) wrong ??= line;
        at++;
      }
      return at === codes.length;
    });
    if (wrong !== undefined) throw new Error(`the server answered: ${wrong}`);
  }
}
