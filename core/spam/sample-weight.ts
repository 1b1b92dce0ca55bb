/**
 * How much one label counts in training: its own weight × the user's reputation × age × class balance × caps. Labels are
 * given in the order of the log and each is weighed by what came before it, so that the same log gives the same weights.
 */

import type { Sample } from '../ports/sample-store.ts';

const DAY_MS = 86_400_000;
const HALF_LIFE_DAYS = 30;
/** Beyond these, the n-th label counts cap / n. */
const USER_DAY_MAX = 100;
const CAMPAIGN_MAX = 5;
const SENDER_MAX = 200;
/** So many users have to agree before a mailing that users disagree about is learned from. */
const INDEPENDENT_USERS = 3;
/** A new user's labels, where there are others to compare with. */
const NEW_USER_WEIGHT = 0.3;
/** Observations after which a reputation counts half. */
const REPUTATION_RAMP = 3;
/** |logit| from which the model is confident enough to be held against a label: p beyond 0.14 and 0.86. */
const CONFIDENT = 1.8;
/** Beyond p 0.08 and 0.92 a contradicting label of one of many users counts half: the others can confirm it. */
const DOUBTFUL = 2.4;
const DOUBTFUL_WEIGHT = 0.5;
/** Fewer users than this are no crowd: nobody's labels can be held against those of others. */
const CROWD = 3;

/** Labels of each class that are taken for granted before the shares mean anything. */
const CLASS_PRIOR = 200;

interface Standing {
  agreed: number;
  disagreed: number;
}

interface Mailing {
  readonly users: { readonly spam: Set<string>; readonly ham: Set<string> };
  readonly labels: { spam: number; ham: number };
}

export class SampleWeigher {
  readonly #now: number;
  readonly #standings = new Map<string, Standing>();
  readonly #userDays = new Map<string, number>();
  readonly #senders = new Map<string, number>();
  readonly #mailings = new Map<number, Mailing>();
  readonly #classes = { spam: 0, ham: 0 };

  /** @param now milliseconds since 1970: ages are counted back from here */
  constructor(now: number) {
    this.#now = now;
  }

  /**
   * The weight of the next label of the log. Whether the user agrees with a model that is confident, and has not learned
   * the label yet, makes the user's reputation.
   * @param logit what that model thinks of the message
   */
  weigh(
    sample: Pick<Sample, 'account' | 'sender' | 'label' | 'weight' | 'at'>,
    campaign: number,
    logit: number,
  ): number {
    const label = sample.label === 'spam' ? 'spam' : 'ham';
    const agrees = logit > 0 === (label === 'spam');
    const age = Math.max(0, this.#now - sample.at) / DAY_MS;
    const weight =
      sample.weight *
      2 ** (-age / HALF_LIFE_DAYS) *
      this.#reputation(sample.account) *
      (this.#crowd && !agrees && Math.abs(logit) > DOUBTFUL ? DOUBTFUL_WEIGHT : 1) *
      this.#balance(label) *
      capped(this.#userDays, `${sample.account}/${Math.floor(sample.at / DAY_MS)}`, USER_DAY_MAX) *
      capped(this.#senders, `${sample.sender}/${label}`, SENDER_MAX) *
      this.#mailing(campaign, label, sample.account);
    if (Math.abs(logit) > CONFIDENT) {
      const standing = this.#standing(sample.account);
      if (agrees) standing.agreed++;
      else standing.disagreed++;
    }
    return weight;
  }

  get #crowd(): boolean {
    return this.#standings.size >= CROWD;
  }

  /** 0 … 1: Beta counts with prior 2:1; half right and below is worth nothing. */
  #reputation(account: string): number {
    const { agreed, disagreed } = this.#standing(account);
    if (!this.#crowd) return 1;
    const seen = agreed + disagreed;
    const mean = (2 + agreed) / (3 + seen);
    const earned = Math.min(1, Math.max(0, (mean - 0.5) / 0.4));
    return NEW_USER_WEIGHT + ((earned - NEW_USER_WEIGHT) * seen) / (seen + REPUTATION_RAMP);
  }

  #standing(account: string): Standing {
    let standing = this.#standings.get(account);
    if (standing === undefined) {
      standing = { agreed: 0, disagreed: 0 };
      this.#standings.set(account, standing);
    }
    return standing;
  }

  /** Raises the rarer class a little: by the root of how rare it is, half as much again at most. */
  #balance(label: 'spam' | 'ham'): number {
    this.#classes[label]++;
    const total = this.#classes.spam + this.#classes.ham + 2 * CLASS_PRIOR;
    return Math.min(1.5, Math.max(0.7, Math.sqrt(total / (2 * (this.#classes[label] + CLASS_PRIOR)))));
  }

  #mailing(campaign: number, label: 'spam' | 'ham', account: string): number {
    let mailing = this.#mailings.get(campaign);
    if (mailing === undefined) {
      mailing = { users: { spam: new Set(), ham: new Set() }, labels: { spam: 0, ham: 0 } };
      this.#mailings.set(campaign, mailing);
    }
    const count = ++mailing.labels[label];
    const same = mailing.users[label];
    const others = mailing.users[label === 'spam' ? 'ham' : 'spam'];
    others.delete(account);
    same.add(account);
    if (others.size > 0 && same.size < INDEPENDENT_USERS + others.size) return 0;
    return Math.min(1, CAMPAIGN_MAX / count);
  }
}

/** 1 for the first `max` of a key, then max / n. */
function capped(counts: Map<string, number>, key: string, max: number): number {
  const count = (counts.get(key) ?? 0) + 1;
  counts.set(key, count);
  return Math.min(1, max / count);
}
