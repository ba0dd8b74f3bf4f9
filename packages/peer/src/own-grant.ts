import { isAppError, type ProvenRight, parseDigest, parseRegistryHost, parseRepository } from '@sealift/core';

/** What a grant of ours says. */
interface OwnClaims {
  readonly x5tS256: unknown;
  readonly right: ProvenRight;
}

/**
 * The claims of a grant of ours, read unverified: they only spare us showing a peer what it would refuse. `undefined` for
 * what is no grant, of which its peers say so better than we can.
 */
export function claimsOfOwn(grant: string): OwnClaims | undefined {
  const [, payload = ''] = grant.split('.');
  try {
    const claims: unknown = JSON.parse(Buffer.from(payload, 'base64url').toString('utf8'));
    const { registry, repository, digest, auth_time: provenAt, cnf } = claims as Record<string, unknown>;
    return {
      x5tS256: (cnf as Record<string, unknown> | undefined)?.['x5t#S256'],
      right: {
        registry: parseRegistryHost(String(registry)),
        repository: parseRepository(String(repository)),
        digest: parseDigest(String(digest)),
        authTime: Number(provenAt) * 1000,
      },
    };
  } catch (error) {
    if (error instanceof SyntaxError || error instanceof TypeError || isAppError(error)) return undefined;
    throw error;
  }
}

/**
 * Whether a grant of ours is bound to the certificate with this thumbprint (RFC 8705 §3.1); it is not, for a moment, after
 * each certificate renewal.
 */
export function isBoundTo(grant: string, x5tS256: string): boolean {
  return claimsOfOwn(grant)?.x5tS256 === x5tS256;
}
