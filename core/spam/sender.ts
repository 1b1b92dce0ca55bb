/**
 * Who a message is from, for offsets, caps and reputation: the organisation behind the authenticated domain, or behind
 * From when nothing authenticates it. A sender that proved nothing has another key than one that did, so that a forger
 * inherits no good name.
 */

import { createHash } from 'node:crypto';
import { getDomain } from 'tldts';
import type { AuthenticationFacts } from './authentication-facts.ts';

export interface Sender {
  /** The From field's addr-spec in lower case; '' for none. */
  readonly address: string;
  readonly domain: string;
  /** Organisational domain (RFC 7489 §3.2, by the public suffix list), or the domain where there is none. */
  readonly organisation: string;
  /** A domain aligned with From passed DKIM or SPF. */
  readonly authenticated: boolean;
}

export const organisationOf = (domain: string): string => getDomain(domain, { allowPrivateDomains: true }) ?? domain;

const FREEMAIL = new Set(
  (
    'gmail.com googlemail.com yahoo.com ymail.com hotmail.com outlook.com live.com msn.com aol.com icloud.com me.com mac.com gmx.de gmx.net ' +
    'gmx.com web.de t-online.de freenet.de mail.ru yandex.ru yandex.com qq.com 163.com 126.com sina.com naver.com daum.net hanmail.net ' +
    'proton.me protonmail.com pm.me tutanota.com tuta.io posteo.de mailbox.org fastmail.com zoho.com orange.fr free.fr laposte.net ' +
    'wanadoo.fr libero.it virgilio.it comcast.net verizon.net att.net sbcglobal.net bellsouth.net cox.net charter.net'
  ).split(' '),
);

/** Everyone's addresses live here, so the domain says nothing about the person. */
const isFreemail = (organisation: string): boolean => FREEMAIL.has(organisation);

/** The first address in a From value with one byte per character: in angle brackets, or the first word with an @. */
export function addressIn(value: string): string {
  const limited = value.slice(0, 1000);
  const open = limited.lastIndexOf('<');
  const close = open === -1 ? -1 : limited.indexOf('>', open);
  const inside = close === -1 ? limited : limited.slice(open + 1, close);
  const at = inside.lastIndexOf('@');
  if (at === -1) return '';
  let start = at;
  while (start > 0 && !' \t,;:"<>()'.includes(inside[start - 1]!)) start--;
  let end = at + 1;
  while (end < inside.length && !' \t,;:"<>()'.includes(inside[end]!)) end++;
  return inside.slice(start, end).toLowerCase();
}

export const domainOf = (address: string): string => address.slice(address.lastIndexOf('@') + 1);

export function senderOf(fromValue: string, envelopeSender: string | null, facts: AuthenticationFacts | null): Sender {
  const address = addressIn(fromValue) || (envelopeSender ?? '').toLowerCase();
  const domain = address.includes('@') ? domainOf(address).replace(/\.$/, '') : '';
  const organisation = domain === '' ? '' : organisationOf(domain);
  return { address, domain, organisation, authenticated: facts?.aligned === true };
}

/** What counts as one sender: the organisation, or the address where the domain is shared by everyone. */
export function senderKey(sender: Sender): string {
  const name = isFreemail(sender.organisation) ? sender.address : sender.organisation || sender.address;
  return createHash('sha256')
    .update(`${sender.authenticated ? 'authenticated' : 'claimed'}:${name}`)
    .digest('hex')
    .slice(0, 24);
}
