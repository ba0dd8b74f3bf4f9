import { createPublicKey, type KeyObject, X509Certificate } from 'node:crypto';
import { AppError } from '@sealift/core';
import { type SigningKey, signingKey, signingKeyOfJwk } from './signing-key.ts';

/** Keys of one source at most: an issuer has one or two, and a few more while it changes them. */
const MAX_KEYS = 64;
const PEM_BLOCK =
  /-----BEGIN (?<label>CERTIFICATE|PUBLIC KEY|RSA PUBLIC KEY)-----[\sA-Za-z0-9+/=]{1,20000}-----END \k<label>-----/g;

/** What an operator trusts for the tokens of one registry. */
export interface KeySet {
  readonly keys: readonly SigningKey[];
  /** Certificates that chains in `x5c` may end in. */
  readonly roots: readonly X509Certificate[];
}

/**
 * Reads a key file: a JWKS or a single JWK, or PEM with public keys and certificates. A certificate stands for its key and,
 * if it is a CA's, for the chains that end in it, as in the `rootcertbundle` of `distribution`. Throws `CONFIG_INVALID` for
 * anything else in it: a key that is left out without a word would turn up as slow pulls only.
 */
export function parseKeySet(text: string): KeySet {
  const set = text.trimStart().startsWith('{') ? parseJwks(text) : parsePem(text);
  if (set.keys.length === 0 && set.roots.length === 0) throw invalid('no public key in it');
  if (set.keys.length > MAX_KEYS) throw invalid(`more than ${MAX_KEYS} keys in it`);
  return set;
}

/**
 * Reads a JWKS (RFC 7517 §5) for what is of use: keys of other kinds and for other purposes are skipped, as its §5 asks of
 * readers. Throws `CONFIG_INVALID` for what is no JWKS.
 */
export function parseJwksLeniently(text: string): KeySet {
  const keys = jwksMembers(text).slice(0, MAX_KEYS).map(signingKeyOfJwk);
  return { keys: keys.filter((key) => key !== undefined), roots: [] };
}

function parseJwks(text: string): KeySet {
  const keys = jwksMembers(text).map((jwk) => {
    const key = signingKeyOfJwk(jwk);
    if (key === undefined) throw invalid('a JWK in it is not a public key for RS, PS, ES or EdDSA');
    return key;
  });
  return { keys, roots: [] };
}

function jwksMembers(text: string): readonly unknown[] {
  let parsed: { keys?: unknown; kty?: unknown } | null;
  try {
    parsed = JSON.parse(text) as typeof parsed;
  } catch {
    // No cause: its message quotes the text.
    throw invalid('it is not JSON');
  }
  if (Array.isArray(parsed?.keys)) return parsed.keys as readonly unknown[];
  if (parsed?.kty !== undefined) return [parsed];
  throw invalid('it is not a JWKS');
}

function parsePem(text: string): KeySet {
  const blocks = [...text.matchAll(PEM_BLOCK)];
  if (blocks.length !== text.split('-----BEGIN ').length - 1) {
    throw invalid('it holds something else than certificates and public keys in PEM');
  }
  const keys: SigningKey[] = [];
  const roots: X509Certificate[] = [];
  for (const [pem, label] of blocks) {
    const certificate = label === 'CERTIFICATE' ? read(() => new X509Certificate(pem)) : undefined;
    const key = signingKey(certificate?.publicKey ?? read((): KeyObject => createPublicKey(pem)));
    if (key === undefined) throw invalid('a key in it is not fit for RS, PS, ES or EdDSA');
    keys.push(key);
    if (certificate?.ca === true) roots.push(certificate);
  }
  return { keys, roots };
}

function read<T>(work: () => T): T {
  try {
    return work();
  } catch (cause) {
    throw invalid('a part of it is broken', cause);
  }
}

function invalid(reason: string, cause?: unknown): AppError {
  return new AppError('CONFIG_INVALID', { reason: `the keys of registry tokens: ${reason}` }, { cause });
}
