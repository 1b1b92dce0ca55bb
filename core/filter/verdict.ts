/**
 * What a filter stage says about one message: kept with the message's record, shown by `trace`, and read by the stages
 * that need it.
 */

export const STAGES = ['authentication', 'attachments', 'spam', 'placement', 'delivery'] as const;
export type Stage = (typeof STAGES)[number];

export interface Verdict {
  readonly stage: Stage;
  /** One word of the stage's own vocabulary: `pass`, `fail`, `ham`, `spam`, `split`, `delivered`, `skipped`, … */
  readonly result: string;
  /** Probability, count or 0…1 score where the stage has one. */
  readonly score: number | null;
  /** Why, in words for people, most important first. */
  readonly reasons: readonly string[];
  /** Version of what decided: a model id, a package version, a rule set. */
  readonly version: string;
  readonly durationMs: number;
  /** Milliseconds since 1970 at the verdict. */
  readonly at: number;
  /** Header fields to prepend to the stored message, each complete with CRLF. */
  readonly headers: readonly string[];
  /** For the stages behind: plain JSON, small (at most 16 KiB); never a body. */
  readonly facts: Readonly<Record<string, unknown>>;
  /** The stage was absent or broken and its policy said to go on without it. */
  readonly skipped: boolean;
}
