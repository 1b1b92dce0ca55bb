/** Character references of HTML in text: numbers, Latin-1's names and the few others that mail uses. */

const LATIN1_NAMES =
  'nbsp iexcl cent pound curren yen brvbar sect uml copy ordf laquo not shy reg macr deg plusmn sup2 sup3 acute micro ' +
  'para middot cedil sup1 ordm raquo frac14 frac12 frac34 iquest Agrave Aacute Acirc Atilde Auml Aring AElig Ccedil ' +
  'Egrave Eacute Ecirc Euml Igrave Iacute Icirc Iuml ETH Ntilde Ograve Oacute Ocirc Otilde Ouml times Oslash Ugrave ' +
  'Uacute Ucirc Uuml Yacute THORN szlig agrave aacute acirc atilde auml aring aelig ccedil egrave eacute ecirc euml ' +
  'igrave iacute icirc iuml eth ntilde ograve oacute ocirc otilde ouml divide oslash ugrave uacute ucirc uuml yacute ' +
  'thorn yuml';

const NAMED = new Map<string, string>([
  ...LATIN1_NAMES.split(' ').map((name, index): [string, string] => [name, String.fromCharCode(160 + index)]),
  ...Object.entries({
    amp: '&',
    lt: '<',
    gt: '>',
    quot: '"',
    apos: "'",
    AMP: '&',
    LT: '<',
    GT: '>',
    QUOT: '"',
    OElig: 'Œ',
    oelig: 'œ',
    Scaron: 'Š',
    scaron: 'š',
    Yuml: 'Ÿ',
    fnof: 'ƒ',
    circ: 'ˆ',
    tilde: '˜',
    ensp: '\u2002',
    emsp: '\u2003',
    thinsp: '\u2009',
    zwnj: '\u200c',
    zwj: '\u200d',
    lrm: '\u200e',
    rlm: '\u200f',
    ndash: '–',
    mdash: '—',
    lsquo: '‘',
    rsquo: '’',
    sbquo: '‚',
    ldquo: '“',
    rdquo: '”',
    bdquo: '„',
    dagger: '†',
    Dagger: '‡',
    bull: '•',
    hellip: '…',
    permil: '‰',
    prime: '′',
    Prime: '″',
    lsaquo: '‹',
    rsaquo: '›',
    euro: '€',
    trade: '™',
    larr: '←',
    rarr: '→',
    minus: '−',
    infin: '∞',
    ne: '≠',
    le: '≤',
    ge: '≥',
    check: '✓',
    star: '☆',
    starf: '★',
  }),
]);

const NAME_LENGTH_MAX = 10;
const NUMBER_LENGTH_MAX = 9;

const isAlphanumeric = (code: number): boolean =>
  (code >= 48 && code <= 57) || (code >= 65 && code <= 90) || (code >= 97 && code <= 122);

/** HTML takes the C1 numbers for windows-1252's characters. */
const windows1252 = new TextDecoder('windows-1252');

function numbered(digits: string, base: number): string {
  const code = Number.parseInt(digits, base);
  if (code >= 128 && code < 160) return windows1252.decode(Uint8Array.of(code));
  return code === 0 || code > 0x10ffff || (code >= 0xd800 && code < 0xe000) ? '\ufffd' : String.fromCodePoint(code);
}

/** The characters that the reference at `at` (an ampersand) stands for, and where it ends; undefined: it is none. */
function reference(text: string, at: number): { value: string; end: number } | undefined {
  const isNumber = text.charCodeAt(at + 1) === 35;
  const isHex = isNumber && (text.charCodeAt(at + 2) | 32) === 120;
  const start = at + (isHex ? 3 : isNumber ? 2 : 1);
  const stop = Math.min(text.length, start + (isNumber ? NUMBER_LENGTH_MAX : NAME_LENGTH_MAX));
  let end = start;
  while (end < stop && isAlphanumeric(text.charCodeAt(end))) end++;
  const name = text.slice(start, end);
  let value: string | undefined;
  if (isHex) value = /^[0-9a-f]+$/i.test(name) ? numbered(name, 16) : undefined;
  else if (isNumber) value = /^[0-9]+$/.test(name) ? numbered(name, 10) : undefined;
  else value = NAMED.get(name);
  return value === undefined ? undefined : { value, end: text.charCodeAt(end) === 59 ? end + 1 : end };
}

/** Text with its character references resolved; what is none stays. */
export function decodeEntities(text: string): string {
  let at = text.indexOf('&');
  if (at < 0) return text;
  let result = '';
  let from = 0;
  while (at >= 0) {
    const found = reference(text, at);
    if (found !== undefined) {
      result += text.slice(from, at) + found.value;
      from = found.end;
    }
    at = text.indexOf('&', found?.end ?? at + 1);
  }
  return result + text.slice(from);
}
