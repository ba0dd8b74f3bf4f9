import { createPrivateKey, createPublicKey, generateKeyPairSync, type KeyObject } from 'node:crypto';
import type { PublicJwk } from '@sealift/tracker-api';
import { calculateJwkThumbprint, exportJWK } from 'jose';

/** A key pair that signs for the cluster: grants with one, piece hashes with another. */
export interface SigningKey {
  readonly privateKey: KeyObject;
  /** RFC 7638 thumbprint of the public key. */
  readonly kid: string;
  readonly publicJwk: PublicJwk;
}

/** A fresh P-256 key as PKCS #8 PEM. */
export function newSigningKeyPem(): string {
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  return privateKey.export({ type: 'pkcs8', format: 'pem' }) as string;
}

/** A signing key from its PKCS #8 PEM. */
export async function loadSigningKey(pem: string): Promise<SigningKey> {
  const privateKey = createPrivateKey(pem);
  const { x = '', y = '' } = await exportJWK(createPublicKey(privateKey));
  const jwk = { kty: 'EC', crv: 'P-256', x, y } as const;
  const kid = await calculateJwkThumbprint(jwk);
  return { privateKey, kid, publicJwk: { kid, ...jwk } };
}
