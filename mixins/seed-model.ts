/** The model and the golden messages that the program ships (models/), read when they are first needed. */

import { readFile } from 'node:fs/promises';
import { type Artefact, decodeArtefact } from '../core/spam/artefact.ts';
import { decodeGolden, type GoldenMessage } from '../core/spam/golden.ts';

export interface SeedModel {
  readonly bytes: Uint8Array;
  readonly artefact: Artefact;
  readonly golden: readonly GoldenMessage[];
}

const file = (name: string): URL => new URL(`../models/${name}`, import.meta.url);

/** Read anew each time: 1 MB that is needed at the first start and when a model is trained. */
export async function seedModel(): Promise<SeedModel> {
  const [bytes, golden] = await Promise.all([readFile(file('seed.bin')), readFile(file('seed.golden.bin'))]);
  return { bytes, artefact: decodeArtefact(bytes), golden: decodeGolden(golden) };
}
