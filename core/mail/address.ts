/**
 * Mailbox addresses as they stand in SMTP paths (RFC 5321 §4.1.2 and §4.1.3, RFC 6531 §3.3): reading, writing, and the
 * one spelling that directories compare. The parser is linear, never throws and takes nothing that the grammar does not.
 */

import { domainToASCII } from 'node:url';
import type { Address } from './envelope.ts';

interface AddressOptions {
  /** Whether UTF-8 may stand in the local part and U-labels in the domain. */
  readonly smtputf8: boolean;
  /** Octets of the local part, its quoting taken off; RFC 5321 §4.5.3.1.1 unless given. */
  readonly localPartOctetsMax?: number;
}

/** RFC 5321 §4.5.3.1.3 counts 256 octets for a path; its two angle brackets are not in what the parser is given. */
const PATH_OCTETS_MAX = 256;
const LOCAL_PART_OCTETS_MAX = 64;
const DOMAIN_OCTETS_MAX = 255;
/** RFC 1035 §2.3.4. */
const LABEL_OCTETS_MAX = 63;

const octets = (text: string): number => Buffer.byteLength(text);

/** atext, RFC 5322 §3.2.3; what is beyond ASCII is the caller's question. */
function isAtext(code: number): boolean {
  if (code > 127) return true;
  if (code <= 32 || code === 127) return false;
  switch (code) {
    case 0x22: // "
    case 0x28: // (
    case 0x29: // )
    case 0x2c: // ,
    case 0x2e: // .
    case 0x3a: // :
    case 0x3b: // ;
    case 0x3c: // <
    case 0x3e: // >
    case 0x40: // @
    case 0x5b: // [
    case 0x5c: // \
    case 0x5d: // ]
      return false;
    default:
      return true;
  }
}

function isDotString(text: string): boolean {
  let previous = 0x2e;
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i);
    if (code === 0x2e ? previous === 0x2e : !isAtext(code)) return false;
    previous = code;
  }
  return previous !== 0x2e;
}

/** Length of the Quoted-string (without its quotes: `content`) that `text` begins with, or null. */
function readQuoted(text: string): { readonly content: string; readonly length: number } | null {
  let content = '';
  for (let i = 1; i < text.length; i++) {
    const code = text.charCodeAt(i);
    if (code === 0x22) return { content, length: i + 1 };
    if (code === 0x5c) {
      i++;
      const quoted = text.charCodeAt(i);
      // quoted-pairSMTP is ASCII graphics and space only.
      if (!(quoted >= 32 && quoted <= 126)) return null;
      content += text[i];
    } else if (code < 32 || code === 127) return null;
    else content += text[i];
  }
  return null;
}

const ASCII = /^[\x20-\x7e]*$/;
const LABEL = /^[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?$/;

/**
 * A domain of U-labels in A-labels, or null. The characters and the number of labels are checked first, since
 * domainToASCII reads its input as a URL's host: it cuts at `/` and takes other full stops for dots.
 */
function toALabels(text: string): string | null {
  if (!/^[A-Za-z0-9.\-\u0080-\u{10ffff}]+$/u.test(text)) return null;
  const labels = text.split('.');
  const ascii = domainToASCII(text).split('.');
  if (labels.length !== ascii.length) return null;
  // RFC 5890 §2.3.2.1: what is a U-label has an A-label, which begins with xn--.
  return ascii.every((label, i) => ASCII.test(labels[i]!) || label.startsWith('xn--')) ? ascii.join('.') : null;
}

function isDomain(text: string, smtputf8: boolean): boolean {
  if (octets(text) > DOMAIN_OCTETS_MAX) return false;
  let ascii: string | null = text;
  if (!ASCII.test(text)) ascii = smtputf8 ? toALabels(text) : null;
  if (ascii === null || octets(ascii) > DOMAIN_OCTETS_MAX) return false;
  return ascii.split('.').every((label) => label.length <= LABEL_OCTETS_MAX && LABEL.test(label));
}

const isSnum = (text: string): boolean => /^[0-9]{1,3}$/.test(text) && Number(text) <= 255;

function isIPv4(text: string): boolean {
  const parts = text.split('.');
  return parts.length === 4 && parts.every(isSnum);
}

/** IPv6-addr, RFC 5321 §4.1.3: at most one `::`, which stands for two groups or more. */
function isIPv6(text: string): boolean {
  const halves = text.split('::');
  if (halves.length > 2) return false;
  let groups = 0;
  for (const [index, half] of halves.entries()) {
    if (half === '') continue;
    const parts = half.split(':');
    for (const [at, part] of parts.entries()) {
      const last = index === halves.length - 1 && at === parts.length - 1;
      if (last && part.includes('.')) {
        if (!isIPv4(part)) return false;
        groups += 2;
      } else {
        if (!/^[0-9A-Fa-f]{1,4}$/.test(part)) return false;
        groups++;
      }
    }
  }
  return halves.length === 2 ? text !== '' && groups <= 6 : groups === 8;
}

/** `[…]`, RFC 5321 §4.1.3. */
export function isAddressLiteral(text: string): boolean {
  if (!text.startsWith('[') || !text.endsWith(']')) return false;
  const inner = text.slice(1, -1);
  if (isIPv4(inner)) return true;
  const colon = inner.indexOf(':');
  if (colon < 1) return false;
  const tag = inner.slice(0, colon);
  const rest = inner.slice(colon + 1);
  if (tag.toLowerCase() === 'ipv6') return isIPv6(rest);
  return LABEL.test(tag) && /^[\x21-\x5a\x5e-\x7e]+$/.test(rest);
}

/** A source route's end: behind its colon; 0 where there is none, −1 where it is broken (RFC 5321 Appendix C). */
function routeEnd(text: string, smtputf8: boolean): number {
  if (!text.startsWith('@')) return 0;
  const colon = text.indexOf(':');
  if (colon < 0) return -1;
  const hops = text.slice(0, colon).split(',');
  return hops.every((hop) => hop.startsWith('@') && isDomain(hop.slice(1), smtputf8)) ? colon + 1 : -1;
}

/**
 * The mailbox of a path without its angle brackets, or null where the syntax is wrong or a limit is passed. A source
 * route is accepted and ignored. `postmaster` may stand alone (RFC 5321 §4.5.1): its domain is then ''.
 */
export function parseAddress(text: string, options: AddressOptions): Address | null {
  if (octets(text) > PATH_OCTETS_MAX) return null;
  if (!options.smtputf8 && !ASCII.test(text)) return null;
  const start = routeEnd(text, options.smtputf8);
  if (start < 0) return null;
  const mailbox = text.slice(start);
  if (start === 0 && mailbox.toLowerCase() === 'postmaster') return { localPart: mailbox, domain: '' };
  let localPart: string;
  let at: number;
  if (mailbox.startsWith('"')) {
    const quoted = readQuoted(mailbox);
    if (quoted === null) return null;
    localPart = quoted.content;
    at = quoted.length;
  } else {
    at = mailbox.indexOf('@');
    if (at < 1) return null;
    localPart = mailbox.slice(0, at);
    if (!isDotString(localPart)) return null;
  }
  if (mailbox[at] !== '@') return null;
  if (octets(localPart) > (options.localPartOctetsMax ?? LOCAL_PART_OCTETS_MAX)) return null;
  const domain = mailbox.slice(at + 1);
  if (domain.startsWith('[')) return isAddressLiteral(domain) ? { localPart, domain } : null;
  return isDomain(domain, options.smtputf8) ? { localPart, domain } : null;
}

/** The address as a path shows it, with the least quoting that it needs (RFC 5321 §4.1.2). */
export function formatAddress(address: Address): string {
  const { localPart, domain } = address;
  const shown = isDotString(localPart) ? localPart : `"${localPart.replace(/["\\]/g, '\\$&')}"`;
  return domain === '' ? shown : `${shown}@${domain}`;
}

/**
 * The spelling that directories compare: lower case, NFC, no quoting, the domain in A-labels. Case of local parts is
 * ignored here on purpose: RFC 5321 §2.4 leaves it to the host that owns the mailbox.
 */
export function normalizeAddress(address: Address): string {
  const { localPart, domain } = address;
  return `${localPart.normalize('NFC').toLowerCase()}@${normalizeDomain(domain)}`;
}

/** A domain in lower-case A-labels; what has none is only put into lower case. */
export function normalizeDomain(domain: string): string {
  if (ASCII.test(domain)) return domain.toLowerCase();
  return toALabels(domain) ?? domain.toLowerCase();
}

/** RFC 5233 §4: user and detail around the first separator; a leading separator is part of the user. */
export function splitSubaddress(
  localPart: string,
  separator: string,
): { readonly user: string; readonly subaddress: string } {
  const at = localPart.indexOf(separator);
  if (at < 1) return { user: localPart, subaddress: '' };
  return { user: localPart.slice(0, at), subaddress: localPart.slice(at + separator.length) };
}
