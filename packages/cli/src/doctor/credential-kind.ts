import { bearerJwt } from '@sealift/registry';

/** What a registry is shown, as far as the cluster treats it differently. */
export type CredentialKind =
  | { readonly kind: 'none' }
  | { readonly kind: 'basic' }
  | { readonly kind: 'opaque' }
  /** A JWT whose signature nobody but its issuer can check, or that carries none. */
  | { readonly kind: 'secret-jwt'; readonly algorithm: string }
  | { readonly kind: 'jwt'; readonly algorithm: string; readonly carriesKey: boolean };

/** Algorithms with a public key (RFC 7518 §3.1, RFC 8037). */
const PUBLIC_KEY = /^(?:RS|ES|PS)(?:256|384|512)$|^EdDSA$/;

/** What kind of credential a header holds. Nothing in it is verified. */
export function credentialKindOf(authorization: string | undefined): CredentialKind {
  if (authorization === undefined) return { kind: 'none' };
  if (/^basic /i.test(authorization)) return { kind: 'basic' };
  const header = headerOf(bearerJwt(authorization) ?? '');
  if (header === undefined) return { kind: 'opaque' };
  const algorithm =
    typeof header['alg'] === 'string' && /^[A-Za-z0-9]{1,10}$/.test(header['alg']) ? header['alg'] : 'unknown';
  if (!PUBLIC_KEY.test(algorithm)) return { kind: 'secret-jwt', algorithm };
  return { kind: 'jwt', algorithm, carriesKey: header['x5c'] !== undefined || header['jwk'] !== undefined };
}

function headerOf(token: string): Readonly<Record<string, unknown>> | undefined {
  try {
    const value: unknown = JSON.parse(Buffer.from(token.split('.')[0] ?? '', 'base64url').toString('utf8'));
    return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : undefined;
  } catch {
    // No JWT after all.
    return undefined;
  }
}

/** How the tracker comes to a verdict with such a credential. */
export function describeJudgement(credential: CredentialKind): string {
  switch (credential.kind) {
    case 'none':
      return 'No credential is needed. The tracker asks the registry for each blob, once for all nodes.';
    case 'basic':
      return 'The credential is Basic: the tracker asks the registry for each blob whether this user may have it.';
    case 'opaque':
      return 'The token is opaque: the tracker asks the registry for each blob whether it opens it.';
    case 'secret-jwt':
      return `The token is a JWT (${credential.algorithm}) that only its issuer can check: the tracker asks the registry for each blob.`;
    case 'jwt':
      return credential.carriesKey
        ? `The token is a JWT (${credential.algorithm}) that carries its key: once the registry has accepted one, the tracker judges further ones itself.`
        : `The token is a JWT (${credential.algorithm}) that only names its key: the tracker asks the registry for each blob, unless --registry-token-keys gives it the key.`;
  }
}
