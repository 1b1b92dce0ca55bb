/** The reading side of POP3: commands one at a time, of whose answers only the ends are looked at. */

import { Connection } from './connection.ts';

const END = Buffer.from('\r\n.\r\n');

export class Pop3Client {
  readonly #connection: Connection;

  private constructor(connection: Connection) {
    this.#connection = connection;
  }

  static async open(port: number, login: { readonly address: string; readonly password: string }): Promise<Pop3Client> {
    const client = new Pop3Client(await Connection.open(port));
    await client.#line();
    await client.line(`USER ${login.address}`);
    await client.line(`PASS ${login.password}`);
    return client;
  }

  line(command: string): Promise<string> {
    this.#connection.write(`${command}\r\n`);
    return this.#line();
  }

  /** The bytes of a multi-line answer. */
  async retrieve(number: number): Promise<number> {
    this.#connection.write(`RETR ${number}\r\n`);
    let bytes = 0;
    let refused = false;
    let tail: Buffer = Buffer.alloc(0);
    await this.#connection.receive((chunk) => {
      if (bytes === 0) refused = chunk[0] !== 0x2b;
      bytes += chunk.length;
      tail =
        chunk.length >= END.length ? chunk.subarray(-END.length) : Buffer.concat([tail, chunk]).subarray(-END.length);
      return refused ? tail.at(-1) === 10 : tail.equals(END);
    });
    if (refused) throw new Error(`the server refused RETR ${number}`);
    return bytes;
  }

  async quit(): Promise<void> {
    await this.line('QUIT');
    this.#connection.close();
  }

  async #line(): Promise<string> {
    let text = '';
    await this.#connection.receive((chunk) => {
      text += chunk.toString('latin1');
      return text.endsWith('\r\n');
    });
    if (!text.startsWith('+OK')) throw new Error(`the server answered: ${text.trim()}`);
    return text;
  }
}
