/**
 * The fields that go before a message when it is accepted: Received (RFC 5321 §4.4), and the Date and Message-ID that a
 * submission left out (RFC 6409 §8). Lines are folded at 78 columns where their clauses allow it (RFC 5322 §2.1.1).
 */

import type { Client } from '../mail/envelope.ts';
import type { QueueId } from '../mail/ids.ts';

const COLUMNS = 78;
const DAYS = ['Sun', 'Mon', 'Tue', 'Wed', 'Thu', 'Fri', 'Sat'];
const MONTHS = ['Jan', 'Feb', 'Mar', 'Apr', 'May', 'Jun', 'Jul', 'Aug', 'Sep', 'Oct', 'Nov', 'Dec'];

const two = (value: number): string => String(value).padStart(2, '0');

/** date-time of RFC 5322 §3.3, in UTC. */
function formatDate(milliseconds: number): string {
  const date = new Date(milliseconds);
  const time = `${two(date.getUTCHours())}:${two(date.getUTCMinutes())}:${two(date.getUTCSeconds())}`;
  const day = `${date.getUTCDate()} ${MONTHS[date.getUTCMonth()]} ${date.getUTCFullYear()}`;
  return `${DAYS[date.getUTCDay()]}, ${day} ${time} +0000`;
}

/** TCP-info's address-literal. */
const literal = (address: string): string => (address.includes(':') ? `[IPv6:${address}]` : `[${address}]`);

/** Clauses joined by spaces, folded before each that would not fit. */
function fold(clauses: readonly string[]): string {
  let text = '';
  let column = 0;
  for (const clause of clauses) {
    if (text === '') column = clause.length;
    else if (column + 1 + clause.length > COLUMNS) {
      text += '\r\n ';
      column = 1 + clause.length;
    } else {
      text += ' ';
      column += 1 + clause.length;
    }
    text += clause;
  }
  return `${text}\r\n`;
}

interface ReceivedFacts {
  readonly client: Client;
  readonly hostname: string;
  readonly queueId: QueueId;
  /** The one recipient, or null: RFC 5321 §4.4 and §7.2 want no list, which could disclose blind copies. */
  readonly recipient: string | null;
  readonly at: number;
}

export function receivedField({ client, hostname, queueId, recipient, at }: ReceivedFacts): string {
  const clauses = [`Received: from ${client.helo}`, `(${literal(client.address)})`, `by ${hostname}`];
  clauses.push(`with ${client.protocol}`);
  if (client.tls !== null) clauses.push(`(${client.tls.version} ${client.tls.cipher})`);
  clauses.push(`id ${queueId}`);
  if (recipient !== null) clauses.push(`for <${recipient}>`);
  const last = clauses.length - 1;
  clauses[last] += ';';
  return fold([...clauses, formatDate(at)]);
}

export const dateField = (at: number): string => `Date: ${formatDate(at)}\r\n`;

export const messageIdField = (messageId: string): string => `Message-ID: ${messageId}\r\n`;
