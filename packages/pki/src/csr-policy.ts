import type { webcrypto } from 'node:crypto';
import { AppError } from '@sealift/core';
import { KEY_ALGORITHM } from './keys.ts';
import { x509 } from './x509.ts';

/** Longest signing request, in characters of PEM; an honest one of a P-256 key has about 400. */
const MAX_CSR_LENGTH = 4096;
const CSR_PEM =
  /^-----BEGIN CERTIFICATE REQUEST-----\r?\n(?<base64>[A-Za-z0-9+/=\r\n]+)-----END CERTIFICATE REQUEST-----\s*$/;

/** What a signing request may break; the `rule` of `CSR_REJECTED`. */
export type CsrRule =
  | 'size'
  | 'pem'
  | 'encoding'
  | 'key-type'
  | 'signature-algorithm'
  | 'signature'
  | 'no-dns-names'
  | 'no-extensions'
  | 'no-attributes'
  | 'used-once';

/**
 * The right to one certificate: a signing request that passed the policy. Only {@link checkCsr} makes one, and it gives
 * out its public key once. Nothing else of the request is kept, so nothing else can be copied.
 */
export class CheckedCsr {
  #publicKey: webcrypto.CryptoKey | undefined;

  private constructor(publicKey: webcrypto.CryptoKey) {
    this.#publicKey = publicKey;
  }

  /** The public key; throws `CSR_REJECTED` the second time. */
  takePublicKey(): webcrypto.CryptoKey {
    const publicKey = this.#publicKey;
    this.#publicKey = undefined;
    return publicKey ?? refuse('used-once');
  }

  /** See {@link checkCsr}. */
  static async check(csrPem: string): Promise<CheckedCsr> {
    const request = parseRequest(csrPem);
    const { name, namedCurve } = request.publicKey.algorithm as webcrypto.EcKeyAlgorithm;
    if (name !== KEY_ALGORITHM.name || namedCurve !== KEY_ALGORITHM.namedCurve) refuse('key-type');
    const signature = request.signatureAlgorithm as { name: string; hash?: { name: string } };
    if (signature.name !== KEY_ALGORITHM.name || signature.hash?.name !== KEY_ALGORITHM.hash) {
      refuse('signature-algorithm');
    }
    checkAttributes(request);
    const publicKey = await exportPublicKey(request);
    if (!(await isSignedByItsKey(request))) refuse('signature');
    return new CheckedCsr(publicKey);
  }
}

/**
 * Holds a signing request (PKCS #10, RFC 2986) against the policy: a P-256 key, proof of its possession, and no wish for
 * any extension, since none would be granted. A subject is ignored. Throws `CSR_REJECTED` with the broken `rule`.
 */
export function checkCsr(csrPem: string): Promise<CheckedCsr> {
  return CheckedCsr.check(csrPem);
}

function parseRequest(csrPem: string): x509.Pkcs10CertificateRequest {
  if (csrPem.length > MAX_CSR_LENGTH) refuse('size');
  const base64 = CSR_PEM.exec(csrPem)?.groups?.['base64'] ?? refuse('pem');
  try {
    const request = new x509.Pkcs10CertificateRequest(Buffer.from(base64, 'base64'));
    // Parsed when first read: touch all that the policy reads, so that junk in there counts as bad encoding too.
    void [request.publicKey.algorithm, request.signatureAlgorithm, request.extensions, request.attributes];
    return request;
  } catch (cause) {
    return refuse('encoding', cause);
  }
}

function checkAttributes(request: x509.Pkcs10CertificateRequest): void {
  const names = request.extensions.find((extension) => extension instanceof x509.SubjectAlternativeNameExtension);
  if (names?.names.items.some(({ type }) => type === 'dns') === true) refuse('no-dns-names');
  if (request.extensions.length > 0) refuse('no-extensions');
  if (request.attributes.length > 0) refuse('no-attributes');
}

// Through WebCrypto, so that the certificate holds the key in its canonical encoding and the point is on the curve.
async function exportPublicKey(request: x509.Pkcs10CertificateRequest): Promise<webcrypto.CryptoKey> {
  try {
    return await request.publicKey.export(KEY_ALGORITHM, ['verify']);
  } catch (cause) {
    return refuse('encoding', cause);
  }
}

async function isSignedByItsKey(request: x509.Pkcs10CertificateRequest): Promise<boolean> {
  try {
    return await request.verify();
  } catch (cause) {
    // A signature that is no pair of numbers throws instead of not matching.
    return refuse('signature', cause);
  }
}

function refuse(rule: CsrRule, cause?: unknown): never {
  throw new AppError('CSR_REJECTED', { rule }, { cause });
}
