import type { KeyObject } from 'node:crypto';
import type { ClusterId, Digest, NodeId, RegistryHost, Repository, SwarmId } from '@sealift/core';
import { type Clock, signEs256, swarmIdOf } from '@sealift/core';

/** `typ` of a grant, so that no other token of the cluster can pass for one (RFC 8725 §3.11). */
export const GRANT_TYPE = 'sealift-grant+jwt';

/** `aud` of a grant: the peers of the cluster, the tracker among them. */
export const GRANT_AUDIENCE = 'peers';

/** What a grant allows: `trade` is to download and upload, `seed` is to upload only. */
export type GrantUse = 'trade' | 'seed';

/** A right to one blob, for one node, while it holds one certificate (docs/protocol.md, "Grant"). Times are in ms. */
export interface GrantClaims {
  readonly clusterId: ClusterId;
  readonly nodeId: NodeId;
  /** Follows from cluster, registry and digest; a grant in which it does not is refused. */
  readonly swarmId: SwarmId;
  readonly registry: RegistryHost;
  readonly repository: Repository;
  readonly digest: Digest;
  readonly use: GrantUse;
  /** When the registry last proved the right. */
  readonly authTime: number;
  readonly expiresAt: number;
  /** base64url SHA-256 of the holder's certificate in DER (RFC 8705 §3.1). */
  readonly x5tS256: string;
  /** Ties a grant to its line in the audit log; a grant that takes the place of another keeps it. */
  readonly id: string;
}

/**
 * Signs `claims` with ES256. Times are cut to whole seconds, so a grant never lives longer than its claims say.
 *
 * Not through jose, which signs on another thread: handing a grant over and back costs several times the signature, and a
 * tracker mints thousands per second. A test holds every byte but the signature against what jose writes; reading, where
 * the dangers of the format are, stays jose's.
 */
export async function mintGrant(
  claims: GrantClaims,
  { privateKey, kid, clock }: { privateKey: KeyObject; kid: string; clock: Clock },
): Promise<string> {
  const header = { alg: 'ES256', typ: GRANT_TYPE, kid };
  const payload = {
    swarm: swarmIdOf(claims.clusterId, claims.registry, claims.digest),
    registry: claims.registry,
    repository: claims.repository,
    digest: claims.digest,
    use: claims.use,
    auth_time: seconds(claims.authTime),
    cnf: { 'x5t#S256': claims.x5tS256 },
    iss: claims.clusterId,
    aud: GRANT_AUDIENCE,
    sub: claims.nodeId,
    iat: seconds(clock.now()),
    exp: seconds(claims.expiresAt),
    jti: claims.id,
  };
  const input = `${encodeJson(header)}.${encodeJson(payload)}`;
  return `${input}.${signEs256(Buffer.from(input), privateKey).toString('base64url')}`;
}

function encodeJson(value: object): string {
  return Buffer.from(JSON.stringify(value)).toString('base64url');
}

function seconds(ms: number): number {
  return Math.floor(ms / 1000);
}
