/** What stands at the head of a program is its help. */

import { readFile } from 'node:fs/promises';

/** The lines of the comment that the file begins with. */
export async function headOf(file: string): Promise<readonly string[]> {
  const lines = (await readFile(file, 'utf8')).split('\n');
  return lines.slice(1, lines.indexOf(' */')).map((line) => line.slice(3));
}
