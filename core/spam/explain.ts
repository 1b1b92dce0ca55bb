/**
 * Why a message got its verdict, in words: the features that pushed most towards it. Made from the extractor that has
 * just seen the message; nothing of the text is kept.
 */

import type { Extractor } from './extract.ts';
import { phrase } from './kinds.ts';
import type { Combiner, Score, Weights } from './model.ts';
import { CONTENT, HEADER, RAW, ROUTE, SIGNAL, TEXT } from './schema.ts';
import { signalPhrase } from './signal-words.ts';

interface Reason {
  readonly words: string;
  /** Share of the combined logit: positive towards spam. */
  readonly logit: number;
}

/** n-grams say nothing to people one by one; their sum counts as one reason once it weighs this much. */
const PATTERN_MIN = 0.5;

/** The strongest reasons for the side the message fell on, most important first; at most `max`. */
export function explain(
  extractor: Extractor,
  weights: Weights,
  combiner: Combiner,
  result: Score,
  side: 'spam' | 'ham',
  max: number,
): Reason[] {
  const sign = side === 'spam' ? 1 : -1;
  const reasons: Reason[] = [];
  const offer = (logit: number, text: string): void => {
    if (reasons.some((reason) => reason.words === text)) return;
    let place = reasons.length;
    while (place > 0 && reasons[place - 1]!.logit * sign < logit * sign) place--;
    reasons.splice(place, 0, { words: text, logit });
    if (reasons.length > max) reasons.pop();
  };
  for (const group of [HEADER, CONTENT, ROUTE, SIGNAL]) {
    const values = weights.groups[group]!;
    const list = extractor.lists[group]!;
    const factor = combiner.factors[group]!;
    for (let place = 0; place < extractor.counts[group]!; place++) {
      const bucket = list[place]!;
      const logit = factor * values[bucket]!;
      // Most features are too weak: nothing is made for them.
      const least = reasons.length === max ? reasons[max - 1]!.logit * sign : 0;
      if (logit * sign <= least) continue;
      const origin = group === SIGNAL ? null : extractor.origin(group, place)!;
      offer(logit, origin === null ? signalPhrase(bucket) : phrase(origin.kind, origin.text));
    }
  }
  const patterns = pattern(combiner, result, side);
  if (patterns === null) return reasons;
  // One place of the list at most, so that there is always something concrete.
  return [...reasons.slice(0, max - 1), patterns].sort((a, b) => (b.logit - a.logit) * sign);
}

function pattern(combiner: Combiner, result: Score, side: 'spam' | 'ham'): Reason | null {
  let strongest: Reason | null = null;
  for (const [group, what] of [
    [RAW, 'form and wording'],
    [TEXT, 'wording'],
  ] as const) {
    const logit = combiner.factors[group]! * Math.max(combiner.floors[group]!, result.logits[group]!);
    const fits = side === 'spam' ? logit >= PATTERN_MIN : logit <= -PATTERN_MIN / 5;
    if (fits && (strongest === null || Math.abs(logit) > Math.abs(strongest.logit)))
      strongest = { words: `${what} like that of ${side === 'spam' ? 'known spam' : 'wanted mail'}`, logit };
  }
  return strongest;
}
