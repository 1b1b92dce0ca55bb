/**
 * How large one of each thing is: means over the documents that the stores wrote for representative messages, each kind
 * of message by its share.
 */

import { MessageSource } from '../messages.ts';
import { type KindName, MESSAGE_KINDS } from './assumptions.ts';
import { bsonSize } from './bson-size.ts';
import { indexBytes } from './index-size.ts';
import { Pipeline } from './pipeline.ts';
import type { Doc } from './recording-mongo.ts';
import { measureWire, type Wire } from './wire.ts';

const STAMP = /^Message-ID: <([0-9a-z]{12})\./m;
const TOMBSTONES = 16;
const LABELS = 16;

/** Bytes of documents and of their entries in all indexes of the collection. */
export interface Unit {
  readonly bytes: number;
  readonly indexBytes: number;
}

/** What one message has of it. */
export interface Part extends Unit {
  readonly documents: number;
}

/** One document for each message, in collections that grow with the mail. */
export const PER_MESSAGE = ['messages', 'contents', 'receipts', 'queue', 'features'] as const;
/** Of one account, however much mail it has. */
const PER_ACCOUNT = [
  'accounts',
  'mailboxes',
  'subscriptions',
  'directoryAccounts',
  'addresses',
  'searchManifests',
] as const;

export type MessageParts = Readonly<
  Record<(typeof PER_MESSAGE)[number] | 'search' | 'keptBlobs' | 'passingBlobs', Part>
>;
type AccountParts = Readonly<Record<(typeof PER_ACCOUNT)[number], Part>>;

export interface Units {
  readonly kinds: readonly { readonly name: KindName; readonly bytes: number; readonly parts: MessageParts }[];
  /** The mean of the kinds. */
  readonly message: MessageParts;
  readonly messageBytes: number;
  readonly account: AccountParts;
  /** What an expunged message leaves. */
  readonly tombstone: Unit;
  readonly label: Unit;
  /** What a session's process holds of a selected mailbox, for each message in it. */
  readonly rowBytes: number;
  /** One commit in the account's document. */
  readonly logEntryBytes: number;
  readonly wire: Wire;
}

const sum = (numbers: readonly number[]): number => numbers.reduce((all, one) => all + one, 0);

/** Endless messages that are the same in every run: the generator's own stamps tell runs apart. */
function* messagesOf(kind: (typeof MESSAGE_KINDS)[number], count: number = kind.made) {
  const source = new MessageSource(kind.bytes, kind.made);
  for (let n = 0; n < count; n++) {
    const { from, bytes } = source.next();
    const text = bytes.toString('latin1');
    const stamp = STAMP.exec(text)![1]!;
    yield { from, bytes: Buffer.from(text.replaceAll(stamp, `run${String(n).padStart(9, '0')}`), 'latin1') };
  }
}

const sizes = (docs: readonly Doc[]): number => sum(docs.map(bsonSize));

/** Of all these documents together. */
function weigh({ mongo }: Pipeline, name: string, docs: readonly Doc[]): Unit {
  if (docs.length === 0) return { bytes: 0, indexBytes: 0 };
  return { bytes: sizes(docs), indexBytes: sum(mongo.indexesOf(name).map((fields) => indexBytes(docs, fields))) };
}

const share = ({ bytes, indexBytes: ofIndexes }: Unit, documents: number, among: number): Part => ({
  documents: documents / among,
  bytes: bytes / among,
  indexBytes: ofIndexes / among,
});

async function part(pipeline: Pipeline, name: string, among: number): Promise<Part> {
  const docs = await pipeline.mongo.documents(name);
  return share(weigh(pipeline, name, docs), docs.length, among);
}

/** The blobs that contents refer to, or the others, with their files and chunks. */
async function blobPart(pipeline: Pipeline, among: number, kept: boolean): Promise<Part> {
  const { mongo } = pipeline;
  const contents = await mongo.documents('contents');
  const live = new Set(contents.flatMap(({ blobs }) => blobs as readonly string[]));
  const blobs = (await mongo.documents('blobs')).filter(({ _id }) => live.has(_id as string) === kept);
  const files = new Set(blobs.flatMap(({ file }) => (file as string | undefined) ?? []));
  const parts = [
    ['blobs', blobs],
    ['blobs.files', (await mongo.documents('blobs.files')).filter(({ _id }) => files.has(_id as string))],
    ['blobs.chunks', (await mongo.documents('blobs.chunks')).filter(({ files_id: file }) => files.has(file as string))],
  ] as const;
  const weights = parts.map(([name, docs]) => weigh(pipeline, name, docs));
  const all = { bytes: sum(weights.map(({ bytes }) => bytes)), indexBytes: sum(weights.map((one) => one.indexBytes)) };
  return share(all, sum(parts.map(([, docs]) => docs.length)), among);
}

/** The pipeline stays open. */
async function measureKind(kind: (typeof MESSAGE_KINDS)[number]) {
  const pipeline = await Pipeline.open(2);
  for (const message of messagesOf(kind)) await pipeline.deliver({ ...message, to: 0 });
  const logBytes = await logEntryBytes(pipeline);
  await pipeline.settle();
  await pipeline.index(0);
  const { made } = kind;
  const perMessage = await Promise.all(
    PER_MESSAGE.map(async (name) => [name, await part(pipeline, name, made)] as const),
  );
  const parts = {
    ...Object.fromEntries(perMessage),
    search: await part(pipeline, 'searchBuckets', made),
    keptBlobs: await blobPart(pipeline, made, true),
    passingBlobs: await blobPart(pipeline, made, false),
  } as MessageParts;
  return { pipeline, parts, logBytes };
}

async function measureAccount(pipeline: Pipeline): Promise<AccountParts> {
  const { length } = pipeline.accounts;
  const entries = PER_ACCOUNT.map(async (name) => [
    name,
    // Only one of the accounts is in the search index.
    await part(pipeline, name, name === 'searchManifests' ? 1 : length),
  ]);
  return Object.fromEntries(await Promise.all(entries)) as AccountParts;
}

/** Messages of the other account, expunged. */
async function measureTombstone(pipeline: Pipeline): Promise<Unit> {
  for (const message of messagesOf(MESSAGE_KINDS[0], TOMBSTONES)) await pipeline.deliver({ ...message, to: 1 });
  const { length: living } = (await pipeline.columnsOf(1)).rows;
  await pipeline.expunge(1);
  await pipeline.settle();
  const docs = (await pipeline.mongo.documents('messages')).filter(({ content }) => content === 0);
  if (docs.length !== living) throw new Error(`${docs.length} tombstones of ${living} messages`);
  return share(weigh(pipeline, 'messages', docs), docs.length, docs.length);
}

/** The other account gets one message, so that both INBOXes have the same sets of flags. */
async function measureRow(pipeline: Pipeline): Promise<number> {
  for (const message of messagesOf(MESSAGE_KINDS[0], 1)) await pipeline.deliver({ ...message, to: 1 });
  const [many, one] = [await pipeline.columnsOf(0), await pipeline.columnsOf(1)];
  return (many.sizeBytes - one.sizeBytes) / (many.rows.length - one.rows.length);
}

async function measureLabel(pipeline: Pipeline): Promise<Unit> {
  await pipeline.label(0, LABELS);
  return part(pipeline, 'labels', LABELS);
}

async function logEntryBytes(pipeline: Pipeline): Promise<number> {
  const [account] = pipeline.accounts;
  const found = (await pipeline.mongo.documents('accounts')).find(({ _id }) => _id === account);
  // The last one is a delivery's; a place in a list has a type and a name.
  return bsonSize((found!.log as readonly object[]).at(-1)!) + 4;
}

function meanOf(kinds: readonly { readonly share: number; readonly parts: MessageParts }[]): MessageParts {
  const names = Object.keys(kinds[0]!.parts) as (keyof MessageParts)[];
  const mean = (name: keyof MessageParts, field: keyof Part): number =>
    sum(kinds.map((kind) => kind.share * kind.parts[name][field]));
  const entries = names.map((name) => [
    name,
    { documents: mean(name, 'documents'), bytes: mean(name, 'bytes'), indexBytes: mean(name, 'indexBytes') },
  ]);
  return Object.fromEntries(entries) as MessageParts;
}

export async function measureUnits(): Promise<Units> {
  const measured: (Units['kinds'][number] & { readonly share: number })[] = [];
  let rest: Pick<Units, 'account' | 'label' | 'tombstone' | 'rowBytes' | 'logEntryBytes' | 'wire'> | undefined;
  for (const kind of MESSAGE_KINDS) {
    const { pipeline, parts, logBytes } = await measureKind(kind);
    measured.push({ name: kind.name, bytes: kind.bytes, share: kind.share, parts });
    rest ??= {
      logEntryBytes: logBytes,
      account: await measureAccount(pipeline),
      wire: await measureWire(pipeline.commits[0]!),
      rowBytes: await measureRow(pipeline),
      label: await measureLabel(pipeline),
      tombstone: await measureTombstone(pipeline),
    };
    await pipeline.close();
  }
  return {
    ...rest!,
    kinds: measured,
    message: meanOf(measured),
    messageBytes: sum(MESSAGE_KINDS.map(({ bytes, share: of }) => bytes * of)),
  };
}
