/**
 * Load on a whole server that remembers what was promised: every message answered 250 or OK, and the mailbox that an
 * answered MOVE put it into. What was under way when the server died may or may not have happened, but not by half.
 */

import { createHash } from 'node:crypto';
import { LineClient } from '../support/line-client.ts';
import type { Login, Server } from '../support/server.ts';

/** One copy of a message, `account message-id`, and the mailbox where a MOVE that was answered left it. */
interface Promised {
  mailbox: string | undefined;
}

export interface Ledger {
  /** Copies that were answered 250 or OK. */
  readonly promised: Map<string, Promised>;
  /** Copies whose MOVE had no answer: either mailbox is right. */
  readonly undecided: Set<string>;
  /** Copies that were offered; the others were never heard of. */
  readonly offered: Set<string>;
}

export const newLedger = (): Ledger => ({ promised: new Map(), undecided: new Set(), offered: new Set() });
export const copyName = (account: string, messageId: string): string => `${account} ${messageId}`;

const SHARED_ATTACHMENT = createHash('sha512').update('attachment').digest('base64').repeat(600);

/** A body that its own header vouches for; some carry the same attachment, which is then stored once. */
export function loadMessage(messageId: string, random: () => number): string {
  const lines = Array.from({ length: 1 + Math.floor(random() * 30) }, () => `.${random()} ${'text '.repeat(10)}`);
  const attachment =
    random() < 0.2
      ? ['--b', 'Content-Type: application/pdf', 'Content-Transfer-Encoding: base64', '', ...wrapped(SHARED_ATTACHMENT)]
      : [];
  const body = ['--b', 'Content-Type: text/plain', '', ...lines, ...attachment, '--b--', ''].join('\r\n');
  return [
    'From: load@client.example',
    `Message-ID: ${messageId}`,
    `X-Check: ${createHash('sha256').update(body).digest('hex')}`,
    'MIME-Version: 1.0',
    'Content-Type: multipart/mixed; boundary=b',
    '',
    body,
  ].join('\r\n');
}

const wrapped = (text: string): string[] => text.match(/.{1,76}/g) ?? [];

/** Whether the body is the one that the header was written for. */
export function isWhole(message: Buffer): boolean {
  const end = message.indexOf('\r\n\r\n');
  const said = /\r\nX-Check: ([0-9a-f]{64})\r\n/.exec(message.subarray(0, end + 2).toString('latin1'))?.[1];
  return (
    said ===
    createHash('sha256')
      .update(message.subarray(end + 4))
      .digest('hex')
  );
}

export const stuffed = (message: string): string => message.replace(/^\./gm, '..');

interface LoadOptions {
  readonly server: Server;
  readonly accounts: readonly Login[];
  readonly ledger: Ledger;
  readonly random: () => number;
  /** Distinguishes this round's messages. */
  readonly round: number;
  /** Whether the server was killed meanwhile: only then may a connection end. */
  readonly killed: () => boolean;
}

type Worker = (options: LoadOptions, number: number) => Promise<void>;

const sendMail =
  (listener: 'smtp' | 'lmtp'): Worker =>
  async ({ server, accounts, ledger, random, round }, number) => {
    const client = await LineClient.open(server.ports[listener]!);
    await client.reply();
    await client.smtp(listener === 'smtp' ? 'EHLO client.example' : 'LHLO client.example');
    const recipients = (listener === 'smtp' ? accounts.slice(0, 1) : accounts).map(({ address }) => address);
    for (let i = 0; ; i++) {
      const id = `<${listener}-${round}-${number}-${i}@load.example>`;
      const copies = recipients.map((recipient) => copyName(recipient, id));
      for (const copy of copies) ledger.offered.add(copy);
      const rcpt = recipients.map((recipient) => `RCPT TO:<${recipient}>\r\n`).join('');
      await client.write(`MAIL FROM:<load@client.example>\r\n${rcpt}DATA\r\n`);
      for (let n = 0; n < recipients.length + 1; n++) expect(await client.reply(), /^250 /);
      expect(await client.reply(), /^354 /);
      await client.write(`${stuffed(loadMessage(id, random))}.\r\n`);
      for (const copy of listener === 'smtp' ? copies.slice(0, 1) : copies) {
        expect(await client.reply(), /^250 /);
        ledger.promised.set(copy, { mailbox: undefined });
      }
    }
  };

async function openImap(server: Server, login: Login): Promise<LineClient> {
  const client = await LineClient.open(server.ports.imaps!, { tls: true });
  await client.line();
  expect((await client.imap(`LOGIN ${login.address} ${login.password}`)).at(-1)!, /^x OK/);
  return client;
}

const append: Worker = async ({ server, accounts, ledger, random, round }, number) => {
  const [{ address }, login] = [accounts[1]!, accounts[1]!];
  const client = await openImap(server, login);
  for (let i = 0; ; i++) {
    const id = `<append-${round}-${number}-${i}@load.example>`;
    const copy = copyName(address, id);
    const message = loadMessage(id, random);
    ledger.offered.add(copy);
    await client.write(`x APPEND Archive (\\Seen) {${message.length}}\r\n`);
    expect((await client.line()) ?? gone(), /^\+/);
    await client.write(`${message}\r\n`);
    expect((await client.until(/^x /)).at(-1)!, /^x OK \[APPENDUID/);
    ledger.promised.set(copy, { mailbox: 'Archive' });
  }
};

/** Moves what arrives in the first account's inbox, one by one, to mailboxes in turn. */
const move: Worker = async ({ server, accounts, ledger, random }) => {
  const login = accounts[0]!;
  const client = await openImap(server, login);
  await client.imap('SELECT INBOX');
  for (;;) {
    const lines = await client.imap('UID FETCH 1:* (UID ENVELOPE)');
    expect(lines.at(-1)!, /^x OK/);
    const found = lines.flatMap((line) => {
      const match = /UID (\d+).*"(<[^>"]*@load\.example>)"/.exec(line);
      return match === null ? [] : [{ uid: match[1]!, id: match[2]! }];
    });
    for (const { uid, id } of found.slice(0, 20)) {
      const to = ['Archive', 'Junk', 'Trash'][Math.floor(random() * 3)]!;
      const copy = copyName(login.address, id);
      ledger.undecided.add(copy);
      expect((await client.imap(`UID MOVE ${uid} ${to}`)).at(-1)!, /^x OK/);
      ledger.undecided.delete(copy);
      // The copy is there, so it was accepted, even if the server died before it could say so.
      ledger.promised.set(copy, { mailbox: to });
    }
    if (found.length === 0) await idle(client);
  }
};

async function idle(client: LineClient): Promise<void> {
  await client.write('x IDLE\r\n');
  await client.until(/ EXISTS$/);
  await client.write('DONE\r\n');
  await client.until(/^x /);
}

function gone(): never {
  throw new Error('the connection ended');
}

function expect(line: string, pattern: RegExp): void {
  if (!pattern.test(line)) throw new Error(`not ${pattern}: ${line}`);
}

const WORKERS: readonly Worker[] = [
  sendMail('smtp'),
  sendMail('smtp'),
  sendMail('lmtp'),
  sendMail('lmtp'),
  append,
  move,
];

/** Works until the server is gone. Rejects when anything goes wrong before that. */
export async function load(options: LoadOptions): Promise<void> {
  await Promise.all(
    WORKERS.map((worker, number) =>
      worker(options, number).catch((error: Error) => {
        if (!options.killed()) throw error;
      }),
    ),
  );
}
