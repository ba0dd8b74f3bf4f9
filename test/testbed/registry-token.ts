import { createPrivateKey, randomUUID, sign, X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';
import type { KeyPair } from './upstream-pki.ts';

/** What a token lets its bearer do in one repository. */
export interface RepositoryAccess {
  readonly repository: string;
  readonly actions: readonly string[];
}

/** Who vouches to the registry: names and key that its configuration trusts. */
export interface TokenIssuer extends KeyPair {
  readonly issuer: string;
  readonly service: string;
}

/**
 * A Bearer token as the Distribution project's token specification has it: ES256, with the issuer's certificate in `x5c`.
 * `expiresInSeconds` may be negative; docker-registry allows 60 s of leeway.
 */
export function mintRegistryToken(
  issuer: TokenIssuer,
  o: { subject: string; access: readonly RepositoryAccess[]; expiresInSeconds: number },
): string {
  const now = Math.floor(Date.now() / 1000);
  const certificate = new X509Certificate(readFileSync(issuer.certificate));
  const header = { typ: 'JWT', alg: 'ES256', x5c: [certificate.raw.toString('base64')] };
  const claims = {
    iss: issuer.issuer,
    sub: o.subject,
    aud: issuer.service,
    iat: now,
    nbf: Math.min(now, now + o.expiresInSeconds) - 300,
    exp: now + o.expiresInSeconds,
    jti: randomUUID(),
    access: o.access.map(({ repository, actions }) => ({ type: 'repository', name: repository, actions })),
  };
  const signed = `${encode(header)}.${encode(claims)}`;
  const key = createPrivateKey(readFileSync(issuer.key));
  const signature = sign('sha256', Buffer.from(signed), { key, dsaEncoding: 'ieee-p1363' });
  return `${signed}.${signature.toString('base64url')}`;
}

function encode(value: object): string {
  return Buffer.from(JSON.stringify(value)).toString('base64url');
}
