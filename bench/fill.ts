/** Mailboxes filled to a number of messages, however fast the system can: APPEND on several connections, then COPY. */

import { ImapClient } from './imap-client.ts';
import type { MessageSource } from './messages.ts';
import type { Login, System } from './system.ts';

const CONNECTIONS = 8;
const BATCH = 100;

export async function createMailbox(client: ImapClient, mailbox: string): Promise<void> {
  if ((await client.text(`LIST "" "${mailbox}"`)).includes('* LIST')) return;
  await client.run(`CREATE "${mailbox}"`);
}

/** Different messages, by APPEND. */
export async function fillByAppend(
  system: System,
  user: Login,
  options: { readonly mailbox: string; readonly count: number; readonly source: MessageSource },
): Promise<void> {
  const { mailbox, count, source } = options;
  const clients = await Promise.all(
    Array.from({ length: CONNECTIONS }, () => ImapClient.open(system.ports.imap!, user)),
  );
  await createMailbox(clients[0]!, mailbox);
  let left = count - (await clients[0]!.count(mailbox));
  // RFC 3502: many messages by one command, where that can be had.
  const most = (await clients[0]!.text('CAPABILITY')).includes('MULTIAPPEND') ? BATCH : 1;
  await Promise.all(
    clients.map(async (client) => {
      while (left > 0) {
        const batch = Array.from({ length: Math.min(most, left) }, () => source.next().bytes);
        left -= batch.length;
        await client.append(mailbox, ...batch);
      }
      client.close();
    }),
  );
}

/** Copies of another mailbox's messages, over and over. */
export async function fillByCopy(
  system: System,
  user: Login,
  options: { readonly from: string; readonly mailbox: string; readonly count: number },
): Promise<void> {
  const client = await ImapClient.open(system.ports.imap!, user);
  await createMailbox(client, options.mailbox);
  await client.run(`SELECT "${options.from}"`);
  const size = await client.count(options.from);
  for (let left = options.count - (await client.count(options.mailbox)); left > 0; left -= size)
    await client.run(`COPY 1:${Math.min(size, left)} "${options.mailbox}"`);
  client.close();
}
