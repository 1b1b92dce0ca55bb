/**
 * The identifiers every room shares. Each is a branded type, so that a uid can't be passed where a sequence number is
 * meant. The constructors only cast: bytes from outside are checked by the parser that reads them.
 */

declare const brand: unique symbol;
type Branded<Base, Name extends string> = Base & { readonly [brand]: Name };

/** Random, permanent name of one account (not its address, which may change). `[a-z0-9]{16}` */
export type AccountId = Branded<string, 'AccountId'>;
/** Random, permanent name of one mailbox of one account; survives RENAME. `[a-z0-9]{16}` */
export type MailboxId = Branded<string, 'MailboxId'>;
/** IMAP unique identifier, 1 … 2^32−1, ascending within one mailbox (RFC 9051 §2.3.1.1). */
export type Uid = Branded<number, 'Uid'>;
/** Per-account modification sequence below 2^53 (RFC 7162 §3.1). */
export type ModSeq = Branded<number, 'ModSeq'>;
/** A stored message's content, unique within its account; shared by copies. Positive integer below 2^53. */
export type ContentId = Branded<number, 'ContentId'>;
/** Name of one accepted (or refused) message in the queue: sorts by time. See `queueId()`. */
export type QueueId = Branded<string, 'QueueId'>;
/** Lower-case hex SHA-256 of a blob's bytes. */
export type BlobRef = Branded<string, 'BlobRef'>;
/** Name of one client connection, for logs and traces. */
export type SessionId = Branded<string, 'SessionId'>;
/** Name of one immutable model: hex SHA-256 of its artefact. */
export type ModelId = Branded<string, 'ModelId'>;

export const accountId = (value: string): AccountId => value as AccountId;
export const mailboxId = (value: string): MailboxId => value as MailboxId;
export const uid = (value: number): Uid => value as Uid;
export const modSeq = (value: number): ModSeq => value as ModSeq;
export const contentId = (value: number): ContentId => value as ContentId;
export const blobRef = (value: string): BlobRef => value as BlobRef;
export const modelId = (value: string): ModelId => value as ModelId;

const BASE32 = '0123456789abcdefghjkmnpqrstvwxyz';

/** `length` characters of Crockford's base 32, lower case, from as many random bytes. */
export function base32(random: Uint8Array, length = random.length): string {
  let text = '';
  for (let i = 0; i < length; i++) text += BASE32[random[i]! & 31];
  return text;
}

/** `time` in milliseconds as 9 characters that sort by time until the year 3084. */
function timePrefix(time: number): string {
  let text = '';
  for (let rest = time, i = 0; i < 9; i++, rest = Math.floor(rest / 32)) text = BASE32[rest % 32]! + text;
  return text;
}

/**
 * A queue id: 9 characters of time and 7 of randomness (35 bits), so ids sort by arrival.
 * @param now milliseconds since 1970
 * @param random at least 7 random bytes
 */
export const queueId = (now: number, random: Uint8Array): QueueId => (timePrefix(now) + base32(random, 7)) as QueueId;

/** A session id, made like a queue id so that log lines sort; the letter names the protocol (`s`, `l`, `i`, `p`, `h`). */
export const sessionId = (letter: string, now: number, random: Uint8Array): SessionId =>
  (letter + timePrefix(now) + base32(random, 5)) as SessionId;

/** A random account or mailbox id from 16 random bytes. */
export const randomId = <T extends AccountId | MailboxId>(random: Uint8Array): T => base32(random, 16) as T;
