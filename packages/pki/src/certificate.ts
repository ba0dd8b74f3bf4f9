import { createHash, randomBytes, type webcrypto, type X509Certificate } from 'node:crypto';
import { KEY_ALGORITHM, SIGNING_ALGORITHM } from './keys.ts';
import { x509 } from './x509.ts';

/** How far back certificates start, in ms: the clock of another host may be five minutes behind ours, and a little more. */
export const BACKDATE_MS = 6 * 60_000;

/** Who signs. */
export interface Issuer {
  readonly certificate: x509.X509Certificate;
  readonly privateKey: webcrypto.CryptoKey;
}

/** From when to when, in ms since the epoch, whole seconds as in the certificate (RFC 5280 §4.1.2.5). */
export interface Validity {
  readonly notBefore: number;
  readonly notAfter: number;
}

/** The validity of `ttlMs` from `now`, backdated and cut to whole seconds; with an issuer, never outside of its own. */
export function validityFrom(now: number, ttlMs: number, issuer?: x509.X509Certificate): Validity {
  const notBefore = Math.max(now - BACKDATE_MS, issuer?.notBefore.getTime() ?? 0);
  const notAfter = Math.min(now + ttlMs, issuer?.notAfter.getTime() ?? Number.POSITIVE_INFINITY);
  return { notBefore: wholeSeconds(notBefore), notAfter: wholeSeconds(notAfter) };
}

/** When a leaf was signed, by the clock of its CA, in ms; for one that has just come from there. */
export function issueTimeOf({ notBefore }: Pick<Validity, 'notBefore'>): number {
  return notBefore + BACKDATE_MS;
}

/** Signs a CA certificate that may issue leaves and nothing else (pathlen 0). */
export async function selfSignCa({
  keys,
  commonName,
  validity,
  extensions,
}: {
  keys: webcrypto.CryptoKeyPair;
  commonName: string;
  validity: Validity;
  extensions: readonly x509.Extension[];
}): Promise<x509.X509Certificate> {
  return await x509.X509CertificateGenerator.createSelfSigned({
    serialNumber: newSerial(),
    name: [{ CN: [commonName] }],
    keys,
    signingAlgorithm: signingAlgorithmOf(keys.privateKey),
    notBefore: new Date(validity.notBefore),
    notAfter: new Date(validity.notAfter),
    extensions: [
      new x509.BasicConstraintsExtension(true, 0, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.keyCertSign | x509.KeyUsageFlags.cRLSign, true),
      await x509.SubjectKeyIdentifierExtension.create(keys.publicKey),
      ...extensions,
    ],
  });
}

/** Signs the key of another CA, so that who trusts `issuer` can come to trust that one. */
export async function signCa({
  issuer,
  subject,
  publicKey,
  validity,
}: {
  issuer: Issuer;
  subject: x509.Name;
  publicKey: webcrypto.CryptoKey;
  validity: Validity;
}): Promise<x509.X509Certificate> {
  return await x509.X509CertificateGenerator.create({
    serialNumber: newSerial(),
    subject,
    issuer: issuer.certificate.subjectName,
    publicKey,
    signingKey: issuer.privateKey,
    signingAlgorithm: KEY_ALGORITHM,
    notBefore: new Date(validity.notBefore),
    notAfter: new Date(validity.notAfter),
    extensions: [
      new x509.BasicConstraintsExtension(true, 0, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.keyCertSign, true),
      await x509.AuthorityKeyIdentifierExtension.create(issuer.certificate),
      await x509.SubjectKeyIdentifierExtension.create(publicKey),
    ],
  });
}

/** Signs a leaf: digital signatures only, no CA, and what the caller names. */
export async function signLeaf({
  issuer,
  publicKey,
  commonName,
  validity,
  extendedKeyUsages,
  names,
}: {
  issuer: Issuer;
  publicKey: webcrypto.CryptoKey;
  commonName: string;
  validity: Validity;
  extendedKeyUsages: readonly string[];
  names: x509.JsonGeneralNames;
}): Promise<x509.X509Certificate> {
  return await x509.X509CertificateGenerator.create({
    serialNumber: newSerial(),
    subject: [{ CN: [commonName] }],
    // The name as it is, never its text: text is encoded anew, and Go compares names byte by byte.
    issuer: issuer.certificate.subjectName,
    publicKey,
    signingKey: issuer.privateKey,
    signingAlgorithm: signingAlgorithmOf(issuer.privateKey),
    notBefore: new Date(validity.notBefore),
    notAfter: new Date(validity.notAfter),
    extensions: [
      new x509.BasicConstraintsExtension(false, undefined, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.digitalSignature, true),
      new x509.ExtendedKeyUsageExtension([...extendedKeyUsages], true),
      ...(names.length === 0 ? [] : [new x509.SubjectAlternativeNameExtension(names)]),
      await x509.AuthorityKeyIdentifierExtension.create(issuer.certificate),
      await x509.SubjectKeyIdentifierExtension.create(publicKey),
    ],
  });
}

/** Whether the key of `issuer` signed `certificate`, under the issuer's name. */
export function isSignedBy(certificate: X509Certificate, issuer: X509Certificate): boolean {
  // The first compares names and key identifiers only, the second the signature only.
  return certificate.checkIssued(issuer) && certificate.verify(issuer.publicKey);
}

function signingAlgorithmOf({ algorithm }: webcrypto.CryptoKey) {
  return SIGNING_ALGORITHM[algorithm.name === KEY_ALGORITHM.name ? 'p-256' : 'rsa-4096'];
}

/** PEM with a newline at its end, so that certificates can be joined. */
export function certificatePem(certificate: x509.X509Certificate): string {
  return `${certificate.toString('pem').trim()}\n`;
}

/** `x5t#S256` of RFC 7515 §4.1.8: base64url SHA-256 of the DER. */
export function thumbprintOf(der: Uint8Array | ArrayBuffer): string {
  return createHash('sha256').update(new Uint8Array(der)).digest('base64url');
}

/** `sha256:<hex>` of the DER: how an operator names a CA. */
export function fingerprintOf(der: Uint8Array | ArrayBuffer): string {
  return `sha256:${createHash('sha256').update(new Uint8Array(der)).digest('hex')}`;
}

// 16 random bytes: unguessable, and within the 20 octets that RFC 5280 §4.1.2.2 allows. The top bits make the number
// positive and keep its length.
function newSerial(): string {
  const bytes = randomBytes(16);
  bytes[0] = ((bytes[0] ?? 0) & 0x7f) | 0x40;
  return bytes.toString('hex');
}

function wholeSeconds(ms: number): number {
  return Math.floor(ms / 1000) * 1000;
}
