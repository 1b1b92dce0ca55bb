/** Patterns of server lines: `...` for any characters, `$name` for one word that is remembered. */

import assert from 'node:assert/strict';

export type Captures = Map<string, string>;

const TOKEN = /\.\.\.|\$[a-z][a-zA-Z0-9]*/g;

const quoted = (text: string): string => text.replace(/[.*+?^${}()|[\]\\]/g, '\\$&');

/** Whether the line is like the pattern; what new names stand for is remembered when it is. */
export function matchLine(pattern: string, line: string, captures: Captures): boolean {
  const names: string[] = [];
  let source = '';
  let at = 0;
  for (const token of pattern.matchAll(TOKEN)) {
    source += quoted(pattern.slice(at, token.index));
    at = token.index + token[0].length;
    const name = token[0].slice(1);
    const known = captures.get(name);
    if (token[0] === '...') source += '.*';
    else if (known !== undefined) source += quoted(known);
    else if (names.includes(name)) source += `\\${names.indexOf(name) + 1}`;
    else {
      names.push(name);
      source += '([^\\s()\\[\\]]+)';
    }
  }
  const match = new RegExp(`^${source}${quoted(pattern.slice(at))}$`, 's').exec(line);
  if (match === null) return false;
  for (const [index, name] of names.entries()) captures.set(name, match[index + 1]!);
  return true;
}

/** The text with every `$name` replaced by what it stands for. */
export const substitute = (text: string, captures: Captures): string =>
  text.replace(/\$([a-z][a-zA-Z0-9]*)/g, (_, name: string) => {
    const value = captures.get(name);
    assert.ok(value !== undefined, `$${name} stands for nothing yet`);
    return value;
  });
