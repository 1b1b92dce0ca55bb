/** One tag of HTML read from its `<`, as a browser's tokenizer would: whatever is unclosed reaches to the end. */

export interface Tag {
  /** In lower case. */
  readonly name: string;
  readonly closing: boolean;
  /** Behind the `>`. */
  readonly end: number;
  /** The value of an attribute (named in lower case), '' when it has none. */
  attribute(name: string): string | undefined;
}

const ATTRIBUTES_MAX = 100;
const GREATER = 62;
const SLASH = 47;
const EQUALS = 61;

const isLetter = (code: number): boolean => (code | 32) >= 97 && (code | 32) <= 122;
const isSpace = (code: number): boolean => code === 32 || (code >= 9 && code <= 13);

/** undefined when the `<` at `open` begins no tag and is text. */
export function readTag(html: string, open: number): Tag | undefined {
  const closing = html.charCodeAt(open + 1) === SLASH;
  let at = open + (closing ? 2 : 1);
  if (!isLetter(html.charCodeAt(at))) return undefined;
  const nameStart = at;
  const length = html.length;
  const nameEnds = (code: number): boolean => isSpace(code) || code === GREATER || code === SLASH;
  while (at < length && !nameEnds(html.charCodeAt(at))) at++;
  const name = html.slice(nameStart, at).toLowerCase();
  let attributes: Map<string, string> | undefined;
  while (at < length) {
    const code = html.charCodeAt(at);
    if (code === GREATER) break;
    if (isSpace(code) || code === SLASH || code === EQUALS) {
      at++;
      continue;
    }
    const keyStart = at;
    while (at < length && !nameEnds(html.charCodeAt(at)) && html.charCodeAt(at) !== EQUALS) at++;
    const key = html.slice(keyStart, at).toLowerCase();
    while (at < length && isSpace(html.charCodeAt(at))) at++;
    let value = '';
    if (html.charCodeAt(at) === EQUALS) {
      at++;
      while (at < length && isSpace(html.charCodeAt(at))) at++;
      const quote = html[at];
      if (quote === '"' || quote === "'") {
        const close = html.indexOf(quote, at + 1);
        const stop = close < 0 ? length : close;
        value = html.slice(at + 1, stop);
        at = stop + 1;
      } else {
        const valueStart = at;
        while (at < length && !isSpace(html.charCodeAt(at)) && html.charCodeAt(at) !== GREATER) at++;
        value = html.slice(valueStart, at);
      }
    }
    attributes ??= new Map();
    if (attributes.size < ATTRIBUTES_MAX && !attributes.has(key)) attributes.set(key, value);
  }
  return { name, closing, end: Math.min(length, at + 1), attribute: (wanted) => attributes?.get(wanted) };
}
