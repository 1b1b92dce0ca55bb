/**
 * Flag sets are kept once per shard and named by number in the rows. This memory of them lives for one commit only, so
 * that a commit which is undone can't leave a number behind that the table does not have.
 */

import { type FlagSet, hasFlag } from '../../core/mail/flags.ts';
import type { CommitStatements } from './mail-store-statements.ts';

export interface FlagInfo {
  readonly id: number;
  readonly names: FlagSet;
  readonly seen: boolean;
  readonly deleted: boolean;
}
export class FlagSets {
  readonly #sql: CommitStatements;
  readonly #byId = new Map<number, FlagInfo>();
  readonly #byNames = new Map<string, FlagInfo>();

  constructor(sql: CommitStatements) {
    this.#sql = sql;
  }

  /** The number of a canonical set, made when it is new. */
  intern(names: FlagSet): FlagInfo {
    const text = JSON.stringify(names);
    const known = this.#byNames.get(text);
    if (known !== undefined) return known;
    const seen = hasFlag(names, '\\Seen');
    const deleted = hasFlag(names, '\\Deleted');
    const row = this.#sql.flagSetNamed.get(text) as { id: number } | undefined;
    const id = row?.id ?? Number(this.#sql.addFlagSet.run(text, Number(seen), Number(deleted)).lastInsertRowid);
    return this.#remember(text, { id, names, seen, deleted });
  }

  get(id: number): FlagInfo {
    const known = this.#byId.get(id);
    if (known !== undefined) return known;
    const { names: text } = this.#sql.flagSet.get(id) as { names: string };
    const names = JSON.parse(text) as string[];
    return this.#remember(text, { id, names, seen: hasFlag(names, '\\Seen'), deleted: hasFlag(names, '\\Deleted') });
  }

  #remember(text: string, info: FlagInfo): FlagInfo {
    this.#byId.set(info.id, info);
    this.#byNames.set(text, info);
    return info;
  }
}
