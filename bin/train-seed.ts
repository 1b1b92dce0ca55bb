/**
 * Makes the seed model that a new installation starts from: `train-seed CORPUS` reads a labelled corpus (index.tsv and the
 * messages it names) and writes models/seed.bin, seed.golden.bin and seed.json beside this checkout's code. The same
 * corpus gives the same bytes.
 */

import { createHash } from 'node:crypto';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { encodeArtefact } from '../core/spam/artefact.ts';
import { Extractor } from '../core/spam/extract.ts';
import { encodeGolden, type GoldenMessage } from '../core/spam/golden.ts';
import { SCHEMA } from '../core/spam/schema.ts';
import { makeSeed } from '../core/spam/seed.ts';

/** Steps of a weight: enough for a start, and small to ship. */
const COARSE = 255;

function readCorpus(folder: string): GoldenMessage[] {
  const extractor = new Extractor();
  const corpus: GoldenMessage[] = [];
  for (const line of readFileSync(join(folder, 'index.tsv'), 'utf8').split('\n')) {
    const [, label, file] = line.split('\t');
    if (file === undefined || (label !== 'spam' && label !== 'ham')) continue;
    extractor.extract({
      bytes: readFileSync(join(folder, file)),
      envelopeSender: null,
      helo: null,
      clientAddress: null,
      tls: null,
      authentication: null,
    });
    corpus.push({ label, features: extractor.encode() });
  }
  return corpus;
}

function main(folder: string): void {
  const corpus = readCorpus(folder);
  const { artefact, golden } = makeSeed(corpus);
  const bytes = encodeArtefact(artefact, COARSE);
  const models = join(import.meta.dirname, '..', 'models');
  mkdirSync(models, { recursive: true });
  writeFileSync(join(models, 'seed.bin'), bytes);
  const goldenBytes = encodeGolden(golden);
  writeFileSync(join(models, 'seed.golden.bin'), goldenBytes);
  const facts = {
    id: createHash('sha256').update(bytes).digest('hex'),
    schema: SCHEMA,
    corpus: basename(folder),
    spam: corpus.filter((one) => one.label === 'spam').length,
    ham: corpus.filter((one) => one.label === 'ham').length,
    golden: golden.length,
    threshold: artefact.thresholds.spam,
  };
  writeFileSync(join(models, 'seed.json'), `${JSON.stringify(facts, null, 2)}\n`);
  console.log(
    `models/seed.bin: ${bytes.length} bytes, ${facts.id.slice(0, 8)}, golden messages: ${goldenBytes.length} bytes`,
  );
}

const folder = process.argv[2];
if (folder === undefined) {
  console.error('train-seed needs the folder of a labelled corpus');
  process.exitCode = 2;
} else main(folder);
