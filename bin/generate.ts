/**
 * Writes the files that follow from others; with `--check` only tells which are stale. Each generated file is one row of
 * FILES, so the check and the writer can't differ.
 */

import { readFile, writeFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { configPage } from './config-page.ts';
import { optionsEnv } from './options-env.ts';

const FILES: readonly { readonly path: string; readonly text: () => string }[] = [
  { path: 'docs/config.md', text: configPage },
  { path: 'k8s/base/options.env', text: optionsEnv },
];

/** Paths of generated files whose text is not what it should be. */
export async function staleFiles(): Promise<string[]> {
  const stale: string[] = [];
  for (const { path, text } of FILES) {
    const there = await readFile(new URL(`../${path}`, import.meta.url), 'utf8').catch(
      (error: NodeJS.ErrnoException) => {
        if (error.code === 'ENOENT') return undefined;
        throw error;
      },
    );
    if (there !== text()) stale.push(path);
  }
  return stale;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const stale = await staleFiles();
  if (process.argv.includes('--check')) {
    for (const path of stale) console.error(`${path} is stale: run npm run generate`);
    process.exitCode = stale.length === 0 ? 0 : 1;
  } else {
    for (const { path, text } of FILES)
      if (stale.includes(path)) await writeFile(new URL(`../${path}`, import.meta.url), text());
    console.log(stale.length === 0 ? 'Generated files were fresh.' : `Wrote ${stale.join(', ')}.`);
  }
}
