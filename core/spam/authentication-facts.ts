/**
 * What the authentication stage found out, in the words of RFC 8601 §2.7, as the spam stage reads it from that stage's
 * verdict. A verdict that is missing or was skipped says nothing: null, never a failure.
 */

import type { Verdict } from '../filter/verdict.ts';

export interface AuthenticationFacts {
  /** `pass`, `fail`, `softfail`, `neutral`, `none`, `temperror`, `permerror`; '' for not known. */
  readonly spf: string;
  readonly dkim: string;
  readonly dmarc: string;
  readonly arc: string;
  /** Some passing domain belongs to the organisation in From. */
  readonly aligned: boolean;
}

/** A result given as a word, as `{ result }`, `{ status: { result } }`, or as a list of these (the best one counts). */
function word(value: unknown): string {
  if (typeof value === 'string') return value.toLowerCase();
  if (Array.isArray(value)) {
    const words = value.map(word).filter((one) => one !== '');
    return words.includes('pass') ? 'pass' : (words[0] ?? '');
  }
  if (value === null || typeof value !== 'object') return '';
  const { result, status, results } = value as { result?: unknown; status?: unknown; results?: unknown };
  return word(result ?? status ?? results);
}

export function authenticationFacts(verdict: Verdict | undefined): AuthenticationFacts | null {
  if (verdict === undefined || verdict.skipped) return null;
  const { spf, dkim, dmarc, arc, aligned } = verdict.facts;
  const result = { spf: word(spf), dkim: word(dkim), dmarc: word(dmarc), arc: word(arc) };
  if (result.spf === '' && result.dkim === '' && result.dmarc === '') return null;
  return { ...result, aligned: aligned === true || result.dmarc === 'pass' };
}
