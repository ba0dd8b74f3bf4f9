import type { ProvenRight, SwarmId } from '@sealift/core';
import type { Identity, TlsMaterial } from '@sealift/pki';
import type { ClusterInfo, GrantClaims } from '@sealift/tracker-api';

/** Who this process is in its cluster, and what it needs to judge others. Replaced as a whole at each renewal. */
export interface NodeCredentials {
  readonly identity: Identity;
  readonly tls: TlsMaterial;
  readonly cluster: ClusterInfo;
}

/** The present credentials and word of each change. */
export interface IdentitySource {
  current(): NodeCredentials;
  /** Calls `listener` after each renewal; returns how to stop that. */
  onChange(listener: () => void): () => void;
}

/** The grants that this process holds. */
export interface GrantSource {
  /** The present grant for a swarm, or `undefined` where there is none that still runs. */
  grantFor(swarmId: SwarmId): string | undefined;
  /** Calls `listener` when the grant of a swarm is replaced or lost; returns how to stop that. */
  onChange(listener: (swarmId: SwarmId) => void): () => void;
  /** Drops, or replaces by later ones, the grants whose right `isRevoked`; asked after each change of the deny list. */
  dropRevoked(isRevoked: (right: ProvenRight) => boolean): void;
}

/** The registry's own token, shown and demanded besides the grant (`tokenCheck: registry`). */
export interface TokenCheck {
  /** Our token to show to peers of a swarm; `undefined` where we hold none that still runs. */
  tokenFor(swarmId: SwarmId): string | undefined;
  /** Throws `REGISTRY_TOKEN_REJECTED` unless the token opens what the grant is for, by what this process knows itself. */
  verify(token: string, claims: GrantClaims): Promise<void>;
  /** Calls `listener` when there may be another token to show, or a key was learnt; returns how to stop that. */
  onChange(listener: () => void): () => void;
}
