import { createPublicKey, hash, type KeyObject, timingSafeEqual } from 'node:crypto';
import {
  AppError,
  type Clock,
  type ClusterId,
  type NodeId,
  parseDigest,
  parseNodeId,
  parseRegistryHost,
  parseRepository,
  parseSwarmId,
  type SwarmId,
  swarmIdOf,
} from '@sealift/core';
import { type JWTHeaderParameters, type JWTPayload, jwtVerify } from 'jose';
import { Type } from 'typebox';
import { Compile } from 'typebox/compile';
import { GRANT_AUDIENCE, GRANT_TYPE, type GrantClaims } from './grant.ts';
import { MAX_GRANT_LENGTH, type PublicJwk } from './messages.ts';

const payloadSchema = Compile(
  Type.Object({
    iss: Type.String(),
    aud: Type.Literal(GRANT_AUDIENCE),
    sub: Type.String({ maxLength: 63 }),
    swarm: Type.String({ maxLength: 40 }),
    registry: Type.String({ maxLength: 300 }),
    repository: Type.String({ maxLength: 255 }),
    digest: Type.String({ maxLength: 71 }),
    use: Type.Union([Type.Literal('trade'), Type.Literal('seed')]),
    auth_time: Type.Integer({ minimum: 0 }),
    iat: Type.Integer({ minimum: 0 }),
    exp: Type.Integer({ minimum: 0 }),
    jti: Type.String({ minLength: 1, maxLength: 64 }),
    cnf: Type.Object({ 'x5t#S256': Type.String({ minLength: 43, maxLength: 43 }) }, { additionalProperties: false }),
  }),
);

/**
 * Grants remembered at most, about 1 KiB each: a node shows the same grant in every announce for a quarter of an hour. The
 * grants of the largest swarm that we plan for, twice. The one shown longest ago goes first.
 */
const MAX_REMEMBERED = 20_000;

/** Judges grants offline, with the cluster's published grant keys and nothing a grant says about itself. */
export class GrantVerifier {
  readonly #clusterId: ClusterId;
  readonly #keys: ReadonlyMap<string, KeyObject>;
  readonly #clock: Clock;
  /** Claims of grants whose signature and form were good, by the SHA-256 of the grant; from the least recently shown. */
  readonly #remembered = new Map<string, GrantClaims>();

  constructor({ clusterId, keys, clock }: { clusterId: ClusterId; keys: readonly PublicJwk[]; clock: Clock }) {
    this.#clusterId = clusterId;
    this.#keys = new Map(keys.map((jwk) => [jwk.kid, createPublicKey({ key: { ...jwk }, format: 'jwk' })]));
    this.#clock = clock;
  }

  /**
   * The claims of a grant that `nodeId` holds with the certificate `x5tS256`, for `swarmId` if one is given. Throws
   * `GRANT_REJECTED` with a reason. The caller takes node id and thumbprint from the certificate of this very connection.
   */
  async verify(
    grant: string,
    { swarmId, nodeId, x5tS256 }: { swarmId?: SwarmId; nodeId: NodeId; x5tS256: string },
  ): Promise<GrantClaims> {
    const claims = await this.#verifyOnce(grant);
    if (claims.nodeId !== nodeId) throw rejected('the grant is for another node');
    if (!isEqual(claims.x5tS256, x5tS256)) throw rejected('the grant is bound to another certificate');
    if (swarmId !== undefined && claims.swarmId !== swarmId) throw rejected('the grant is for another swarm');
    return claims;
  }

  /**
   * The claims of a grant that `nodeId` wants to have renewed: it may be bound to an earlier certificate of the same node
   * and may have ended at most `expiredAtMostMs` ago. For the tracker only, and never a proof of a right by itself.
   */
  async verifyForRefresh(
    grant: string,
    { nodeId, expiredAtMostMs }: { nodeId: NodeId; expiredAtMostMs: number },
  ): Promise<GrantClaims> {
    const claims = await this.#verifySigned(grant, expiredAtMostMs);
    if (claims.nodeId !== nodeId) throw rejected('the grant is for another node');
    return claims;
  }

  /** Verifies each grant once: its text cannot change under its hash, and its end is looked at each time. */
  async #verifyOnce(grant: string): Promise<GrantClaims> {
    if (grant.length > MAX_GRANT_LENGTH) throw rejected('the grant is too long');
    const key = hash('sha256', grant, 'base64url');
    const known = this.#remembered.get(key);
    this.#remembered.delete(key);
    const claims =
      known !== undefined && known.expiresAt > this.#clock.now() ? known : await this.#verifySigned(grant, 0);
    this.#remembered.set(key, claims);
    if (this.#remembered.size > MAX_REMEMBERED) this.#forgetOldest();
    return claims;
  }

  #forgetOldest(): void {
    for (const key of this.#remembered.keys()) {
      this.#remembered.delete(key);
      return;
    }
  }

  async #verifySigned(grant: string, toleranceMs: number): Promise<GrantClaims> {
    if (grant.length > MAX_GRANT_LENGTH) throw rejected('the grant is too long');
    let payload: JWTPayload;
    try {
      const verified = await jwtVerify(grant, (header) => this.#keyOf(header), {
        algorithms: ['ES256'],
        typ: GRANT_TYPE,
        issuer: this.#clusterId,
        audience: GRANT_AUDIENCE,
        requiredClaims: ['exp', 'iat', 'jti', 'sub', 'cnf'],
        // Judged against the end of the tolerance, because jose tolerates in both directions.
        currentDate: new Date(this.#clock.now() - toleranceMs),
      });
      payload = verified.payload;
    } catch (cause) {
      throw rejected(reasonOf(cause), cause);
    }
    return this.#parse(payload);
  }

  /** Only `kid` chooses among our keys: `jwk`, `x5c` and `jku` of a header are the sender's own words. */
  #keyOf({ kid }: JWTHeaderParameters): KeyObject {
    const key = kid === undefined ? undefined : this.#keys.get(kid);
    if (key === undefined) throw rejected('the grant is signed with an unknown key');
    return key;
  }

  #parse(payload: JWTPayload): GrantClaims {
    if (!payloadSchema.Check(payload)) throw rejected('a claim is missing or malformed');
    try {
      const registry = parseRegistryHost(payload.registry);
      const digest = parseDigest(payload.digest);
      const swarmId = parseSwarmId(payload.swarm);
      if (registry !== payload.registry) throw rejected('the registry is not in its normal form');
      if (swarmId !== swarmIdOf(this.#clusterId, registry, digest)) throw rejected('the swarm is not that of the blob');
      return {
        clusterId: this.#clusterId,
        nodeId: parseNodeId(payload.sub),
        swarmId,
        registry,
        repository: parseRepository(payload.repository),
        digest,
        use: payload.use,
        authTime: payload.auth_time * 1000,
        expiresAt: payload.exp * 1000,
        x5tS256: payload.cnf['x5t#S256'],
        id: payload.jti,
      };
    } catch (cause) {
      if (cause instanceof AppError && cause.code === 'GRANT_REJECTED') throw cause;
      throw rejected('a claim is missing or malformed', cause);
    }
  }
}

function isEqual(a: string, b: string): boolean {
  const left = Buffer.from(a);
  const right = Buffer.from(b);
  return left.length === right.length && timingSafeEqual(left, right);
}

function reasonOf(cause: unknown): string {
  if (cause instanceof AppError) return String(cause.details['reason']);
  const code = (cause as { code?: unknown }).code;
  if (code === 'ERR_JWT_EXPIRED') return 'the grant has expired';
  if (code === 'ERR_JWS_SIGNATURE_VERIFICATION_FAILED') return 'the signature does not verify';
  if (code === 'ERR_JOSE_ALG_NOT_ALLOWED') return 'the algorithm is not ES256';
  if (code === 'ERR_JWT_CLAIM_VALIDATION_FAILED') return 'a claim is missing or malformed';
  return 'the grant is not a well-formed token';
}

function rejected(reason: string, cause?: unknown): AppError {
  return new AppError('GRANT_REJECTED', { reason }, { cause });
}
