/**
 * Clients of the load, one protocol conversation each: a session is opened at a node and does one thing at a time, each
 * written into the ledger. How a thing failed is told by the error: refused for now, ended, not answered; or wrong, which
 * no fault excuses.
 */

import { loadMessage, stuffed } from '../../crash/server-load.ts';
import { LineClient } from '../../support/line-client.ts';
import type { Login, Server } from '../../support/server.ts';
import { copyName, type Ledger } from './ledger.ts';

/**
 * `closed`: nobody takes the connection. `refused`: 4xx or NO with a reason that passes. `ended`: with a farewell. `cut`:
 * without one. `silent`: no answer.
 */
type FailureKind = 'closed' | 'refused' | 'ended' | 'cut' | 'silent' | 'wrong';

export class Failure extends Error {
  readonly kind: FailureKind;

  constructor(kind: FailureKind, message: string) {
    super(message);
    this.kind = kind;
  }
}

export interface Session {
  /** Does one thing. Rejects with Failure; the session is then of no use any more. */
  step(): Promise<void>;
  close(): void;
}

export interface SessionOptions {
  readonly server: Server;
  readonly accounts: readonly Login[];
  readonly ledger: Ledger;
  readonly random: () => number;
  /** Part of every name that this session gives. */
  readonly tag: string;
  readonly answerMsMax: number;
}

export type SessionKind = 'smtp' | 'lmtp' | 'append' | 'move' | 'store' | 'idle';

const KEYWORDS = 12;
const IDLE_MS = 1_000;
const MOVES_AT_ONCE = 2;
const FLAGGED = 'Drafts';

/** A line client whose waits and ends are Failures. */
class Dialogue {
  readonly #client: LineClient;
  readonly #answerMsMax: number;

  private constructor(client: LineClient, answerMsMax: number) {
    this.#client = client;
    this.#answerMsMax = answerMsMax;
  }

  static async open(port: number | undefined, answerMsMax: number): Promise<Dialogue> {
    try {
      return new Dialogue(await LineClient.open(port!), answerMsMax);
    } catch (error) {
      throw new Failure('closed', (error as Error).message);
    }
  }

  close(): void {
    this.#client.close();
  }

  write(text: string): Promise<void> {
    return this.#client.write(text);
  }

  async line(within = this.#answerMsMax): Promise<string> {
    let line: string | undefined;
    try {
      line = await this.#client.line('a line', within);
    } catch (error) {
      throw new Failure('silent', (error as Error).message);
    }
    if (line === undefined) throw new Failure('cut', 'the connection ended');
    if (/^(421[ -]|\* BYE)/.test(line)) throw new Failure('ended', line);
    return line;
  }

  /** The next line if it comes in time. */
  async hears(within: number): Promise<string | undefined> {
    try {
      return await this.line(within);
    } catch (error) {
      if (error instanceof Failure && error.kind === 'silent') return undefined;
      throw error;
    }
  }

  /** An SMTP or LMTP reply that must begin so. */
  async reply(wanted: RegExp): Promise<string> {
    let line = await this.line();
    while (/^\d{3}-/.test(line)) line = await this.line();
    if (wanted.test(line)) return line;
    throw new Failure(/^4\d\d /.test(line) ? 'refused' : 'wrong', line);
  }

  /** Lines up to the tagged response, which must be OK. */
  async ok(command: string): Promise<readonly string[]> {
    await this.write(`x ${command}\r\n`);
    return this.tagged(command);
  }

  async tagged(command: string): Promise<readonly string[]> {
    const lines: string[] = [];
    for (;;) {
      const line = await this.line();
      lines.push(line);
      if (/^x OK( |$)/.test(line)) return lines;
      if (/^x /.test(line)) throw refusal(command, line);
    }
  }
}

/** RFC 5530 §3: what passes by itself. */
const refusal = (command: string, line: string): Failure =>
  new Failure(/^x NO \[(UNAVAILABLE|INUSE)\]/.test(line) ? 'refused' : 'wrong', `${command}: ${line}`);

/** Opens an inner session; one that fails half-way is closed. */
async function opened<T>(dialogue: Dialogue, body: () => Promise<T>): Promise<T> {
  try {
    return await body();
  } catch (error) {
    dialogue.close();
    throw error;
  }
}

async function sender(listener: 'smtp' | 'lmtp', options: SessionOptions): Promise<Session> {
  const { server, accounts, ledger, random, tag, answerMsMax } = options;
  const dialogue = await Dialogue.open(server.ports[listener], answerMsMax);
  await opened(dialogue, async () => {
    await dialogue.reply(/^220 /);
    await dialogue.write(listener === 'smtp' ? 'EHLO client.example\r\n' : 'LHLO client.example\r\n');
    await dialogue.reply(/^250 /);
  });
  let count = 0;
  return {
    async step() {
      const first = Math.floor(random() * accounts.length);
      const recipients =
        listener === 'smtp' ? [accounts[first]!] : [accounts[first]!, accounts[(first + 1) % accounts.length]!];
      const id = `<${listener}-${tag}-${count++}@load.example>`;
      await dialogue.write('MAIL FROM:<load@client.example>\r\n');
      await dialogue.reply(/^250 /);
      for (const { address } of recipients) {
        await dialogue.write(`RCPT TO:<${address}>\r\n`);
        await dialogue.reply(/^250 /);
      }
      await dialogue.write('DATA\r\n');
      await dialogue.reply(/^354 /);
      const copies = recipients.map(({ address }) => copyName(address, id));
      for (const copy of copies) ledger.offered.add(copy);
      await dialogue.write(`${stuffed(loadMessage(id, random))}.\r\n`);
      for (const copy of copies) {
        await dialogue.reply(/^250 /);
        ledger.promised.set(copy, undefined);
      }
    },
    close: () => dialogue.close(),
  };
}

async function imap({ server, answerMsMax }: SessionOptions, login: Login, mailbox?: string): Promise<Dialogue> {
  const dialogue = await Dialogue.open(server.ports.imap, answerMsMax);
  return opened(dialogue, async () => {
    await dialogue.line();
    await dialogue.ok(`LOGIN ${login.address} "${login.password}"`);
    if (mailbox !== undefined) await dialogue.ok(`SELECT ${mailbox}`);
    return dialogue;
  });
}

async function append(dialogue: Dialogue, mailbox: string, message: string, flags = ''): Promise<void> {
  await dialogue.write(`x APPEND ${mailbox} (${flags}) {${message.length}}\r\n`);
  const line = await dialogue.line();
  if (!line.startsWith('+')) throw refusal('APPEND', line);
  await dialogue.write(`${message}\r\n`);
  await dialogue.tagged('APPEND');
}

async function appender(options: SessionOptions, login: Login): Promise<Session> {
  const { ledger, random, tag } = options;
  const dialogue = await imap(options, login);
  let count = 0;
  return {
    async step() {
      const id = `<append-${tag}-${count++}@load.example>`;
      const copy = copyName(login.address, id);
      ledger.offered.add(copy);
      await append(dialogue, 'Archive', loadMessage(id, random), '\\Seen');
      ledger.promised.set(copy, 'Archive');
    },
    close: () => dialogue.close(),
  };
}

/** Moves what has arrived in the inbox to other mailboxes. */
async function mover(options: SessionOptions, login: Login): Promise<Session> {
  const { ledger, random } = options;
  const dialogue = await imap(options, login, 'INBOX');
  return {
    async step() {
      const lines = await dialogue.ok('UID FETCH 1:* (UID ENVELOPE)');
      const found = lines.flatMap((line) => {
        const match = /UID (\d+).*"(<[^>"]*@load\.example>)"/.exec(line);
        return match === null ? [] : [{ uid: match[1]!, id: match[2]! }];
      });
      for (const { uid, id } of found.slice(0, MOVES_AT_ONCE)) {
        const to = ['Archive', 'Junk', 'Trash'][Math.floor(random() * 3)]!;
        const copy = copyName(login.address, id);
        ledger.undecided.add(copy);
        const moved = await dialogue.ok(`UID MOVE ${uid} ${to}`);
        // Nothing was there to be moved: the answer to an earlier MOVE was lost, or it has taken effect only now.
        if (!moved.some((line) => line.includes('COPYUID'))) continue;
        ledger.undecided.delete(copy);
        ledger.promised.set(copy, to);
      }
    },
    close: () => dialogue.close(),
  };
}

/** Sets a keyword of one message again and again: the account's heartbeat. */
async function storer(options: SessionOptions, login: Login): Promise<Session> {
  const { ledger, random } = options;
  const dialogue = await imap(options, login, FLAGGED);
  const flags = ledger.flagsOf(login);
  return {
    async step() {
      const keyword = `v${Math.floor(random() * KEYWORDS)}`;
      flags.open.add(keyword);
      await dialogue.ok(`UID STORE 1 FLAGS.SILENT (${keyword})`);
      flags.said = keyword;
      flags.open.delete(keyword);
      for (const other of flags.open) flags.late.add(other);
      flags.open.clear();
    },
    close: () => dialogue.close(),
  };
}

async function idler(options: SessionOptions, login: Login): Promise<Session> {
  const dialogue = await imap(options, login, 'INBOX');
  return {
    async step() {
      await dialogue.write('x IDLE\r\n');
      for (let line = await dialogue.line(); !line.startsWith('+'); line = await dialogue.line())
        if (line.startsWith('x ')) throw refusal('IDLE', line);
      const heard = await dialogue.hears(IDLE_MS);
      if (heard?.startsWith('x ')) throw refusal('IDLE', heard);
      await dialogue.write('DONE\r\n');
      await dialogue.tagged('IDLE');
    },
    close: () => dialogue.close(),
  };
}

/** @param number chooses the account of those that have one */
export function openSession(kind: SessionKind, number: number, options: SessionOptions): Promise<Session> {
  const login = options.accounts[number % options.accounts.length]!;
  switch (kind) {
    case 'smtp':
    case 'lmtp':
      return sender(kind, options);
    case 'append':
      return appender(options, login);
    case 'move':
      return mover(options, login);
    case 'store':
      return storer(options, login);
    case 'idle':
      return idler(options, login);
  }
}

/** The message whose keywords the load sets. */
export async function makeFlagged(options: SessionOptions): Promise<void> {
  for (const login of options.accounts) {
    const dialogue = await imap(options, login);
    await append(dialogue, FLAGGED, `Message-ID: <flagged@${login.address}>\r\n\r\n`);
    dialogue.close();
  }
}
