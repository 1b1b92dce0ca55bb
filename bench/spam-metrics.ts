/** Measures of a ranking of labelled messages. */

export interface Scored {
  readonly spam: boolean;
  /** Logit: above 0 means spam at p = .5. */
  readonly logit: number;
}

/** (1 − area under the ROC curve) in percent; ties count half. */
export function rocaComplement(scored: readonly Scored[]): number {
  const sorted = [...scored].sort((a, b) => a.logit - b.logit);
  let spam = 0;
  let ranks = 0;
  for (let i = 0; i < sorted.length; ) {
    let end = i;
    while (end < sorted.length && sorted[end]!.logit === sorted[i]!.logit) end++;
    const rank = (i + 1 + end) / 2;
    for (; i < end; i++) {
      if (!sorted[i]!.spam) continue;
      spam++;
      ranks += rank;
    }
  }
  const ham = sorted.length - spam;
  return 100 * (1 - (ranks - (spam * (spam + 1)) / 2) / (spam * ham));
}

/** Percent judged rightly at p = .5. */
export const accuracy = (scored: readonly Scored[]): number =>
  (100 * scored.filter((one) => one.logit > 0 === one.spam).length) / scored.length;

/** The logit above which a share of ham lies. */
export function thresholdAt(scored: readonly Scored[], share: number): number {
  const ham = scored.filter((one) => !one.spam).map((one) => one.logit);
  ham.sort((a, b) => b - a);
  return ham[Math.floor(ham.length * share)] ?? 0;
}

/** Percent of spam above a logit. */
export function recallAbove(logits: readonly number[], threshold: number): number {
  return (100 * logits.filter((logit) => logit > threshold).length) / logits.length;
}

/** Seeded, so that every run is the same: mulberry32. */
export function seeded(seed: number): () => number {
  let state = seed | 0;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4_294_967_296;
  };
}
