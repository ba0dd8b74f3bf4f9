import { createHash, createPublicKey, type JsonWebKey, type KeyObject } from 'node:crypto';

/** The algorithms that are taken, and what key each demands (RFC 7518 §3.1, RFC 8037, RFC 9864). No `none`, no HS*. */
const ALGORITHMS: ReadonlyMap<string, string> = new Map([
  ['RS256', 'rsa'],
  ['RS384', 'rsa'],
  ['RS512', 'rsa'],
  ['PS256', 'rsa'],
  ['PS384', 'rsa'],
  ['PS512', 'rsa'],
  ['ES256', 'prime256v1'],
  ['ES384', 'secp384r1'],
  ['ES512', 'secp521r1'],
  ['EdDSA', 'ed25519'],
  ['Ed25519', 'ed25519'],
]);
/** Bits of an RSA modulus: fewer can be broken (RFC 7518 §3.3), more keep a processor busy for nothing. */
const [MIN_RSA_BITS, MAX_RSA_BITS] = [2048, 8192];
/** Largest public exponent of RSA; 65,537 is what everybody has, and a huge one makes each verification slow. */
const MAX_RSA_EXPONENT = 2n ** 32n;
/** Members of a JWK that only a private or a symmetric key has. */
const SECRET_MEMBERS = ['d', 'k', 'p', 'q', 'dp', 'dq', 'qi', 'oth'];

/** A public key that may sign registry tokens. */
export interface SigningKey {
  readonly key: KeyObject;
  /** SHA-256 of the key in DER, in hex: what tells two keys apart, whatever they are called. */
  readonly fingerprint: string;
  /** Every `kid` that names it: as its JWKS says, RFC 7638 and libtrust. */
  readonly ids: ReadonlySet<string>;
  /** The one algorithm that its JWKS allows it for. */
  readonly algorithm?: string;
}

/** Makes a {@link SigningKey}; `undefined` for a kind or size of key that no algorithm of ours takes. */
export function signingKey(key: KeyObject, named: { id?: string; algorithm?: string } = {}): SigningKey | undefined {
  if (key.type !== 'public' || kindOf(key) === undefined) return undefined;
  const der = createHash('sha256')
    .update(key.export({ type: 'spki', format: 'der' }))
    .digest();
  const ids = new Set([jwkThumbprint(key), libtrustId(der)]);
  if (named.id !== undefined) ids.add(named.id);
  return {
    key,
    fingerprint: der.toString('hex'),
    ids,
    ...(named.algorithm === undefined ? {} : { algorithm: named.algorithm }),
  };
}

/** Reads a JWK (RFC 7517) of a public key; `undefined` for anything else, a private key included. */
export function signingKeyOfJwk(jwk: unknown): SigningKey | undefined {
  if (typeof jwk !== 'object' || jwk === null) return undefined;
  const { kid, alg, use } = jwk as Record<string, unknown>;
  if (SECRET_MEMBERS.some((member) => Object.hasOwn(jwk, member))) return undefined;
  if (use !== undefined && use !== 'sig') return undefined;
  if (alg !== undefined && (typeof alg !== 'string' || !ALGORITHMS.has(alg))) return undefined;
  try {
    const key = createPublicKey({ key: jwk as JsonWebKey, format: 'jwk' });
    return signingKey(key, {
      ...(typeof kid === 'string' ? { id: kid } : {}),
      ...(alg === undefined ? {} : { algorithm: alg }),
    });
  } catch {
    // Not a key. What it is instead says nothing that its sender does not know.
    return undefined;
  }
}

/** Whether `algorithm` is one of ours and this key is for it. */
export function suits({ key, algorithm: only }: SigningKey, algorithm: unknown): algorithm is string {
  if (typeof algorithm !== 'string' || (only !== undefined && only !== algorithm)) return false;
  const kind = ALGORITHMS.get(algorithm);
  return kind !== undefined && kind === kindOf(key);
}

function kindOf({ asymmetricKeyType, asymmetricKeyDetails }: KeyObject): string | undefined {
  const { namedCurve = '', modulusLength = 0, publicExponent = 0n } = asymmetricKeyDetails ?? {};
  if (asymmetricKeyType === 'ed25519') return 'ed25519';
  if (asymmetricKeyType === 'ec') return [...ALGORITHMS.values()].includes(namedCurve) ? namedCurve : undefined;
  const isFit = modulusLength >= MIN_RSA_BITS && modulusLength <= MAX_RSA_BITS && publicExponent <= MAX_RSA_EXPONENT;
  return asymmetricKeyType === 'rsa' && isFit ? 'rsa' : undefined;
}

/** The `kid` of `distribution` up to 2.8: 240 bits of the key's SHA-256 in base32, twelve groups of four. */
function libtrustId(der: Buffer): string {
  return (base32(der.subarray(0, 30)).match(/.{4}/g) ?? []).join(':');
}

/** The SHA-256 thumbprint of RFC 7638: the required members alone, in this order. */
function jwkThumbprint(key: KeyObject): string {
  const { crv, e, kty, n, x, y } = key.export({ format: 'jwk' });
  const members = kty === 'RSA' ? { e, kty, n } : kty === 'EC' ? { crv, kty, x, y } : { crv, kty, x };
  return createHash('sha256').update(JSON.stringify(members)).digest('base64url');
}

/** RFC 4648 §6, for lengths that need no padding. */
function base32(bytes: Uint8Array): string {
  let text = '';
  for (let bit = 0; bit < bytes.length * 8; bit += 5) {
    const pair = ((bytes[bit >> 3] ?? 0) << 8) | (bytes[(bit >> 3) + 1] ?? 0);
    text += 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567'[(pair >> (11 - (bit & 7))) & 31];
  }
  return text;
}
