import { generateKeyPairSync } from 'node:crypto';
import {
  type ContentSigner,
  type ContentVerifier,
  createContentSigner,
  createContentVerifier,
  type PublicJwkLike,
} from './content-key.ts';

/** A content key made for one test, with all that belongs to it. */
export function newContentKey(): { signer: ContentSigner; verifier: ContentVerifier; jwk: PublicJwkLike } {
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const { kty = '', crv = '', x = '', y = '' } = publicKey.export({ format: 'jwk' });
  const jwk = { kty, crv, x, y };
  return { signer: createContentSigner(privateKey), verifier: createContentVerifier([jwk]), jwk };
}
