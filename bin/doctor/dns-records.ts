/** The DNS records that a domain needs for its mail, and whether the world sees them. */

import type { Config } from '../../core/config/load.ts';

export interface DnsRecord {
  readonly name: string;
  readonly type: 'MX' | 'A/AAAA' | 'TXT' | 'SRV' | 'PTR';
  readonly value: string;
  readonly why: string;
}

export type Published = 'yes' | 'no' | 'other' | 'unknown' | 'local';

/** RFC 6761 and RFC 6762: names that are never in the public DNS. */
export const isLocalName = (name: string): boolean =>
  /(^|\.)(localhost|local|test|invalid|example|internal)$/.test(name);

export function wantedRecords(config: Config): DnsRecord[] {
  const { domain, hostname } = config;
  const service = (name: string, port: number | null, why: string): DnsRecord[] =>
    port === null || port === 0
      ? []
      : [{ name: `_${name}._tcp.${domain}`, type: 'SRV', value: `0 1 ${port} ${hostname}.`, why }];
  return [
    { name: domain, type: 'MX', value: `10 ${hostname}.`, why: 'where mail for the domain goes (RFC 5321 §5)' },
    { name: hostname, type: 'A/AAAA', value: 'the public address of this machine', why: 'where that is' },
    {
      name: 'the public address',
      type: 'PTR',
      value: `${hostname}.`,
      why: 'many refuse mail from addresses without it',
    },
    { name: domain, type: 'TXT', value: 'v=spf1 mx -all', why: 'who may send for the domain (SPF, RFC 7208)' },
    {
      name: `_dmarc.${domain}`,
      type: 'TXT',
      value: `v=DMARC1; p=quarantine; rua=mailto:postmaster@${domain}`,
      why: 'what to do with forged mail (DMARC, RFC 7489)',
    },
    {
      name: `_mta-sts.${domain}`,
      type: 'TXT',
      value: 'v=STSv1; id=1',
      why: `senders insist on TLS (RFC 8461); also serve https://mta-sts.${domain}/.well-known/mta-sts.txt`,
    },
    {
      name: `_smtp._tls.${domain}`,
      type: 'TXT',
      value: `v=TLSRPTv1; rua=mailto:postmaster@${domain}`,
      why: 'reports of failed TLS (RFC 8460)',
    },
    ...service('imaps', config.imapsPort, 'mail clients find the server (RFC 6186, RFC 8314 §5.1)'),
    ...service('pop3s', config.pop3sPort, 'likewise'),
    ...service('submissions', config.submissionsPort, 'likewise'),
  ];
}

/** As node:dns/promises, as far as it is used. */
export interface Lookup {
  resolveMx(name: string): Promise<readonly { readonly exchange: string }[]>;
  resolveTxt(name: string): Promise<readonly (readonly string[])[]>;
  resolveSrv(name: string): Promise<readonly { readonly name: string; readonly port: number }[]>;
  resolve4(name: string): Promise<readonly string[]>;
  resolve6(name: string): Promise<readonly string[]>;
}

const bare = (name: string): string => name.replace(/\.$/, '').toLowerCase();
const NONE = new Set(['ENOTFOUND', 'ENODATA']);

/** Answers of one kind; none where the DNS says that there are none. */
async function answers<T>(query: Promise<readonly T[]>): Promise<readonly T[]> {
  try {
    return await query;
  } catch (error) {
    if (NONE.has((error as NodeJS.ErrnoException).code ?? '')) return [];
    throw error;
  }
}

async function compare(record: DnsRecord, dns: Lookup): Promise<Published> {
  const judge = <T>(found: readonly T[], fits: (one: T) => boolean): Published =>
    found.length === 0 ? 'no' : found.some(fits) ? 'yes' : 'other';
  switch (record.type) {
    case 'MX':
      return judge(await answers(dns.resolveMx(record.name)), ({ exchange }) =>
        record.value.endsWith(` ${bare(exchange)}.`),
      );
    case 'A/AAAA': {
      const found = [await answers(dns.resolve4(record.name)), await answers(dns.resolve6(record.name))].flat();
      return judge(found, () => true);
    }
    case 'SRV':
      return judge(await answers(dns.resolveSrv(record.name)), ({ name, port }) =>
        record.value.endsWith(` ${port} ${bare(name)}.`),
      );
    case 'TXT': {
      // One of its kind by its first tag, whatever policy it holds: the operator may have chosen another.
      const kind = record.value.split(/[ ;]/, 1)[0]!;
      const texts = (await answers(dns.resolveTxt(record.name))).map((parts) => parts.join(''));
      return texts.some((text) => text.startsWith(kind)) ? 'yes' : 'no';
    }
    case 'PTR':
      return 'unknown';
  }
}

export async function publishedState(record: DnsRecord, config: Config, dns: Lookup): Promise<Published> {
  if (isLocalName(config.domain)) return 'local';
  try {
    return await compare(record, dns);
  } catch {
    // No DNS from here, or too slow: the record is shown all the same.
    return 'unknown';
  }
}
