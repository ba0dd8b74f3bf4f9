import { isIP } from 'node:net';
import { AppError, type BlobRef, type ClusterId, type RateLimit } from '@sealift/core';

/** A repository that is open to every certificate of the cluster. */
export type PublicRepository = Pick<BlobRef, 'registry' | 'repository'>;

/** What an operator may say about a tracker. */
export interface TrackerConfig {
  readonly clusterId: ClusterId;
  /** Where nodes reach it. Port 0 takes a free one. */
  readonly listen: { readonly host: string; readonly port: number };
  /** DNS names and IP addresses for the tracker's own certificate. @default [] */
  readonly names?: readonly string[];
  /**
   * Whether registry credentials that were just accepted for a blob enrol a node. Join tokens always do. Where a registry
   * hands tokens to anybody, this lets anybody in, though only to what anybody may pull. @default false
   */
  readonly registryToken?: boolean;
  /**
   * Repositories whose blobs stock BitTorrent clients with a certificate of the cluster may fetch without a grant, as
   * `registry/repository`, once the registry has shown that anybody may pull the blob. @default []
   */
  readonly publicRepositories?: readonly PublicRepository[];
  /**
   * Takes a registry's yes to the tracker's own client certificate for a yes to whoever asks. For registries that ask for
   * nothing else: every node of the cluster may pull from them then. @default false
   */
  readonly registryCertsSuffice?: boolean;
  /** Shortest time between a node's announces of one blob, in ms; see `SwarmTableLimits`. @default 30_000 */
  readonly announceIntervalMs?: number;
  readonly limits?: Partial<TrackerLimits>;
}

/** Bounds on what one stranger, or one node, can make the tracker do. */
export interface TrackerLimits {
  /** Enrolments, and joins without a certificate, of one address. A rollout may start a whole rack behind one address. */
  readonly enrol: RateLimit;
  /** Joins of one node: an image has tens of layers, asked for at once. */
  readonly join: RateLimit;
  /** Announces of one node: one for each blob that it holds, all at once after a restart. */
  readonly announce: RateLimit;
  /** How often one node may have itself dialled: each time is a connection that the tracker opens for it. */
  readonly reach: RateLimit;
  /** Renewals, refreshes and reports of one node. */
  readonly other: RateLimit;
  /** Open connections of one address; a node needs two, and a rack may share an address. */
  readonly connectionsPerAddress: number;
  /** Open connections in all: two of each of 10,000 nodes. About 50 KiB of memory each. */
  readonly connections: number;
  /** Connections without a certificate of the cluster: those who enrol, ask for the status, or have no business here. */
  readonly strangers: number;
  /** The same of one address: a rack that enrols at once. */
  readonly strangersPerAddress: number;
  /** New connections of one address without a certificate. A handshake costs 1 to 2 ms. */
  readonly strangerRate: RateLimit;
  /** Longest TLS handshake, in ms. */
  readonly handshakeTimeoutMs: number;
  /** Longest wait for the head of a request, in ms. Slow senders must not hold connections. */
  readonly headersTimeoutMs: number;
  /** Longest wait for all of a request, in ms. */
  readonly requestTimeoutMs: number;
  /** Longest silence on a connection, in ms; a node that has nothing to say dials again. */
  readonly idleTimeoutMs: number;
}

/** A configuration with nothing left open. */
export interface ResolvedConfig extends Required<Omit<TrackerConfig, 'limits' | 'names'>> {
  readonly dnsNames: readonly string[];
  readonly ipAddresses: readonly string[];
  readonly limits: TrackerLimits;
}

const DEFAULT_LIMITS: TrackerLimits = {
  enrol: { burst: 200, perSecond: 20 },
  join: { burst: 500, perSecond: 50 },
  announce: { burst: 10_000, perSecond: 500 },
  reach: { burst: 5, perSecond: 0.1 },
  other: { burst: 100, perSecond: 10 },
  connectionsPerAddress: 2_000,
  connections: 20_000,
  strangers: 2_000,
  strangersPerAddress: 200,
  strangerRate: { burst: 500, perSecond: 50 },
  handshakeTimeoutMs: 10_000,
  headersTimeoutMs: 10_000,
  requestTimeoutMs: 15_000,
  idleTimeoutMs: 120_000,
};

/** Checks a configuration and fills in defaults; throws `CONFIG_INVALID`. */
export function resolveConfig(config: TrackerConfig): ResolvedConfig {
  const { names = [], announceIntervalMs = 30_000 } = config;
  if (!(announceIntervalMs >= 1_000 && announceIntervalMs <= 3_600_000)) {
    throw new AppError('CONFIG_INVALID', { reason: 'announceIntervalMs must be between 1 second and 1 hour' });
  }
  return Object.freeze({
    clusterId: config.clusterId,
    listen: config.listen,
    registryToken: config.registryToken ?? false,
    publicRepositories: config.publicRepositories ?? [],
    registryCertsSuffice: config.registryCertsSuffice ?? false,
    announceIntervalMs,
    dnsNames: names.filter((name) => isIP(name) === 0),
    ipAddresses: names.filter((name) => isIP(name) !== 0),
    limits: { ...DEFAULT_LIMITS, ...config.limits },
  });
}
