/**
 * What a model finds in one message, whoever its recipients are: scores, the reasons for either side in words, the
 * sender, and the features to be remembered. Pure and the costly part of filtering, so it may run in a thread of its own.
 */

import type { Artefact } from './artefact.ts';
import { explain } from './explain.ts';
import type { ExtractInput, Extractor } from './extract.ts';
import { score } from './model.ts';
import { type Sender, senderKey } from './sender.ts';

export interface Analysis {
  readonly sender: Sender;
  /** Names the sender for offsets and labels. */
  readonly senderKey: string;
  readonly p: number;
  readonly logit: number;
  readonly logits: readonly number[];
  /** The strongest reasons towards either side. */
  readonly words: { readonly spam: readonly string[]; readonly ham: readonly string[] };
  /** Encoded for the sample store. */
  readonly features: Uint8Array;
}

export const REASONS_MAX = 3;

/** @param extractor is used for this message only until the call returns */
export function analyse(extractor: Extractor, artefact: Artefact, input: ExtractInput): Analysis {
  const { weights, combiner } = artefact;
  extractor.extract(input);
  const scored = score(weights, combiner, extractor);
  const towards = (side: 'spam' | 'ham'): string[] =>
    explain(extractor, weights, combiner, scored, side, REASONS_MAX).map((reason) => reason.words);
  return {
    sender: extractor.sender,
    senderKey: senderKey(extractor.sender),
    p: scored.p,
    logit: scored.logit,
    logits: Array.from(scored.logits),
    words: { spam: towards('spam'), ham: towards('ham') },
    features: extractor.encode(),
  };
}
