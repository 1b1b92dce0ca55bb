/**
 * The syntax of SMTP commands (RFC 5321 §4.1.1 and §4.1.2): verb and argument, paths in angle brackets, and the
 * parameters of MAIL and RCPT. Exact: what the grammar does not have is null, never guessed at.
 */

interface Command {
  /** In capitals; '' where the line begins with no word. */
  readonly verb: string;
  /** What stands behind the first space, without white space at the end (RFC 5321 §4.1.1 wants that tolerated). */
  readonly argument: string;
}

/** Longer words are nobody's verb, and are not put into the log. */
const VERB_LENGTH_MAX = 32;

export function parseCommand(line: string): Command {
  const text = trimEnd(line);
  const space = text.indexOf(' ');
  const verb = space < 0 ? text : text.slice(0, space);
  if (verb.length > VERB_LENGTH_MAX || !/^[A-Za-z]+$/.test(verb)) return { verb: '', argument: '' };
  return { verb: verb.toUpperCase(), argument: space < 0 ? '' : text.slice(space + 1) };
}

/** Without blanks and tabs at the end; a loop, since a pattern for it is quadratic. */
function trimEnd(text: string): string {
  let end = text.length;
  while (end > 0 && (text[end - 1] === ' ' || text[end - 1] === '\t')) end--;
  return text.slice(0, end);
}

interface PathArgument {
  /** Without the angle brackets. */
  readonly path: string;
  /** By keyword in capitals; null where there is no value. */
  readonly parameters: ReadonlyMap<string, string | null>;
}

/**
 * `FROM:<path> parameters` or `TO:<path> parameters`. RFC 5321 §3.3: no space stands on either side of the colon.
 * @param word with the colon, in capitals
 */
export function parsePathArgument(argument: string, word: 'FROM:' | 'TO:'): PathArgument | null {
  if (argument.slice(0, word.length).toUpperCase() !== word || argument[word.length] !== '<') return null;
  const start = word.length + 1;
  const end = closingBracket(argument, start);
  if (end < 0) return null;
  const parameters = parseParameters(argument.slice(end + 1));
  return parameters === null ? null : { path: argument.slice(start, end), parameters };
}

/** The `>` that ends the path: not one inside a quoted local part. −1 where there is none. */
function closingBracket(text: string, start: number): number {
  let quoted = false;
  for (let i = start; i < text.length; i++) {
    const character = text[i];
    if (quoted && character === '\\') i++;
    else if (character === '"') quoted = !quoted;
    else if (character === '>' && !quoted) return i;
  }
  return -1;
}

/** `1*(SP esmtp-param)`, RFC 5321 §4.1.2 with RFC 6531 §3.3; a keyword given twice is an error. */
function parseParameters(text: string): ReadonlyMap<string, string | null> | null {
  const parameters = new Map<string, string | null>();
  if (text === '') return parameters;
  const [before, ...words] = text.split(' ');
  if (before !== '') return null;
  for (const word of words) {
    const equals = word.indexOf('=');
    const keyword = equals < 0 ? word : word.slice(0, equals);
    const value = equals < 0 ? null : word.slice(equals + 1);
    if (!/^[A-Za-z0-9][A-Za-z0-9-]*$/.test(keyword)) return null;
    if (value !== null && !/^[\x21-\x3c\x3e-\x7e\u0080-\u{10ffff}]+$/u.test(value)) return null;
    const upper = keyword.toUpperCase();
    if (parameters.has(upper)) return null;
    parameters.set(upper, value);
  }
  return parameters;
}

/** xtext, RFC 3461 §4: null where it is none. */
export function decodeXtext(text: string): string | null {
  if (!/^(?:[\x21-\x2a\x2c-\x3c\x3e-\x7e]|\+[0-9A-F]{2})*$/.test(text)) return null;
  return text.replace(/\+([0-9A-F]{2})/g, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)));
}
