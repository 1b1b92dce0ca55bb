/** Where an interrupted import goes on: one small file of the data folder for each account and source. */

import { createHash } from 'node:crypto';
import { mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';

/** Repeating what was done since then costs time only. */
const SAVE_MS = 2000;

export class ResumeFile {
  readonly #path: string;
  readonly #now: () => number;
  #saved: number;
  #saving: Promise<void> = Promise.resolve();

  /** @param parts what makes this import another than any other */
  constructor(dataDir: string, parts: readonly string[], now: () => number) {
    const digest = createHash('sha256').update(parts.join('\0')).digest('hex').slice(0, 32);
    this.#path = join(dataDir, 'import', `${digest}.json`);
    this.#now = now;
    this.#saved = now();
  }

  async load(): Promise<string | null> {
    try {
      return (JSON.parse(await readFile(this.#path, 'utf8')) as { resume: string }).resume;
    } catch (error) {
      // None, or one that a power loss cut: from the beginning, then.
      if (error instanceof SyntaxError || (error as NodeJS.ErrnoException).code === 'ENOENT') return null;
      throw error;
    }
  }

  async save(resume: string): Promise<void> {
    const now = this.#now();
    if (now - this.#saved < SAVE_MS) return;
    this.#saved = now;
    this.#saving = this.#saving.then(async () => {
      await mkdir(dirname(this.#path), { recursive: true, mode: 0o700 });
      await writeFile(`${this.#path}.new`, JSON.stringify({ resume }));
      await rename(`${this.#path}.new`, this.#path);
    });
    await this.#saving;
  }

  async remove(): Promise<void> {
    await this.#saving;
    await rm(this.#path, { force: true });
  }
}
