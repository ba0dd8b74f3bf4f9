import { createPrivateKey, KeyObject, type webcrypto } from 'node:crypto';

/** P-256 with SHA-256: what both CAs and every leaf use. */
export const KEY_ALGORITHM = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' } as const;

/** A fresh key pair, made off the event loop. */
export async function newKeyPair({ isExtractable }: { isExtractable: boolean }): Promise<webcrypto.CryptoKeyPair> {
  return (await crypto.subtle.generateKey(KEY_ALGORITHM, isExtractable, ['sign', 'verify'])) as webcrypto.CryptoKeyPair;
}

/** PKCS #8 PEM of an extractable private key. */
export function exportPrivateKeyPem(key: webcrypto.CryptoKey): string {
  return KeyObject.from(key).export({ type: 'pkcs8', format: 'pem' }) as string;
}

/** The signing key in a PKCS #8 PEM. Throws what OpenSSL or WebCrypto throws, for the caller to wrap. */
export function importSigningKey(pem: string): Promise<webcrypto.CryptoKey> {
  const der = createPrivateKey(pem).export({ type: 'pkcs8', format: 'der' });
  return crypto.subtle.importKey('pkcs8', der, KEY_ALGORITHM, true, ['sign']);
}
