/**
 * The flag sets that occur in one mailbox, each once, with the bytes in which FETCH shows it: a row names its set by
 * number. Numbers are never given to another set; a table that has grown full of unused sets is replaced as a whole.
 */

import type { FlagSet } from '../mail/flags.ts';

export interface FlagEntry {
  readonly names: FlagSet;
  /** Names in lower case. */
  readonly lower: ReadonlySet<string>;
  readonly seen: boolean;
  readonly deleted: boolean;
  /** `FLAGS (\Seen)` */
  readonly bytes: Uint8Array;
  /** The same with \Recent, which is a session's own view (RFC 3501 §2.3.2). */
  readonly recentBytes: Uint8Array;
}

const flagsBytes = (names: readonly string[]): Uint8Array => Buffer.from(`FLAGS (${names.join(' ')})`, 'latin1');

export class FlagTable {
  readonly entries: FlagEntry[] = [];
  /** Keywords in order of their appearance. */
  readonly keywords: string[] = [];
  readonly #numbers = new Map<string, number>();
  readonly #keywordsLower = new Set<string>();
  /** Length of the longest `recentBytes`. */
  bytesMax = 0;

  get size(): number {
    return this.entries.length;
  }

  /** The number of a canonical set; sets that differ in the case of keywords only are one (RFC 9051 §2.3.2). */
  number(names: FlagSet): number {
    const key = names.join(' ').toLowerCase();
    let number = this.#numbers.get(key);
    if (number === undefined) {
      number = this.entries.length;
      this.#numbers.set(key, number);
      this.#add(names);
    }
    return number;
  }

  get(number: number): FlagEntry {
    return this.entries[number]!;
  }

  #add(names: FlagSet): void {
    const lower = new Set(names.map((name) => name.toLowerCase()));
    const recentBytes = flagsBytes([...names, '\\Recent']);
    this.bytesMax = Math.max(this.bytesMax, recentBytes.length);
    this.entries.push({
      names,
      lower,
      seen: lower.has('\\seen'),
      deleted: lower.has('\\deleted'),
      bytes: flagsBytes(names),
      recentBytes,
    });
    for (const name of names) {
      const key = name.toLowerCase();
      if (name.startsWith('\\') || this.#keywordsLower.has(key)) continue;
      this.#keywordsLower.add(key);
      this.keywords.push(name);
    }
  }
}
