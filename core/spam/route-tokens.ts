/**
 * Route tokens: the servers and networks a message says it came from, the envelope, and the list it was sent to. Only the
 * `from` side of Received is read (RFC 5321 §4.4): who received it, for whom and when is not the sender's doing.
 */

import type { FeatureSet } from './feature-set.ts';
import { hashText } from './hash.ts';
import { KIND } from './kinds.ts';
import { domainOf, organisationOf } from './sender.ts';
import type { Field } from './view.ts';

interface RouteInput {
  readonly fields: readonly Field[];
  readonly envelopeSender: string | null;
  readonly helo: string | null;
  readonly clientAddress: string | null;
}

const RECEIVED_MAX = 12;
const LIST_FIELDS = new Set([
  'list-id',
  'sender',
  'precedence',
  'mailing-list',
  'x-beenthere',
  'errors-to',
  'x-mailing-list',
  'x-loop',
  'list-unsubscribe',
]);

export class RouteTokens {
  readonly #set: FeatureSet;

  constructor(set: FeatureSet) {
    this.#set = set;
  }

  add({ fields, envelopeSender, helo, clientAddress }: RouteInput): void {
    if (envelopeSender !== null && envelopeSender !== '') {
      const sender = envelopeSender.toLowerCase();
      this.#token(KIND.envelopeSender, organisationOf(domainOf(sender)));
      this.#token(KIND.envelopeSender, shapeOf(sender));
    }
    if (helo !== null) this.#token(KIND.helo, heloShape(helo.toLowerCase().slice(0, 255)));
    if (clientAddress !== null) for (const network of networks(clientAddress)) this.#token(KIND.network, network);
    let received = 0;
    for (const { name, value } of fields) {
      if (name === 'received' && received < RECEIVED_MAX) {
        received++;
        this.#received(value.slice(0, 500));
      } else if (LIST_FIELDS.has(name))
        this.#token(KIND.listField, `${name}: ${shapeOf(value.trim().slice(0, 80).toLowerCase())}`);
    }
  }

  /** `from HELO (NAME [ADDRESS]) by …`: the host names and addresses before `by`, and the protocol word behind `with`. */
  #received(value: string): void {
    const text = value.toLowerCase();
    const by = text.indexOf(' by ');
    const from = by === -1 ? text : text.slice(0, by);
    if (from.includes('from ')) this.#from(from);
    else this.#token(KIND.routeForm, shapeOf(from.trim().slice(0, 40)));
    const protocol = by === -1 ? -1 : text.indexOf(' with ', by);
    if (protocol !== -1)
      this.#token(KIND.routeForm, shapeOf(text.slice(protocol + 6, protocol + 26).split(/[\s;]/)[0]!));
  }

  #from(text: string): void {
    let start = -1;
    for (let i = 0; i <= text.length; i++) {
      const code = i < text.length ? text.charCodeAt(i) : 0x20;
      const inside =
        (code >= 0x61 && code <= 0x7a) ||
        (code >= 0x30 && code <= 0x39) ||
        code === 0x2e ||
        code === 0x2d ||
        code === 0x5f ||
        code === 0x3a;
      if (inside && start === -1) start = i;
      if (inside || start === -1) continue;
      this.#host(text.slice(start, Math.min(i, start + 120)));
      start = -1;
    }
  }

  #host(host: string): void {
    if (/^\d{1,3}\.\d{1,3}\.\d{1,3}\.\d{1,3}$/.test(host)) {
      for (const network of networks(host)) this.#token(KIND.routeNetwork, network);
      return;
    }
    if (host === 'from' || host.length < 2) return;
    this.#token(KIND.routeHost, shapeOf(host));
    if (host.includes('.')) this.#token(KIND.routeOrganisation, organisationOf(host));
  }

  #token(kind: number, text: string): void {
    if (text !== '') this.#set.addToken(kind, hashText(kind, text), text, 0, text.length);
  }
}

/** Runs of digits become one 9: machines number their hosts and their bounces. */
const shapeOf = (text: string): string => text.replace(/\d+/g, '9');

const heloShape = (helo: string): string =>
  helo.startsWith('[') ? 'an address' : helo.includes('.') ? organisationOf(helo) : helo.slice(0, 40);

/** The /24 and /16 of IPv4, the /48 and /32 of IPv6. */
function networks(address: string): string[] {
  const plain = address.startsWith('::ffff:') ? address.slice(7) : address;
  const four = plain.split('.');
  if (four.length === 4) return [`${four[0]}.${four[1]}.${four[2]}.0/24`, `${four[0]}.${four[1]}.0.0/16`];
  const six = plain.split(':');
  if (six.length < 3) return [];
  return [`${six[0]}:${six[1]}:${six[2]}::/48`, `${six[0]}:${six[1]}::/32`];
}
