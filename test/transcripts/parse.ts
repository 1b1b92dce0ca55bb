/** Reads dialogues from their text (README.md beside this file). */

import assert from 'node:assert/strict';

export type Step =
  | { readonly t: 'client'; readonly connection: number; readonly bytes: string }
  /** Lines in any order; with `skip` others may come before. */
  | { readonly t: 'server'; readonly connection: number; readonly lines: readonly string[]; readonly skip: boolean }
  | { readonly t: 'close'; readonly connection: number }
  | { readonly t: 'action'; readonly connection: number; readonly name: string; readonly args: string };

export interface Dialogue {
  readonly file: string;
  readonly title: string;
  readonly header: ReadonlyMap<string, string>;
  readonly steps: readonly Step[];
}

export function parseDialogues(text: string, file: string): Dialogue[] {
  const [before, ...parts] = text.split(/^== /m);
  assert.equal(before!.trim(), '', `${file}: text before the first title`);
  return parts.map((part) => parseDialogue(part, file));
}

function parseDialogue(part: string, file: string): Dialogue {
  const lines = part.split('\n');
  const title = lines[0]!.trim();
  const header = new Map<string, string>();
  let at = 1;
  for (; at < lines.length && lines[at]!.trim() !== ''; at++) {
    const match = /^([a-z-]+): (.*)$/.exec(lines[at]!);
    assert.ok(match !== null, `${file}: ${title}: not a header line: ${lines[at]}`);
    header.set(match[1]!, match[2]!.trim());
  }
  assert.ok(header.has('rfc'), `${file}: ${title}: the header names no rfc`);
  return { file, title, header, steps: parseSteps(lines.slice(at), `${file}: ${title}`) };
}

function parseSteps(lines: readonly string[], where: string): Step[] {
  const steps: Step[] = [];
  let skip = false;
  let block: string[] | null = null;
  for (const line of lines) {
    if (line.trim() === '' || line.startsWith('#')) continue;
    const action = /^([0-9]?)! (\S+) ?(.*)$/.exec(line);
    if (action !== null) {
      const number = action[1] === '' ? 1 : Number(action[1]);
      steps.push({ t: 'action', connection: number, name: action[2]!, args: action[3]! });
      continue;
    }
    const match = /^([0-9]?)(C:|C!|S:) ?(.*)$/.exec(line);
    assert.ok(match !== null, `${where}: not a line of a dialogue: ${line}`);
    const connection = match[1] === '' ? 1 : Number(match[1]);
    const rest = utf8Bytes(match[3]!);
    if (match[2] === 'C:') steps.push({ t: 'client', connection, bytes: `${rest}\r\n` });
    else if (match[2] === 'C!') steps.push({ t: 'client', connection, bytes: unescaped(rest) });
    else if (rest === '<close>') steps.push({ t: 'close', connection });
    else if (rest === '...') skip = true;
    else if (rest === '{') block = [];
    else if (rest === '}') {
      steps.push({ t: 'server', connection, lines: block!, skip });
      block = null;
      skip = false;
    } else if (block !== null) block.push(rest);
    else {
      steps.push({ t: 'server', connection, lines: [rest], skip });
      skip = false;
    }
  }
  return steps;
}

/** One character per byte, as everything on the wire. */
const utf8Bytes = (text: string): string => Buffer.from(text, 'utf8').toString('latin1');

function unescaped(text: string): string {
  const repeated = text.replace(/\\\{(.*?)\*([0-9]+)\}/g, (_, piece: string, count: string) =>
    piece.repeat(Number(count)),
  );
  return repeated.replace(/\\(?:x([0-9a-fA-F]{2})|([rnt0\\]))/g, (_, hex: string | undefined, name: string) => {
    if (hex !== undefined) return String.fromCharCode(Number.parseInt(hex, 16));
    return { r: '\r', n: '\n', t: '\t', '0': '\0', '\\': '\\' }[name]!;
  });
}
