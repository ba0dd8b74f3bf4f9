import { createPrivateKey, X509Certificate } from 'node:crypto';
import { createSecureContext, getCACertificates, type SecureContext } from 'node:tls';
import { AppError } from '@sealift/core';
import type { ClientCertificate } from './registry-config.ts';

const CERTIFICATE = /-----BEGIN CERTIFICATE-----[^-]{1,20000}-----END CERTIFICATE-----/g;

let systemAnchors: readonly string[] | undefined;
let systemTrust: SecureContext | undefined;

/**
 * A TLS context that trusts Node's roots, the system's store, and `caPem` on top, and shows `client` to who asks for it. One of
 * its own costs some 30 ms, and the first of a process 100 ms more: make one for each registry, never one for each request.
 * `caPem` must have passed {@link checkTrustAnchors}, and `client` {@link checkClientCertificate}.
 */
export function createTrust(caPem: string | undefined, client?: ClientCertificate): SecureContext {
  // The system's store is what the container runtime trusts: whoever can pull without us must be able to with us.
  systemAnchors ??= [...new Set([...getCACertificates('default'), ...getCACertificates('system')])];
  // A `ca` replaces Node's roots, so they are listed too.
  const ca = [...systemAnchors, ...(caPem === undefined ? [] : splitPem(caPem))];
  if (client !== undefined) return createSecureContext({ ca, cert: client.certificatePem, key: client.privateKeyPem });
  if (caPem !== undefined) return createSecureContext({ ca });
  systemTrust ??= createSecureContext({ ca });
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

/** Throws `CONFIG_INVALID` unless the first certificate of `client` can be read and its key is the one beside it. */
export function checkClientCertificate({ certificatePem, privateKeyPem }: ClientCertificate): void {
  let isPair = false;
  try {
    isPair = new X509Certificate(certificatePem).checkPrivateKey(createPrivateKey(privateKeyPem));
  } catch {
    // No cause on purpose: what OpenSSL says of a key is nobody's business.
    throw new AppError('CONFIG_INVALID', {
      reason: 'a client certificate or its key cannot be read',
      advice: 'Write both in PEM, the key without a passphrase.',
    });
  }
  if (!isPair)
    throw new AppError('CONFIG_INVALID', { reason: 'a client certificate and its key do not belong together' });
}

function splitPem(pem: string): readonly string[] {
  return pem.match(CERTIFICATE) ?? [];
}
