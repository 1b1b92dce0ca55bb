/**
 * What the MongoDB client throws, in the words of this project. Whatever goes wrong on the way to the server or in it is
 * a TemporaryError, after which nobody knows whether a write happened: so every write must be safe to make twice. A
 * duplicate key is no error but a value; a request that no server would take is a Fault.
 */

import {
  MongoBulkWriteError,
  MongoCompatibilityError,
  MongoError,
  MongoInvalidArgumentError,
  MongoNetworkError,
  MongoNetworkTimeoutError,
  MongoServerError,
  MongoServerSelectionError,
} from 'mongodb';
import { Fault, MailError, TemporaryError } from '../../core/mail/errors.ts';

const DUPLICATE_KEY = 11000;
const OUT_OF_DISK_SPACE = 14031;
const UNAUTHORIZED = 13;
const AUTHENTICATION_FAILED = 18;

/** The database cannot be used as it is configured: the message is one line for the operator. */
export class DatabaseUnusable extends Error {
  readonly code = 'DATABASE_UNUSABLE';
}

export const isDuplicateKey = (error: unknown): boolean =>
  error instanceof MongoServerError && error.code === DUPLICATE_KEY;

/** What a socket itself says, which the client does not always put into an error of its own. */
const SOCKET_CODES = new Set(['EPIPE', 'ERR_SOCKET_CLOSED', 'ERR_STREAM_DESTROYED', 'ERR_STREAM_WRITE_AFTER_END']);
const isOfSocket = (error: Error): boolean =>
  'syscall' in error || SOCKET_CODES.has((error as NodeJS.ErrnoException).code ?? '');

/** A connection broke while it was in use. The client tries again once where the server can tell a second try, or not at all. */
export function isBrokenConnection(thrown: unknown): boolean {
  const response = thrown instanceof MongoBulkWriteError ? thrown.errorResponse : undefined;
  const error = response instanceof Error ? response : thrown;
  if (error instanceof MongoNetworkError) return !(error instanceof MongoNetworkTimeoutError);
  return error instanceof Error && isOfSocket(error);
}

/** A MailError for anything that an operation of the client threw. */
export function storeError(thrown: unknown): MailError {
  if (thrown instanceof MailError) return thrown;
  if (!(thrown instanceof Error)) return new Fault(String(thrown));
  if (thrown instanceof MongoInvalidArgumentError || thrown.name.startsWith('BSON'))
    return new Fault(thrown.message, {}, thrown);
  const detail = `MongoDB: ${thrown.message}`;
  if (isOfSocket(thrown)) return new TemporaryError('storeUnavailable', { detail }, thrown);
  if (!(thrown instanceof MongoError)) return new Fault(thrown.message, {}, thrown);
  const full = thrown.code === OUT_OF_DISK_SPACE;
  return new TemporaryError(full ? 'diskFull' : 'storeUnavailable', { detail }, thrown);
}

/**
 * The places in an unordered batch whose key was there already.
 * @throws whatever else was wrong: any other failed write, or writes that are not known to be durable
 */
export function duplicatesOf(thrown: unknown): number[] {
  if (!(thrown instanceof MongoBulkWriteError)) throw thrown;
  const failures = [thrown.writeErrors].flat();
  const other = failures.find((failure) => failure.code !== DUPLICATE_KEY);
  if (other !== undefined) throw new TemporaryError('storeUnavailable', { detail: other.errmsg ?? '' }, thrown);
  const unsure = thrown.result.getWriteConcernError();
  if (unsure !== undefined) throw new TemporaryError('storeUnavailable', { detail: unsure.errmsg ?? '' }, thrown);
  if (failures.length === 0) throw thrown;
  return failures.map((failure) => failure.index);
}

/** Why the database cannot be opened, for the operator. The address is shown without the password. */
export function openError(error: unknown, place: string): Error {
  const thrown = error instanceof TemporaryError && error.cause !== undefined ? error.cause : error;
  if (!(thrown instanceof Error)) return storeError(thrown);
  if (thrown instanceof DatabaseUnusable) return thrown;
  const cause = rootOf(thrown);
  const code = cause instanceof MongoError ? cause.code : undefined;
  const unusable = (line: string): Error => new DatabaseUnusable(line, { cause: thrown });
  if (code === AUTHENTICATION_FAILED) return unusable(`MongoDB at ${place} refuses the user name or password`);
  if (code === UNAUTHORIZED) return unusable(`MongoDB at ${place} wants a user who may read and write the database`);
  if (thrown instanceof MongoCompatibilityError || cause instanceof MongoCompatibilityError)
    return unusable(`MongoDB at ${place} has a version that is not supported: ${cause.message}`);
  if (thrown instanceof MongoServerSelectionError)
    return unusable(`MongoDB at ${place} cannot be reached: ${thrown.message}`);
  return unusable(`MongoDB at ${place} cannot be used: ${thrown.message}`);
}

function rootOf(error: Error): Error {
  let root = error;
  for (let depth = 0; depth < 5 && root.cause instanceof Error; depth++) root = root.cause;
  return root;
}
