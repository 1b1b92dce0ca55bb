/**
 * Puts together what is stored for a recipient: Return-Path and Delivered-To (RFC 5321 §4.4 wants Return-Path first),
 * the stages' header fields, ours, and the received message without the fields that were removed from it. Attachments
 * that the attachments stage split off are shown from their own blobs, but only after all bytes have been compared with
 * what was received: on any difference the received blob is used as it is. A message is read and parsed once, however
 * many recipients it has.
 */

import type { AttachmentFacts, Split } from '../filter/attachments.ts';
import { STAGES, type Stage, type Verdict } from '../filter/verdict.ts';
import type { AcceptedMessage } from '../mail/accepted.ts';
import { asMailError } from '../mail/errors.ts';
import {
  type Layout,
  layoutSize,
  type RangeReader,
  readLayout,
  type Segment,
  wholeBlob,
  withoutRanges,
} from '../mail/layout.ts';
import { describeMessage, type MessageDescription, toContentInput } from '../mime/describe.ts';
import { encodeStructure, endsInCrlf, shiftStructure } from '../mime/structure-code.ts';
import type { ContentInput } from '../ports/mail-store.ts';

/** A blob that nothing refers to lives 24 h (core/ports/blob-store.ts): older splits may be gone by the commit. */
const SPLIT_AGE_MS_MAX = 12 * 3600 * 1000;

export interface AssemblerOptions {
  readonly message: AcceptedMessage;
  readonly verdicts: Readonly<Partial<Record<Stage, Verdict>>>;
  readonly blobs: RangeReader;
  /** Milliseconds since 1970; splits are used while they are young. */
  readonly now?: number;
}

export interface AssembleRecipient {
  /** As it stands in Delivered-To: the address that delivery ended with. */
  readonly address: string;
}

export interface Assembled {
  readonly layout: Layout;
  readonly content: ContentInput;
}

interface Base {
  /** Everything behind Delivered-To. */
  readonly tail: Layout;
  readonly description: MessageDescription;
  /** Length of the bytes before `tail` that the description was made with. */
  readonly prefixBytes: number;
}

/** An address in a header field of ours; line ends would end the field. */
const oneLine = (text: string): string => text.replace(/[\r\n\0]/g, '');

const headersOf = ({ message, verdicts }: AssemblerOptions): Uint8Array =>
  Buffer.from(`${STAGES.flatMap((stage) => verdicts[stage]?.headers ?? []).join('')}${message.headers}`, 'utf8');

/** The stage's facts as far as they are usable: sorted ranges within the message that say what they would show. */
function usableFacts(options: AssemblerOptions): Pick<AttachmentFacts, 'split' | 'skeleton'> | null {
  const verdict = options.verdicts.attachments;
  if (verdict === undefined || verdict.skipped) return null;
  if (options.now !== undefined && options.now - verdict.at > SPLIT_AGE_MS_MAX) return null;
  const { split, skeleton } = verdict.facts as Partial<AttachmentFacts>;
  if (!Array.isArray(split) || split.length === 0) return null;
  let at = 0;
  for (const { start, end } of split as readonly Split[]) {
    if (start < at || end <= start) return null;
    at = end;
  }
  return at <= options.message.size ? { split, skeleton: skeleton ?? null } : null;
}

const toSegment = ({ ref, size, lineLength, eol }: Split): Segment => ({ t: 'base64', ref, size, lineLength, eol });

/** The received message with its splits shown from their own blobs, nothing left in the received blob. */
async function splitLayout(
  options: AssemblerOptions,
  { split, skeleton }: Pick<AttachmentFacts, 'split' | 'skeleton'>,
): Promise<Layout> {
  const { message, blobs } = options;
  const layout: Segment[] = [];
  let at = 0;
  let cut = 0;
  const addRaw = async (end: number): Promise<void> => {
    if (end <= at) return;
    if (skeleton !== null) layout.push({ t: 'blob', ref: skeleton.ref, start: at - cut, end: end - cut });
    else layout.push({ t: 'bytes', bytes: Buffer.from(await blobs.read(message.blob, at, end)) });
  };
  for (const part of split) {
    await addRaw(part.start);
    layout.push(toSegment(part));
    at = part.end;
    cut += part.end - part.start;
  }
  await addRaw(message.size);
  return layout;
}

/** Whether the layout shows exactly the received message. */
async function showsReceived(options: AssemblerOptions, layout: Layout): Promise<boolean> {
  const { message, blobs } = options;
  if (layoutSize(layout) !== message.size) return false;
  let at = 0;
  for await (const piece of readLayout(blobs, layout)) {
    if (Buffer.compare(piece, await blobs.read(message.blob, at, at + piece.length)) !== 0) return false;
    at += piece.length;
  }
  return at === message.size;
}

async function receivedLayout(options: AssemblerOptions): Promise<Layout> {
  const { message } = options;
  const whole = wholeBlob(message.blob, message.size);
  const facts = usableFacts(options);
  if (facts === null) return whole;
  try {
    const layout = await splitLayout(options, facts);
    return (await showsReceived(options, layout)) ? layout : whole;
  } catch (thrown) {
    // a split that is gone or damaged: the received blob has the bytes, and its own faults show when it is read
    if (asMailError(thrown).reply === 'fault') return whole;
    throw thrown;
  }
}

/** All recipients' copies of one message. */
export class Assembler {
  readonly #options: AssemblerOptions;
  #base: Promise<Base> | null = null;

  constructor(options: AssemblerOptions) {
    this.#options = options;
  }

  async assemble(recipient: AssembleRecipient): Promise<Assembled> {
    const { sender } = this.#options.message.envelope;
    const prefix = Buffer.from(
      `Return-Path: <${oneLine(sender)}>\r\nDelivered-To: ${oneLine(recipient.address)}\r\n`,
      'utf8',
    );
    this.#base ??= this.#describe(prefix);
    const { tail, description, prefixBytes } = await this.#base;
    const layout: Layout = [{ t: 'bytes', bytes: prefix }, ...tail];
    const delta = prefix.length - prefixBytes;
    const moved = delta === 0 ? description : shifted(description, delta);
    return { layout, content: toContentInput(moved, layout, this.#options.message.queueId) };
  }

  async #describe(prefix: Uint8Array): Promise<Base> {
    const { message, blobs } = this.#options;
    // removed header fields lie before any part, so no split is cut
    const received = withoutRanges(await receivedLayout(this.#options), message.removed);
    const headers = headersOf(this.#options);
    const tail: Layout = headers.length === 0 ? received : [{ t: 'bytes', bytes: headers }, ...received];
    const description = await describeMessage(readLayout(blobs, [{ t: 'bytes', bytes: prefix }, ...tail]));
    return { tail, description, prefixBytes: prefix.length };
  }
}

function shifted(description: MessageDescription, delta: number): MessageDescription {
  const root = shiftStructure(description.root, delta);
  const structure = encodeStructure(root, endsInCrlf(description.structure));
  return { ...description, size: description.size + delta, root, structure };
}

/** One recipient's copy; for several recipients of a message make one Assembler. */
export const assembleMessage = (
  options: AssemblerOptions & { readonly recipient: AssembleRecipient },
): Promise<Assembled> => new Assembler(options).assemble(options.recipient);
