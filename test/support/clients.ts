/**
 * Finished clients that nobody of this project wrote, connected to a server under test: imapflow for reading, nodemailer
 * for sending. Waits end by IDLE or have a deadline that names what was waited for.
 */

import { ImapFlow } from 'imapflow';
import { createTransport, type Transporter } from 'nodemailer';
import type { Login, Server } from './server.ts';

const DEADLINE_MS = 30_000;
const ASK_MS = 50;

/** Asks until the answer is not undefined. For what no event of a client tells. */
export async function eventually<T>(
  what: string,
  ask: () => Promise<T | undefined> | T | undefined,
  deadlineMs = DEADLINE_MS,
): Promise<T> {
  const deadline = performance.now() + deadlineMs;
  for (;;) {
    const answer = await ask();
    if (answer !== undefined) return answer;
    if (performance.now() > deadline) throw new Error(`no ${what} within ${deadlineMs} ms`);
    await new Promise((resolve) => setTimeout(resolve, ASK_MS));
  }
}

export async function imapClient(
  server: Server,
  login: Login,
  options: { readonly plain?: boolean } = {},
): Promise<ImapFlow> {
  const secure = options.plain !== true;
  const client = new ImapFlow({
    host: '127.0.0.1',
    port: server.ports[secure ? 'imaps' : 'imap']!,
    secure,
    auth: { user: login.address, pass: login.password },
    tls: { rejectUnauthorized: false },
    logger: false,
  });
  // Errors after connecting reject the command at work as well; without a listener they would end the process.
  client.on('error', () => undefined);
  await client.connect();
  return client;
}

export async function withImap<T>(server: Server, login: Login, body: (client: ImapFlow) => Promise<T>): Promise<T> {
  const client = await imapClient(server, login);
  try {
    return await body(client);
  } finally {
    client.close();
  }
}

/** Message-IDs in a mailbox, by uid. */
export async function messageIds(client: ImapFlow, mailbox: string): Promise<Map<number, string>> {
  const found = new Map<number, string>();
  const lock = await client.getMailboxLock(mailbox);
  try {
    await client.noop();
    if (client.mailbox === false || client.mailbox.exists === 0) return found;
    for await (const message of client.fetch('1:*', { uid: true, envelope: true }))
      found.set(message.uid, message.envelope?.messageId ?? '');
  } finally {
    lock.release();
  }
  return found;
}

/** The uid of a Message-ID's message, once it is there. */
export function arrived(client: ImapFlow, mailbox: string, messageId: string): Promise<number> {
  return eventually(`${messageId} in ${mailbox}`, async () => {
    const lock = await client.getMailboxLock(mailbox);
    try {
      await client.noop();
      const uids = await client.search({ header: { 'Message-ID': messageId } }, { uid: true });
      return uids === undefined || uids === false ? undefined : uids[0];
    } finally {
      lock.release();
    }
  });
}

/** A message's bytes. */
export async function fetchSource(client: ImapFlow, mailbox: string, uid: number): Promise<Buffer> {
  const lock = await client.getMailboxLock(mailbox);
  try {
    const message = await client.fetchOne(String(uid), { source: true }, { uid: true });
    if (message === false || message.source === undefined) throw new Error(`no message ${uid} in ${mailbox}`);
    return message.source;
  } finally {
    lock.release();
  }
}

/** Sends to a listener: `smtp` without login, `submission` with STARTTLS, `submissions` over TLS. */
export function sender(
  server: Server,
  listener: 'smtp' | 'submission' | 'submissions',
  login?: Login,
  method?: 'PLAIN' | 'LOGIN',
): Transporter {
  return createTransport({
    host: '127.0.0.1',
    port: server.ports[listener]!,
    secure: listener === 'submissions',
    requireTLS: listener === 'submission',
    tls: { rejectUnauthorized: false },
    name: 'client.example',
    ...(login === undefined
      ? {}
      : {
          auth: { user: login.address, pass: login.password },
          ...(method === undefined ? {} : { authMethod: method }),
        }),
  });
}
