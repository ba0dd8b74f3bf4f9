import { X509Certificate } from 'node:crypto';
import { createSecureContext, getCACertificates, type SecureContext } from 'node:tls';
import { AppError } from '@sealift/core';

const CERTIFICATE = /-----BEGIN CERTIFICATE-----[^-]{1,20000}-----END CERTIFICATE-----/g;

let systemAnchors: readonly string[] | undefined;
let systemTrust: SecureContext | undefined;

/**
 * A TLS context that trusts Node's roots, the system's store, and `caPem` on top. One with `caPem` costs some 30 ms, and
 * the first of a process 100 ms more: make one for each registry, never one for each request. `caPem` must have passed
 * {@link checkTrustAnchors}.
 */
export function createTrust(caPem: string | undefined): SecureContext {
  // The system's store is what the container runtime trusts: whoever can pull without us must be able to with us.
  systemAnchors ??= [...new Set([...getCACertificates('default'), ...getCACertificates('system')])];
  // A `ca` replaces Node's roots, so they are listed too.
  if (caPem !== undefined) return createSecureContext({ ca: [...systemAnchors, ...splitPem(caPem)] });
  systemTrust ??= createSecureContext({ ca: [...systemAnchors] });
  return systemTrust;
}

/** Throws `CONFIG_INVALID` unless `caPem` is one or more certificates: TLS would ignore a broken one without a word. */
export function checkTrustAnchors(caPem: string): void {
  const certificates = splitPem(caPem);
  try {
    for (const certificate of certificates) new X509Certificate(certificate);
  } catch (cause) {
    throw new AppError('CONFIG_INVALID', { reason: 'a trust anchor of a registry cannot be read' }, { cause });
  }
  const announced = caPem.split('-----BEGIN ').length - 1;
  if (certificates.length === 0 || certificates.length !== announced) {
    throw new AppError('CONFIG_INVALID', { reason: 'the trust anchors of a registry are not certificates in PEM' });
  }
}

function splitPem(pem: string): readonly string[] {
  return pem.match(CERTIFICATE) ?? [];
}
