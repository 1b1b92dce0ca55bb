/**
 * A model as bytes: a short JSON head in canonical form, then each group's weights as 16-bit steps of a
 * scale and what their learning goes on from, packed.
 * The same model gives the same bytes, so the hash of the bytes names it; what is read back is what was scored with.
 */

import { zstdCompressSync, zstdDecompressSync } from 'node:zlib';
import { Fault } from '../mail/errors.ts';
import type { ModelId } from '../mail/ids.ts';
import type { SquareLevels } from './learner.ts';
import { type Combiner, type Thresholds, Weights } from './model.ts';
import { GROUP_BUCKETS, GROUPS, SCHEMA } from './schema.ts';

export interface Artefact {
  readonly schema: number;
  readonly weights: Weights;
  /** What learning goes on from. */
  readonly squares: SquareLevels;
  readonly combiner: Combiner;
  readonly thresholds: Thresholds;
  /** The model whose weights training began with. */
  readonly parent: ModelId | null;
  /** Place in the label log up to which labels were learned. */
  readonly trainedTo: number;
  /** Labels learned since the seed model, and their summed weight. */
  readonly labels: number;
  readonly labelWeight: number;
}

interface Head {
  readonly format: 1;
  readonly schema: number;
  readonly groups: readonly {
    readonly name: string;
    readonly buckets: number;
    readonly scale: number;
    readonly bias: number;
  }[];
  readonly combiner: Combiner;
  readonly thresholds: Thresholds;
  readonly parent: ModelId | null;
  readonly trainedTo: number;
  readonly labels: number;
  readonly labelWeight: number;
}

const MAGIC = Buffer.from('MMSPAM1\n', 'latin1');
const STEPS = 32_767;
const HEAD_BYTES_MAX = 64 * 1024;

function greatest(weights: Float32Array): number {
  let most = 0;
  for (let i = 0; i < weights.length; i++) {
    const size = Math.abs(weights[i]!);
    if (size > most) most = size;
  }
  return most;
}

/** Bytes of a model. `coarse` keeps fewer steps per group (and so packs smaller), dropping weights below one. */
export function encodeArtefact(artefact: Artefact, coarse = STEPS): Uint8Array {
  const { weights } = artefact;
  const scales = weights.groups.map((group) => Math.fround(greatest(group) / coarse));
  const head: Head = {
    format: 1,
    schema: artefact.schema,
    groups: GROUPS.map((name, group) => ({
      name,
      buckets: GROUP_BUCKETS[group]!,
      scale: scales[group]!,
      bias: weights.biases[group]!,
    })),
    combiner: {
      bias: artefact.combiner.bias,
      factors: artefact.combiner.factors,
      floors: artefact.combiner.floors,
      limit: artefact.combiner.limit,
    },
    thresholds: { spam: artefact.thresholds.spam },
    parent: artefact.parent,
    trainedTo: artefact.trainedTo,
    labels: artefact.labels,
    labelWeight: artefact.labelWeight,
  };
  const headBytes = Buffer.from(JSON.stringify(head));
  // Low and high bytes apart pack better: the high ones are nearly all alike.
  const total = weights.groups.reduce((sum, group) => sum + group.length, 0);
  const planes = new Uint8Array(total * 3);
  planes.set(artefact.squares, total * 2);
  let at = 0;
  for (let group = 0; group < weights.groups.length; group++) {
    const values = weights.groups[group]!;
    const perUnit = scales[group] === 0 ? 0 : 1 / scales[group]!;
    for (let i = 0; i < values.length; i++, at++) {
      if (values[i] === 0) continue;
      const step = Math.round(values[i]! * perUnit);
      const zigzag = step < 0 ? -2 * step - 1 : 2 * step;
      planes[at] = zigzag & 255;
      planes[total + at] = zigzag >>> 8;
    }
  }
  const length = Buffer.alloc(4);
  length.writeUInt32LE(headBytes.length);
  return Buffer.concat([MAGIC, length, headBytes, zstdCompressSync(planes)]);
}

/** Reads a model. Rejects bytes that are none, of another schema or with numbers that are not finite, with a Fault. */
export function decodeArtefact(bytes: Uint8Array): Artefact {
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
  const start = MAGIC.length + 4;
  if (buffer.length < start || !buffer.subarray(0, MAGIC.length).equals(MAGIC)) throw new Fault('not a model');
  const headLength = buffer.readUInt32LE(MAGIC.length);
  if (headLength > HEAD_BYTES_MAX || start + headLength > buffer.length) throw new Fault('the model is cut short');
  const total = GROUP_BUCKETS.reduce((sum, buckets) => sum + buckets, 0);
  let head: Head;
  let planes: Uint8Array;
  try {
    head = JSON.parse(buffer.toString('utf8', start, start + headLength)) as Head;
    planes = zstdDecompressSync(buffer.subarray(start + headLength), { maxOutputLength: total * 3 });
  } catch (error) {
    throw new Fault('the model is broken', {}, error);
  }
  checkHead(head);
  if (planes.length !== total * 3) throw new Fault('the model is broken', { length: planes.length });
  const weights = new Weights();
  let at = 0;
  for (let group = 0; group < GROUPS.length; group++) {
    const { scale, bias } = head.groups[group]!;
    weights.biases[group] = bias;
    const values = weights.groups[group]!;
    for (let i = 0; i < values.length; i++, at++) {
      const zigzag = planes[at]! | (planes[total + at]! << 8);
      if (zigzag !== 0) values[i] = (zigzag & 1 ? -((zigzag + 1) >>> 1) : zigzag >>> 1) * scale;
    }
  }
  const { schema, combiner, thresholds, parent, trainedTo, labels, labelWeight } = head;
  const squares = planes.slice(total * 2);
  return { schema, weights, squares, combiner, thresholds, parent, trainedTo, labels, labelWeight };
}

function checkHead(head: Head): void {
  if (head.format !== 1 || head.schema !== SCHEMA)
    throw new Fault('the model is of another format or schema', { format: head.format, schema: head.schema });
  const shape =
    head.groups.length === GROUPS.length &&
    head.groups.every((group, i) => group.name === GROUPS[i] && group.buckets === GROUP_BUCKETS[i]);
  const { combiner } = head;
  const numbers = [
    ...head.groups.flatMap((group) => [group.scale, group.bias]),
    ...combiner.factors,
    ...combiner.floors,
    combiner.bias,
    combiner.limit,
    head.thresholds.spam,
  ];
  const fits = combiner.factors.length === GROUPS.length && combiner.floors.length === GROUPS.length;
  if (!shape || !fits || !numbers.every(Number.isFinite)) throw new Fault('the model is broken');
}
