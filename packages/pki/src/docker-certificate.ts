import { X509Certificate } from 'node:crypto';
import { AppError } from '@sealift/core';
import { fingerprintOf } from './certificate.ts';
import type { DockerSubject } from './docker-ca.ts';
import { keyTypeOf } from './keys.ts';
import { x509 } from './x509.ts';

/** What a certificate says of itself, for people and for renewal. Times in ms since the epoch. */
export interface CertificateSummary {
  /** As text, such as `CN=docker-1.example`. */
  readonly subject: string;
  readonly issuer: string;
  readonly isCa: boolean;
  readonly dnsNames: readonly string[];
  readonly ipAddresses: readonly string[];
  /** Extended key usages: `serverAuth`, `clientAuth`, or an OID. */
  readonly usages: readonly string[];
  /** `sha256:<hex>` of the DER. */
  readonly fingerprint: string;
  /** Such as `p-256`, `rsa-4096`, or what OpenSSL calls a kind that we never make. */
  readonly keyType: string;
  readonly notBefore: number;
  readonly notAfter: number;
}

const USAGE_NAMES: Readonly<Record<string, string>> = {
  [x509.ExtendedKeyUsage.serverAuth]: 'serverAuth',
  [x509.ExtendedKeyUsage.clientAuth]: 'clientAuth',
};

/** Reads one certificate in PEM. Throws `CERTIFICATE_REJECTED` for what is none. */
export function describeCertificate(pem: string): CertificateSummary {
  const { certificate, parsed } = read(pem);
  const names = parsed.getExtension(x509.SubjectAlternativeNameExtension)?.names.toJSON() ?? [];
  const valuesOf = (type: string) => names.filter((name) => name.type === type).map(({ value }) => value);
  // A plain array: the library's own kind would pass its class on.
  const usages = [...(parsed.getExtension(x509.ExtendedKeyUsageExtension)?.usages ?? [])];
  return {
    subject: parsed.subject,
    issuer: parsed.issuer,
    isCa: certificate.ca,
    dnsNames: valuesOf('dns'),
    ipAddresses: valuesOf('ip'),
    usages: usages.map((usage) => USAGE_NAMES[String(usage)] ?? String(usage)),
    fingerprint: fingerprintOf(certificate.raw),
    keyType: keyTypeOf(certificate.publicKey) ?? String(certificate.publicKey.asymmetricKeyType),
    notBefore: parsed.notBefore.getTime(),
    notAfter: parsed.notAfter.getTime(),
  };
}

/**
 * Whom a certificate is for, so that a new one can take its place. Throws `CERTIFICATE_REJECTED` for one that is for another use
 * than a server's or a client's alone.
 */
export function dockerSubjectOf(pem: string): DockerSubject {
  const { usages, dnsNames, ipAddresses, isCa } = describeCertificate(pem);
  const [usage, ...others] = usages;
  if (isCa || others.length > 0) refuse('it is for more than one use');
  if (usage === 'serverAuth') return { role: 'server', dnsNames, ipAddresses };
  if (usage !== 'clientAuth') refuse('it is for neither a server nor a client');
  const [name = '', ...more] = read(pem).parsed.subjectName.getField('CN');
  if (more.length > 0) refuse('it has more than one common name');
  return { role: 'client', name };
}

function read(pem: string): { certificate: X509Certificate; parsed: x509.X509Certificate } {
  try {
    const certificate = new X509Certificate(pem);
    return { certificate, parsed: new x509.X509Certificate(certificate.raw) };
  } catch (cause) {
    return refuse('it is not a certificate', cause);
  }
}

function refuse(reason: string, cause?: unknown): never {
  throw new AppError('CERTIFICATE_REJECTED', { reason }, { cause });
}
