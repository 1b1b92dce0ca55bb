/**
 * One process per data folder: an exclusive lock on a small database of its own, held while the process lives and let go
 * by the system however the process ends.
 */

import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';

class DataInUse extends Error {
  readonly code = 'DATA_IN_USE';
  constructor(folder: string) {
    super(`the data folder ${folder} is in use by another process`);
  }
}

export class DataLock {
  readonly #db: DatabaseSync;

  /** Throws DataInUse when another process holds it. */
  constructor(folder: string) {
    this.#db = new DatabaseSync(join(folder, 'lock.db'));
    try {
      this.#db.exec('PRAGMA busy_timeout = 0; PRAGMA locking_mode = EXCLUSIVE; BEGIN EXCLUSIVE');
    } catch (error) {
      this.#db.close();
      // SQLITE_BUSY
      if ((error as { errcode?: number }).errcode === 5) throw new DataInUse(folder);
      throw error;
    }
  }

  release(): void {
    this.#db.close();
  }
}
