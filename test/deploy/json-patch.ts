/** JSON Patch (RFC 6902) with the operations that the overlays use; any other is an error. Patches in place. */

export type Json = null | boolean | number | string | Json[] | { [name: string]: Json };

export interface Operation {
  readonly op: string;
  readonly path: string;
  readonly value?: Json;
}

/** RFC 6901 §4: `~1` is `/` and `~0` is `~`, decoded in this order. */
const tokensOf = (path: string): string[] =>
  path
    .split('/')
    .slice(1)
    .map((token) => token.replaceAll('~1', '/').replaceAll('~0', '~'));

function child(parent: Json, token: string, path: string): Json {
  const value = Array.isArray(parent)
    ? parent[Number(token)]
    : typeof parent === 'object' && parent !== null
      ? parent[token]
      : undefined;
  if (value === undefined) throw new Error(`patch ${path}: there is no ${token}`);
  return value;
}

export function applyPatch(target: Json, operations: readonly Operation[]): void {
  for (const { op, path, value } of operations) {
    if (op !== 'add' && op !== 'replace' && op !== 'remove') throw new Error(`patch ${path}: ${op} is not supported`);
    if (op !== 'remove' && value === undefined) throw new Error(`patch ${path}: no value`);
    const tokens = tokensOf(path);
    const last = tokens.pop();
    if (last === undefined) throw new Error(`patch ${path}: names no place inside of the object`);
    const parent = tokens.reduce((at, token) => child(at, token, path), target);
    if (op !== 'add') child(parent, last, path);
    if (Array.isArray(parent)) {
      const index = last === '-' ? parent.length : Number(last);
      if (!Number.isInteger(index) || index < 0 || index > parent.length)
        throw new Error(`patch ${path}: no such index`);
      parent.splice(index, op === 'add' ? 0 : 1, ...(op === 'remove' ? [] : [value!]));
    } else if (typeof parent === 'object' && parent !== null) {
      if (op === 'remove') delete parent[last];
      else parent[last] = value!;
    } else throw new Error(`patch ${path}: no object and no list there`);
  }
}
