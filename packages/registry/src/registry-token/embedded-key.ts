import { X509Certificate } from 'node:crypto';
import { type SigningKey, signingKey, signingKeyOfJwk } from './signing-key.ts';

/** Certificates in `x5c` at most: a leaf and three CAs. */
const MAX_CHAIN = 4;

/** The key that a token says it is signed with. Its own word: it counts once somebody else vouches for the key. */
export interface EmbeddedKey {
  readonly key: SigningKey;
  /** From `x5c` (RFC 7515 §4.1.6), the key's own first; empty where the key stands in `jwk`. */
  readonly chain: readonly X509Certificate[];
}

/** Whether a header carries a key, well-formed or not. */
export function embedsKey({ x5c, jwk }: Readonly<Record<string, unknown>>): boolean {
  return x5c !== undefined || jwk !== undefined;
}

/** The key in a header; `x5c` before `jwk`, as registries read them. `undefined` where there is none, or a broken one. */
export function embeddedKey({ x5c, jwk }: Readonly<Record<string, unknown>>): EmbeddedKey | undefined {
  const chain = x5c === undefined ? [] : certificates(x5c);
  const key = x5c === undefined ? signingKeyOfJwk(jwk) : chain[0] && signingKey(chain[0].publicKey);
  return key === undefined ? undefined : { key, chain };
}

function certificates(x5c: unknown): readonly X509Certificate[] {
  if (!Array.isArray(x5c) || x5c.length > MAX_CHAIN || !x5c.every((text) => typeof text === 'string')) return [];
  try {
    return x5c.map((text) => new X509Certificate(Buffer.from(text, 'base64')));
  } catch {
    // One broken certificate makes the chain worthless.
    return [];
  }
}
