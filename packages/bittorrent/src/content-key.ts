import { createHash, createPublicKey, type KeyObject } from 'node:crypto';
import { AppError, ES256_LENGTH, signEs256, verifyEs256 } from '@sealift/core';

/** Bytes of a key id: enough to choose among the few keys of a cluster. A wrong choice only makes a signature fail. */
export const KEY_ID_LENGTH = 8;

/** A public P-256 key, as the tracker publishes it (RFC 7517, 7518 §6.2). Other members are ignored. */
export interface PublicJwkLike {
  readonly kty: string;
  readonly crv: string;
  readonly x: string;
  readonly y: string;
}

/** Signs with the content key of the cluster. Only the seeder holds one. */
export interface ContentSigner {
  /** First {@link KEY_ID_LENGTH} bytes of the key's RFC 7638 SHA-256 thumbprint. */
  readonly keyId: Buffer;
  /** ES256 over SHA-256 of `bytes`, as {@link ES256_LENGTH} bytes. */
  sign(bytes: Uint8Array): Buffer;
}

/** Knows the content keys of the cluster. */
export interface ContentVerifier {
  /** `false` for an unknown key id too. Never throws, whatever the lengths. */
  verify(keyId: Uint8Array, bytes: Uint8Array, signature: Uint8Array): boolean;
}

/** Makes a signer; throws `CONFIG_INVALID` unless the key is a private P-256 key. */
export function createContentSigner(privateKey: KeyObject): ContentSigner {
  if (privateKey.type !== 'private') throw invalid('a content key is not private');
  const keyId = keyIdOf(checkedPublicKey(createPublicKey(privateKey)));
  return {
    keyId,
    sign: (bytes) => signEs256(bytes, privateKey),
  };
}

/** Makes a verifier for the published keys; throws `CONFIG_INVALID` if one of them is not a P-256 key. */
export function createContentVerifier(jwks: readonly PublicJwkLike[]): ContentVerifier {
  const keys = new Map(jwks.map(parsePublicKey).map((key) => [keyIdOf(key).toString('hex'), key]));
  return {
    verify: (keyId, bytes, signature) => {
      const key = keys.get(Buffer.from(keyId).toString('hex'));
      return key !== undefined && verifyEs256(bytes, key, signature);
    },
  };
}

function parsePublicKey({ kty, crv, x, y }: PublicJwkLike): KeyObject {
  let key: KeyObject;
  try {
    key = createPublicKey({ format: 'jwk', key: { kty, crv, x, y } });
  } catch (cause) {
    throw invalid('a content key cannot be read', cause);
  }
  return checkedPublicKey(key);
}

function checkedPublicKey(key: KeyObject): KeyObject {
  if (key.asymmetricKeyType !== 'ec' || key.asymmetricKeyDetails?.namedCurve !== 'prime256v1') {
    throw invalid('a content key is not a P-256 key');
  }
  return key;
}

function keyIdOf(key: KeyObject): Buffer {
  const { crv, kty, x, y } = key.export({ format: 'jwk' });
  // RFC 7638 §3.2: these members, in this order, without spaces.
  const thumbprint = createHash('sha256').update(JSON.stringify({ crv, kty, x, y })).digest();
  return thumbprint.subarray(0, KEY_ID_LENGTH);
}

function invalid(reason: string, cause?: unknown): AppError {
  return new AppError('CONFIG_INVALID', { reason }, { cause });
}
