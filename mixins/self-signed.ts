/**
 * A self-signed certificate for the first start (RFC 5280), so that TLS works before anyone has asked for a real one.
 * Written out by hand because the fields are few and fixed: ECDSA P-256 with SHA-256, names and addresses as
 * subjectAltName, valid for ten years.
 */

import { createHash, generateKeyPairSync, randomBytes, sign } from 'node:crypto';
import { isIPv4 } from 'node:net';

const VALID_MS = 3650 * 86_400_000;

const OID_ECDSA_SHA256 = '06082a8648ce3d040302';
const OID_COMMON_NAME = '0603550403';
const OID_SUBJECT_ALT_NAME = '0603551d11';
const OID_BASIC_CONSTRAINTS = '0603551d13';
const OID_KEY_IDENTIFIER = '0603551d0e';

/** One DER value: tag, length (X.690 §8.1.3), content. */
function der(tag: number, ...parts: readonly Uint8Array[]): Buffer {
  const content = Buffer.concat(parts);
  if (content.length < 0x80) return Buffer.concat([Buffer.from([tag, content.length]), content]);
  const length = Buffer.from(content.length.toString(16).padStart(content.length > 0xff ? 4 : 2, '0'), 'hex');
  return Buffer.concat([Buffer.from([tag, 0x80 | length.length]), length, content]);
}

const sequence = (...parts: readonly Uint8Array[]): Buffer => der(0x30, ...parts);
const octets = (content: Uint8Array): Buffer => der(0x04, content);
const oid = (hex: string): Buffer => Buffer.from(hex, 'hex');
const bits = (content: Uint8Array): Buffer => der(0x03, Buffer.from([0]), content);

/** GeneralizedTime, which is right for every year; UTCTime must be used until 2049 (RFC 5280 §4.1.2.5). */
function time(date: Date): Buffer {
  const text = `${date.toISOString().replace(/[-:T]/g, '').slice(0, 14)}Z`;
  return date.getUTCFullYear() < 2050
    ? der(0x17, Buffer.from(text.slice(2), 'latin1'))
    : der(0x18, Buffer.from(text, 'latin1'));
}

const name = (commonName: string): Buffer =>
  sequence(der(0x31, sequence(oid(OID_COMMON_NAME), der(0x0c, Buffer.from(commonName, 'utf8')))));

function generalName(value: string): Buffer {
  if (isIPv4(value)) return der(0x87, Buffer.from(value.split('.').map(Number)));
  if (value === '::1') return der(0x87, Buffer.concat([Buffer.alloc(15), Buffer.from([1])]));
  return der(0x82, Buffer.from(value, 'latin1'));
}

const extension = (id: string, value: Uint8Array): Buffer => sequence(oid(id), octets(value));

/**
 * @param hostname the common name and first subjectAltName
 * @param others more names or IPv4 addresses
 * @param now milliseconds since 1970
 * @returns both in PEM
 */
export function selfSigned(hostname: string, others: readonly string[], now: number): { cert: string; key: string } {
  const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const spki = publicKey.export({ type: 'spki', format: 'der' });
  const serial = randomBytes(16);
  // Positive and without a leading zero octet (RFC 5280 §4.1.2.2).
  serial[0] = (serial[0]! & 0x3f) | 0x40;
  const algorithm = sequence(oid(OID_ECDSA_SHA256));
  const keyId = createHash('sha1').update(spki.subarray(-65)).digest();
  const toBeSigned = sequence(
    der(0xa0, der(0x02, Buffer.from([2]))),
    der(0x02, serial),
    algorithm,
    name(hostname),
    sequence(time(new Date(now - 3_600_000)), time(new Date(now + VALID_MS))),
    name(hostname),
    spki,
    der(
      0xa3,
      sequence(
        extension(OID_SUBJECT_ALT_NAME, sequence(...[hostname, ...others].map(generalName))),
        extension(OID_BASIC_CONSTRAINTS, sequence()),
        extension(OID_KEY_IDENTIFIER, octets(keyId)),
      ),
    ),
  );
  const certificate = sequence(toBeSigned, algorithm, bits(sign('sha256', toBeSigned, privateKey)));
  const lines = certificate.toString('base64').match(/.{1,64}/g)!;
  return {
    cert: `-----BEGIN CERTIFICATE-----\n${lines.join('\n')}\n-----END CERTIFICATE-----\n`,
    key: privateKey.export({ type: 'pkcs8', format: 'pem' }) as string,
  };
}
