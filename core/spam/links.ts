/**
 * Links of a message, taken apart by hand: a link is written to deceive, so nothing here trusts that it is well formed,
 * and each is looked at up to a fixed length.
 */

export interface Link {
  /** Lower case, without a port; '' when there is none. */
  readonly host: string;
  readonly path: string;
  readonly port: boolean;
  /** Something stands before an @ in the authority. */
  readonly user: boolean;
  /** The host is a number or an address literal. */
  readonly address: boolean;
}

const LINK_LENGTH_MAX = 500;

/** null for what is no http(s) or ftp link. */
export function parseLink(url: string): Link | null {
  const text = url.slice(0, LINK_LENGTH_MAX).toLowerCase().trim();
  const colon = text.indexOf('://');
  if (colon === -1 || colon > 8) return null;
  const scheme = text.slice(0, colon);
  if (scheme !== 'http' && scheme !== 'https' && scheme !== 'ftp') return null;
  let end = colon + 3;
  while (end < text.length && !'/?#\\ "<>\n\r\t'.includes(text[end]!)) end++;
  const authority = text.slice(colon + 3, end);
  const at = authority.lastIndexOf('@');
  const place = authority.slice(at + 1);
  const port = place.startsWith('[') ? place.indexOf(']:') + 1 : place.indexOf(':');
  const host = (port > 0 ? place.slice(0, port) : place).replace(/\.$/, '');
  const address = host.startsWith('[') || isNumeric(host);
  return { host, path: text.slice(end), port: port > 0, user: at !== -1, address };
}

/** `10.1.2.3`, `0x7f.1` and `3232235777` alike. */
function isNumeric(host: string): boolean {
  if (host === '') return false;
  const last = host.slice(host.lastIndexOf('.') + 1);
  return /^(?:\d{1,10}|0x[\da-f]{1,8})$/.test(last);
}

/** Starts of links in plain text, in order; at most `max`. */
export function linksInText(text: string, max: number): string[] {
  const found: string[] = [];
  let from = 0;
  while (found.length < max) {
    const colon = text.indexOf('://', from);
    if (colon === -1) break;
    let start = colon;
    while (start > from && colon - start < 6) {
      const code = text.charCodeAt(start - 1) | 32;
      if (code < 0x61 || code > 0x7a) break;
      start--;
    }
    let end = colon + 3;
    const limit = Math.min(text.length, colon + LINK_LENGTH_MAX);
    while (end < limit && text.charCodeAt(end) > 0x20 && !'<>"\')]}'.includes(text[end]!)) end++;
    found.push(text.slice(start, end));
    from = end;
  }
  return found;
}
