/** Whether the certificate can be used: its dates, its names, and that the key is its own. */

import { createPrivateKey, X509Certificate } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Config } from '../../core/config/load.ts';
import { needsCertificate, servicesOf } from '../../core/mesh/roles.ts';
import { type Finding, finding } from './finding.ts';

const DAY_MS = 86_400_000;
const SOON_DAYS = 14;

async function read(path: string): Promise<Buffer | string> {
  return readFile(path).catch((error: NodeJS.ErrnoException) => error.code ?? error.message);
}

/** Pure but for its arguments: what the PEM texts say at `now`. */
export function judgeCertificate(cert: Buffer, key: Buffer, hostname: string, now: number): Finding[] {
  let certificate: X509Certificate;
  try {
    certificate = new X509Certificate(cert);
  } catch (error) {
    return [finding('TLS certificate', 'fail', `no PEM certificate: ${(error as Error).message}`)];
  }
  const findings: Finding[] = [];
  const from = new Date(certificate.validFrom).getTime();
  const to = new Date(certificate.validTo).getTime();
  const days = Math.floor((to - now) / DAY_MS);
  const until = new Date(to).toISOString().slice(0, 10);
  if (now < from) findings.push(finding('TLS dates', 'fail', `valid only from ${new Date(from).toISOString()}`));
  else if (now >= to) findings.push(finding('TLS dates', 'fail', `expired on ${until}`));
  else findings.push(finding('TLS dates', days < SOON_DAYS ? 'warn' : 'ok', `valid until ${until}, ${days} days`));
  const names = certificate.subjectAltName ?? certificate.subject.replaceAll('\n', ', ');
  const matches = certificate.checkHost(hostname) !== undefined;
  findings.push(finding('TLS names', matches ? 'ok' : 'fail', `${names}${matches ? '' : `; not ${hostname}`}`));
  try {
    const own = certificate.checkPrivateKey(createPrivateKey(key));
    findings.push(finding('TLS key', own ? 'ok' : 'fail', own ? 'is the key of the certificate' : 'is another key'));
  } catch (error) {
    findings.push(finding('TLS key', 'fail', `no PEM key: ${(error as Error).message}`));
  }
  if (certificate.checkIssued(certificate))
    findings.push(finding('TLS issuer', 'info', 'self-signed: mail clients will ask before they trust it'));
  return findings;
}

export async function checkCertificate(config: Config, now: number): Promise<Finding[]> {
  if (!needsCertificate(servicesOf(config)))
    return [finding('TLS certificate', 'info', 'this node has no listener that needs one')];
  const own = config.tlsCert === null;
  const certPath = config.tlsCert ?? join(config.dataDir, 'tls', 'cert.pem');
  const keyPath = config.tlsKey ?? join(config.dataDir, 'tls', 'key.pem');
  const [cert, key] = await Promise.all([read(certPath), read(keyPath)]);
  if (own && cert === 'ENOENT')
    return [finding('TLS certificate', 'info', 'a self-signed one is made at the first start')];
  if (typeof cert === 'string') return [finding('TLS certificate', 'fail', `${certPath} cannot be read: ${cert}`)];
  if (typeof key === 'string') return [finding('TLS key', 'fail', `${keyPath} cannot be read: ${key}`)];
  return judgeCertificate(cert, key, config.hostname, now);
}
