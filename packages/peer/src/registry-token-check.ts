import { MAX_REGISTRY_TOKEN_LENGTH } from '@sealift/bittorrent';
import { AppError, type BlobRef, type Clock, type SwarmId } from '@sealift/core';
import { authorizationExpiry, bearerJwt, type RegistryTokens } from '@sealift/registry';
import type { GrantClaims } from '@sealift/tracker-api';
import type { TokenCheck } from './ports.ts';

/** Swarms and tokens remembered at most, as many as grants. The least recently joined goes first. */
const MAX_SWARMS = 10_000;
/** Repositories of one swarm: those that share a layer. */
const MAX_REPOSITORIES = 64;

/** What the check needs to judge tokens. */
export type PeerTokenJudge = Pick<RegistryTokens, 'verify' | 'onLearnt'>;

interface Joined {
  /** The repository of the last join, and so of our grant. */
  blob: BlobRef;
  readonly repositories: Set<string>;
}

/**
 * Registry tokens between peers (docs/operations.md, "Ask peers for the registry's token too"): what this process has joined
 * with, and the judgement of what others show. A token names a repository and no blob, and a grant of a stolen key may name
 * any repository: so it must be one under which this process has got the blob itself.
 */
export class RegistryTokenCheck implements TokenCheck {
  readonly #judge: PeerTokenJudge;
  readonly #clock: Clock;
  readonly #joined = new Map<SwarmId, Joined>();
  /** By registry and repository, in memory only. */
  readonly #tokens = new Map<string, { readonly token: string; readonly expiresAt: number }>();
  readonly #listeners = new Set<() => void>();

  constructor({ judge, clock }: { judge: PeerTokenJudge; clock: Clock }) {
    this.#judge = judge;
    this.#clock = clock;
  }

  /** The right to `blob` was granted for this header. Its token, if it is one, may be shown to peers from now on. */
  joined(swarmId: SwarmId, blob: BlobRef, authorization: string | undefined): void {
    const joined = this.#joined.get(swarmId) ?? { blob, repositories: new Set() };
    joined.blob = blob;
    joined.repositories.delete(blob.repository);
    joined.repositories.add(blob.repository);
    trim(joined.repositories, MAX_REPOSITORIES);
    this.#joined.delete(swarmId);
    this.#joined.set(swarmId, joined);
    trim(this.#joined, MAX_SWARMS);
    this.#keep(blob, authorization);
    for (const listener of this.#listeners) listener();
  }

  tokenFor(swarmId: SwarmId): string | undefined {
    const joined = this.#joined.get(swarmId);
    const held = joined === undefined ? undefined : this.#tokens.get(placeOf(joined.blob));
    return held !== undefined && held.expiresAt > this.#clock.now() ? held.token : undefined;
  }

  async verify(token: string, claims: GrantClaims): Promise<void> {
    const { swarmId, registry, repository } = claims;
    if (this.#joined.get(swarmId)?.repositories.has(repository) !== true) {
      throw rejected('this node has not got the blob under the repository of the grant');
    }
    if ((await this.#judge.verify(token, { registry, repository })) === undefined) {
      throw rejected('not good for the repository of the grant, or of a key that this node has not learnt');
    }
  }

  onChange(listener: () => void): () => void {
    this.#listeners.add(listener);
    const stopLearning = this.#judge.onLearnt(listener);
    return () => {
      this.#listeners.delete(listener);
      stopLearning();
    };
  }

  #keep(blob: BlobRef, authorization: string | undefined): void {
    const token = bearerJwt(authorization);
    const expiresAt = authorizationExpiry(authorization);
    if (token === undefined || expiresAt === undefined || token.length > MAX_REGISTRY_TOKEN_LENGTH) return;
    const place = placeOf(blob);
    if ((this.#tokens.get(place)?.expiresAt ?? 0) > expiresAt) return;
    this.#tokens.delete(place);
    this.#tokens.set(place, { token, expiresAt });
    trim(this.#tokens, MAX_SWARMS);
  }
}

function placeOf({ registry, repository }: BlobRef): string {
  return `${registry} ${repository}`;
}

/** Drops what was put first until `max` are left. */
function trim(entries: Map<string, unknown> | Set<string>, max: number): void {
  for (const oldest of entries.keys()) {
    if (entries.size <= max) return;
    entries.delete(oldest);
  }
}

function rejected(reason: string): AppError {
  return new AppError('REGISTRY_TOKEN_REJECTED', { reason });
}
