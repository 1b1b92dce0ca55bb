/**
 * What the SMTP, LMTP and submission engines are given from outside: who has a mailbox, where bytes go, who takes
 * custody, time, randomness and limits. Everything that an engine does to the world goes through here.
 */

import type { AcceptedMessage, RefusedMessage } from '../mail/accepted.ts';
import type { Address, Client, Recipient } from '../mail/envelope.ts';
import type { AccountId, QueueId } from '../mail/ids.ts';
import type { ReplyKey } from '../mail/reply.ts';
import type { BlobStore } from '../ports/blob-store.ts';
import type { Authenticator } from '../sasl/authenticator.ts';

export type SmtpKind = 'smtp' | 'lmtp' | 'submission';

export interface SmtpConfig {
  /** Our name in the greeting and in Received; the authserv-id whose forged results are taken out (RFC 8601 §5). */
  readonly hostname: string;
  readonly sizeBytesMax: number;
  /** Accepted recipients of one message; at least 100 (RFC 5321 §4.5.3.1.8). */
  readonly recipientsMax: number;
  /** Commands since the last accepted message, accepted recipients not counted. */
  readonly commandsMax: number;
  /** Commands answered with an error in one connection; refused recipients and messages are not counted. */
  readonly errorsMax: number;
  readonly headerBytesMax: number;
  readonly headerFieldsMax: number;
  /** Received fields; at least 100 (RFC 5321 §6.3). */
  readonly receivedMax: number;
  /** Passwords without TLS; the configuration allows it on loopback only. */
  readonly insecureAuth: boolean;
  /** Until the first command. */
  readonly greetingTimeoutMs: number;
  /** Between commands, and for one command line from its first byte to its last. */
  readonly commandTimeoutMs: number;
  /** Between two pieces of a message. */
  readonly dataTimeoutMs: number;
  /** For one message from its first byte to its last. */
  readonly dataTotalTimeoutMs: number;
}

export type RecipientDecision =
  /** An alias may give several. */
  { readonly ok: true; readonly recipients: readonly Recipient[] } | { readonly ok: false; readonly reply: ReplyKey };

export interface SmtpEnvironment {
  readonly config: SmtpConfig;
  /**
   * Who gets mail for this address, or why nobody does: mailboxUnknown, domainForeign, overQuota, accountDisabled;
   * queueFull where no mail is taken for now.
   * @param sizeBytes as declared at MAIL; 0 where nothing was declared
   */
  resolveRecipient(address: Address, client: Client, sizeBytes: number): Promise<RecipientDecision>;
  readonly blobs: Pick<BlobStore, 'writer'>;
  /** Takes the message for good: once it has resolved the message survives power loss, and 250 is said. */
  custody(message: AcceptedMessage): Promise<void>;
  /** Keeps a refusal for traces. */
  refused(message: RefusedMessage): void;
  readonly authenticator: Authenticator;
  /** Whether the account may send as this address. */
  ownsAddress(account: AccountId, address: Address): Promise<boolean>;
  newQueueId(): QueueId;
  /** Milliseconds since 1970. */
  now(): number;
  random(length: number): Uint8Array;
  /** One log line; never a password, a body or a token. */
  log(event: string, facts: Readonly<Record<string, unknown>>): void;
}
