/**
 * The authentication stage: SPF (RFC 7208), DKIM (RFC 6376), DMARC (RFC 7489) and ARC (RFC 8617) by mailauth over the
 * resolver port, written as our Authentication-Results field (RFC 8601). What DNS can't tell now is a temperror in the
 * verdict, never a failed try. Mail that an account submitted is not examined: the login is the proof.
 */

import { Readable } from 'node:stream';
import { authenticate } from 'mailauth';
import { readLayout, readRange, wholeBlob } from '../mail/layout.ts';
import { asBuffer } from '../mime/bytes.ts';
import { type Header, parseHeader } from '../mime/header.ts';
import type { RecordType, Resolver } from '../ports/resolver.ts';
import type { StageContext, StageHandler, StageResult } from './stage.ts';

export interface AuthenticationDependencies {
  readonly resolver: Resolver;
  /** The authserv-id. */
  readonly hostname: string;
}

/** Up to this size a message is examined in one buffer. */
const IN_MEMORY_BYTES_MAX = 1024 * 1024;
const VERSION = 'mailauth';
/** Signatures that facts and reasons list. */
const SIGNATURES_MAX = 10;
/** What SPF and DMARC need of a header; behind a front server, the client's address too. */
const FIELDS: ReadonlySet<string> = new Set(['from', 'return-path']);
const FIELDS_BEHIND_FRONT: ReadonlySet<string> = new Set([...FIELDS, 'received']);

interface MailauthResult {
  readonly headers: string;
  readonly spf: false | { readonly status: { readonly result: string }; readonly domain?: string };
  readonly dkim: {
    readonly results?: readonly {
      readonly status: { readonly result: string; readonly comment?: string; readonly aligned?: string | false };
      readonly signingDomain?: string;
    }[];
  };
  readonly dmarc: false | { readonly status: { readonly result: string }; readonly policy?: string };
  readonly arc?: { readonly status?: { readonly result: string } };
}

export const makeAuthenticationStage =
  (dependencies: AuthenticationDependencies): StageHandler =>
  async (context) => {
    const { client } = context.job.message;
    return client.account === null ? examine(context, dependencies) : submitted(context, dependencies);
  };

function submitted({ job }: StageContext, { hostname }: AuthenticationDependencies): StageResult {
  // RFC 8601 §2.7.4: smtp.auth tells the authenticated identity, which is the sender's own address here.
  const sender = job.message.envelope.sender.replace(/[^\x21-\x7e]|[;"]/g, '?');
  return {
    result: 'pass',
    score: null,
    reasons: ['sent by an authenticated account'],
    version: VERSION,
    headers: [`Authentication-Results: ${hostname}; auth=pass smtp.mailfrom=${sender}\r\n`],
    facts: {},
  };
}

async function examine({ job, blobs, signal }: StageContext, { resolver, hostname }: AuthenticationDependencies) {
  const { message } = job;
  const layout = wholeBlob(message.blob, message.size);
  const start = await readRange(blobs, layout, 0, Math.min(message.size, IN_MEMORY_BYTES_MAX));
  const header = parseHeader(start);
  const isSigned = header.fields.some(({ lower }) => lower === 'dkim-signature' || lower.startsWith('arc-'));
  const lmtp = message.client.protocol.includes('LMTP');
  const input = !isSigned
    ? fieldsOf(start, header, lmtp ? FIELDS_BEHIND_FRONT : FIELDS)
    : message.size <= IN_MEMORY_BYTES_MAX
      ? asBuffer(start)
      : Readable.from(readLayout(blobs, layout), { signal });
  const result = (await authenticate(input, {
    // A front server's own address says nothing of the sender: its Received field does.
    ...(lmtp ? { trustReceived: true } : { ip: message.client.address, helo: message.client.helo }),
    sender: message.envelope.sender,
    mta: hostname,
    disableBimi: true,
    resolver: (name: string, type: string) => resolver.resolve(name, type as RecordType),
  } as unknown as Parameters<typeof authenticate>[1])) as unknown as MailauthResult;
  return toResult(result);
}

/**
 * The header with the named fields only. Without signatures nothing else of a message is looked at, and mailauth takes
 * more time for each byte of a header than everything else of this stage.
 */
function fieldsOf(bytes: Uint8Array, { fields }: Header, names: ReadonlySet<string>): Buffer {
  const kept = fields.filter(({ lower }) => names.has(lower)).map(({ start, end }) => bytes.subarray(start, end));
  return Buffer.concat([...kept, Buffer.from('\r\n')]);
}

function toResult(result: MailauthResult): StageResult {
  const spf = result.spf === false ? 'none' : result.spf.status.result;
  const dmarc = result.dmarc === false ? 'none' : result.dmarc.status.result;
  const policy = result.dmarc === false ? undefined : result.dmarc.policy;
  const signatures = (result.dkim.results ?? []).slice(0, SIGNATURES_MAX);
  const dkim = signatures.find((row) => row.status.result === 'pass')?.status.result ?? signatures[0]?.status.result;
  const reasons = [
    `SPF ${spf}`,
    ...signatures.map((row) => `DKIM ${row.status.result}${row.signingDomain ? ` by ${row.signingDomain}` : ''}`),
    `DMARC ${dmarc}${policy === undefined ? '' : ` (policy ${policy})`}`,
  ];
  return {
    result: dmarc === 'pass' || dmarc === 'fail' ? dmarc : (dkim ?? 'none') === 'pass' || spf === 'pass' ? 'pass' : spf,
    score: null,
    reasons,
    version: VERSION,
    headers: [resultsField(result.headers)],
    facts: {
      spf,
      dkim: dkim ?? 'none',
      dmarc,
      arc: result.arc?.status?.result ?? 'none',
      aligned: signatures.some((row) => row.status.result === 'pass' && Boolean(row.status.aligned)),
      domains: signatures.filter((row) => row.status.result === 'pass').map((row) => row.signingDomain),
      policy,
    },
  };
}

/** mailauth gives Received-SPF too, which RFC 8601 §1.5.3 makes superfluous. */
function resultsField(headers: string): string {
  const start = headers.indexOf('Authentication-Results:');
  return start === -1 ? '' : `${headers.slice(start).trimEnd()}\r\n`;
}
