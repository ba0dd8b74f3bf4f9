import { createPrivateKey, X509Certificate } from 'node:crypto';
import { AppError } from '@sealift/core';
import { isSignedBy } from './certificate.ts';

/**
 * The certificate of a CA that is to sign, held against its key. Throws `CERTIFICATE_REJECTED` if it is not a self-signed CA, has
 * another key, or has ended at `now`, in ms since the epoch.
 */
export function readSigningCa(
  { certificatePem, privateKeyPem }: { certificatePem: string; privateKeyPem: string },
  now: number,
): X509Certificate {
  const certificate = parse(certificatePem);
  if (certificate === undefined || !certificate.ca || !isSignedBy(certificate, certificate)) {
    throw new AppError('CERTIFICATE_REJECTED', { reason: 'it is not a self-signed CA' });
  }
  if (!isKeyOf(privateKeyPem, certificatePem)) {
    throw new AppError('CERTIFICATE_REJECTED', { reason: 'the key is not that of the CA' });
  }
  if (certificate.validToDate.getTime() > now) return certificate;
  throw new AppError('CERTIFICATE_REJECTED', { reason: 'the CA has expired' });
}

/** Whether a private key in PEM is the one that a certificate in PEM is for. */
export function isKeyOf(privateKeyPem: string, certificatePem: string): boolean {
  try {
    return new X509Certificate(certificatePem).checkPrivateKey(createPrivateKey(privateKeyPem));
  } catch {
    // Not a key at all, which is an answer too.
    return false;
  }
}

function parse(pem: string): X509Certificate | undefined {
  try {
    return new X509Certificate(pem);
  } catch {
    // Said by the caller, and the parser's own words name no cause that helps.
    return undefined;
  }
}
