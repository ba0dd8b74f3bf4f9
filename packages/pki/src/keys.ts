import { createPrivateKey, KeyObject, type webcrypto } from 'node:crypto';

/** P-256 with SHA-256: what the swarm CA, the intercept CAs and all their leaves use. */
export const KEY_ALGORITHM = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' } as const;
/** PKCS #1 v1.5 with SHA-256, which every TLS library verifies in certificates. */
const RSA_ALGORITHM = { name: 'RSASSA-PKCS1-v1_5', hash: 'SHA-256' } as const;

/** Kinds of keys that a {@link DockerCa} takes; everything else here is P-256. */
export const KEY_TYPES = ['p-256', 'rsa-4096'] as const;
export type KeyType = (typeof KEY_TYPES)[number];

/** What signs with a key, and what WebCrypto imports it as. */
export const SIGNING_ALGORITHM = { 'p-256': KEY_ALGORITHM, 'rsa-4096': RSA_ALGORITHM } as const;

/** A fresh key pair, made off the event loop. */
export async function newKeyPair({
  isExtractable,
  keyType = 'p-256',
}: {
  isExtractable: boolean;
  keyType?: KeyType;
}): Promise<webcrypto.CryptoKeyPair> {
  // 65537, the exponent that everybody takes (NIST SP 800-56B §6.2).
  const rsa = { ...RSA_ALGORITHM, modulusLength: 4096, publicExponent: Uint8Array.of(1, 0, 1) };
  const algorithm = keyType === 'p-256' ? KEY_ALGORITHM : rsa;
  return (await crypto.subtle.generateKey(algorithm, isExtractable, ['sign', 'verify'])) as webcrypto.CryptoKeyPair;
}

/** The kind of a key, private or public; `undefined` for one that we never make. */
export function keyTypeOf({ asymmetricKeyType, asymmetricKeyDetails }: KeyObject): KeyType | undefined {
  if (asymmetricKeyType === 'ec' && asymmetricKeyDetails?.namedCurve === 'prime256v1') return 'p-256';
  return asymmetricKeyType === 'rsa' && asymmetricKeyDetails?.modulusLength === 4096 ? 'rsa-4096' : undefined;
}

/** PKCS #8 PEM of an extractable private key. */
export function exportPrivateKeyPem(key: webcrypto.CryptoKey): string {
  return KeyObject.from(key).export({ type: 'pkcs8', format: 'pem' }) as string;
}

/** The signing key in a PKCS #8 PEM, P-256 by default. Throws what OpenSSL or WebCrypto throws, for the caller to wrap. */
export function importSigningKey(pem: string, keyType: KeyType = 'p-256'): Promise<webcrypto.CryptoKey> {
  const der = createPrivateKey(pem).export({ type: 'pkcs8', format: 'der' });
  return crypto.subtle.importKey('pkcs8', der, SIGNING_ALGORITHM[keyType], true, ['sign']);
}
