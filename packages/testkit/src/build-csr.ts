import { randomBytes, type webcrypto } from 'node:crypto';
import { x509 } from '@sealift/pki';

/** What {@link buildCsr} does differently from an honest node. Each field alone breaks one rule of the CSR policy. */
export interface CsrChange {
  /** The signature is made with a key that is not the one in the request. */
  readonly signedByOtherKey?: boolean;
  /** @default 'p-256' */
  readonly keyType?: 'p-256' | 'p-384' | 'rsa-2048';
  /** Hash of the signature. @default 'SHA-256' */
  readonly hash?: 'SHA-256' | 'SHA-384';
  /** DNS names asked for. */
  readonly dnsNames?: readonly string[];
  /** URIs asked for, such as somebody else's identity. */
  readonly uris?: readonly string[];
  /** Asks to be a CA. */
  readonly isCa?: boolean;
  /** Carries a challenge password (RFC 2985 §5.4.1): an attribute that is no extension. */
  readonly challengePassword?: string;
  /** Common name asked for: allowed, and ignored. */
  readonly commonName?: string;
  /** Longer than any honest request, by its subject. */
  readonly isOversize?: boolean;
  /** Random bytes in a right PEM envelope. */
  readonly isJunk?: boolean;
  /** Text that is no PEM at all. */
  readonly isNotPem?: boolean;
}

const KEY_TYPES = {
  'p-256': { name: 'ECDSA', namedCurve: 'P-256' },
  'p-384': { name: 'ECDSA', namedCurve: 'P-384' },
  'rsa-2048': { name: 'RSASSA-PKCS1-v1_5', modulusLength: 2048, publicExponent: Uint8Array.of(1, 0, 1) },
} as const;

/** A signing request in PEM that is valid but for `change`, with a key made for it and thrown away. */
export async function buildCsr(change: CsrChange = {}): Promise<string> {
  if (change.isNotPem === true) return 'certificate, please';
  if (change.isJunk === true) return pemOf(randomBytes(200));
  const { keyType = 'p-256', hash = 'SHA-256' } = change;
  const algorithm = { ...KEY_TYPES[keyType], hash };
  const keys = await newKeys(algorithm);
  const signingKeys = change.signedByOtherKey === true ? await newKeys(algorithm) : keys;
  const commonName = change.isOversize === true ? 'x'.repeat(4096) : change.commonName;
  const request = await x509.Pkcs10CertificateRequestGenerator.create({
    ...(commonName === undefined ? {} : { name: [{ CN: [commonName] }] }),
    keys: { publicKey: keys.publicKey, privateKey: signingKeys.privateKey },
    signingAlgorithm: algorithm,
    extensions: extensionsOf(change),
    attributes:
      change.challengePassword === undefined ? [] : [new x509.ChallengePasswordAttribute(change.challengePassword)],
  });
  return `${request.toString('pem')}\n`;
}

function extensionsOf({ dnsNames = [], uris = [], isCa = false }: CsrChange): x509.Extension[] {
  const names: x509.JsonGeneralNames = [
    ...dnsNames.map((value) => ({ type: 'dns' as const, value })),
    ...uris.map((value) => ({ type: 'url' as const, value })),
  ];
  return [
    ...(names.length === 0 ? [] : [new x509.SubjectAlternativeNameExtension(names)]),
    ...(isCa ? [new x509.BasicConstraintsExtension(true, undefined, true)] : []),
  ];
}

async function newKeys(algorithm: webcrypto.EcKeyGenParams | webcrypto.RsaHashedKeyGenParams) {
  return (await crypto.subtle.generateKey(algorithm, true, ['sign', 'verify'])) as webcrypto.CryptoKeyPair;
}

function pemOf(der: Buffer): string {
  const lines = der.toString('base64').replaceAll(/.{64}/g, '$&\n').trim();
  return `-----BEGIN CERTIFICATE REQUEST-----\n${lines}\n-----END CERTIFICATE REQUEST-----\n`;
}
