/** CPU time of the two things that are done often: judging a message, and learning the stored log anew. */

import { accountId } from '../core/mail/ids.ts';
import type { Sample } from '../core/ports/sample-store.ts';
import type { Artefact } from '../core/spam/artefact.ts';
import { Extractor } from '../core/spam/extract.ts';
import { noSquares } from '../core/spam/learner.ts';
import { MEAN_COMBINER, score, Weights } from '../core/spam/model.ts';
import { SCHEMA } from '../core/spam/schema.ts';
import { heldOutAfter, Trainer } from '../core/spam/train.ts';
import { asInput, type StreamItem } from './spam-corpus.ts';

const SAMPLES = 75_000;
const SLICE = 500;
const MESSAGES_MAX = 6000;

const cpuSeconds = (since: NodeJS.CpuUsage): number => {
  const { user, system } = process.cpuUsage(since);
  return (user + system) / 1e6;
};

export function measureExtraction(items: readonly StreamItem[]): number {
  const inputs = items.slice(0, MESSAGES_MAX).map((item) => asInput(item.read()));
  const extractor = new Extractor();
  const weights = new Weights();
  const start = process.cpuUsage();
  for (const input of inputs) {
    extractor.extract(input);
    score(weights, MEAN_COMBINER, extractor);
  }
  return inputs.length / cpuSeconds(start);
}

const EMPTY: Artefact = {
  schema: SCHEMA,
  weights: new Weights(),
  squares: noSquares(),
  combiner: MEAN_COMBINER,
  thresholds: { spam: 0.98 },
  parent: null,
  trainedTo: 0,
  labels: 0,
  labelWeight: 0,
};

export function measureRetraining(
  items: readonly StreamItem[],
  features: readonly Uint8Array[],
): { samples: number; seconds: number; artefact: Artefact } {
  const now = items.at(-1)!.at;
  const start = process.cpuUsage();
  const trainer = new Trainer({
    start: EMPTY,
    startId: null,
    champion: EMPTY,
    heldOutAfter: heldOutAfter(SAMPLES, 0),
    golden: [],
    recent: [],
    now,
  });
  for (let seq = 1; seq <= SAMPLES; seq += SLICE)
    trainer.learn(
      Array.from({ length: Math.min(SLICE, SAMPLES + 1 - seq) }, (_, i) => sample(items, features, seq + i)),
    );
  while (trainer.more());
  const { artefact } = trainer.result();
  return { samples: SAMPLES, seconds: cpuSeconds(start), artefact };
}

function sample(items: readonly StreamItem[], features: readonly Uint8Array[], seq: number): Sample {
  const place = seq % items.length;
  return {
    seq,
    key: String(seq),
    account: accountId(`user${seq % 100}`),
    sample: String(seq),
    label: items[place]!.label,
    source: 'move',
    sender: String(place),
    previous: 'none',
    score: null,
    model: '',
    schema: SCHEMA,
    weight: 1,
    at: items[place]!.at,
    features: features[place]!,
  };
}
