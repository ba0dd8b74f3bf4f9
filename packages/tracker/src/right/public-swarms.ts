import { encodeMetainfo, type Metainfo } from '@sealift/bittorrent';
import { AppError, type BlobRef, type Clock, type SwarmId, swarmIdOf } from '@sealift/core';
import { PEER_COMMON_NAME } from '@sealift/pki';
import type { AuditWriter } from '../audit-log.ts';
import type { PublicRepository } from '../config.ts';
import type { Seeder } from '../ports.ts';
import type { TrackerState } from '../state/tracker-state.ts';
import type { Authorizer } from './authorizer.ts';

/** How long a registry's word that anybody may pull a blob holds, in ms: as long as a grant. */
const PROOF_MS = 15 * 60_000;
/** Age of that word, in ms, from which the registry is asked again when somebody announces the swarm. */
const RENEW_AFTER_MS = 5 * 60_000;
/** Public swarms at the same time. The one opened longest ago goes first; a metainfo has up to 330 KiB. */
const MAX_SWARMS = 1_000;
/** Blobs that are being read for their sums at the same time. */
const MAX_SUMMING = 4;
/** Longest wait for the sums of a blob, in ms: it is read whole. */
const SUM_DEADLINE_MS = 120_000;

interface PublicSwarm {
  readonly blob: BlobRef;
  readonly swarmId: SwarmId;
  readonly metainfo: Metainfo;
  /** The `ssl-cert` in it. */
  readonly caPem: string;
  provenAt: number;
  isRenewing: boolean;
}

/**
 * The swarms that stock BitTorrent clients may join without a grant: of blobs in repositories that the operator has listed,
 * and that the registry, asked without credentials, lets anybody pull. Neither alone opens anything. A client still needs a
 * certificate of the cluster, and every other swarm stays as it is.
 */
export class PublicSwarms {
  readonly #repositories: ReadonlySet<string>;
  readonly #authorizer: Pick<Authorizer, 'decide'>;
  readonly #seeder: Seeder;
  readonly #state: TrackerState;
  readonly #audit: AuditWriter;
  readonly #clock: Clock;
  readonly #intervalMs: number;
  readonly #byInfoHash = new Map<SwarmId, PublicSwarm>();
  readonly #bySwarm = new Map<SwarmId, PublicSwarm>();
  readonly #opening = new Map<SwarmId, Promise<PublicSwarm>>();

  constructor({
    repositories,
    authorizer,
    seeder,
    state,
    audit,
    clock,
    intervalMs,
  }: {
    repositories: readonly PublicRepository[];
    authorizer: Pick<Authorizer, 'decide'>;
    seeder: Seeder;
    state: TrackerState;
    audit: AuditWriter;
    clock: Clock;
    /** The announce interval. */
    intervalMs: number;
  }) {
    this.#repositories = new Set(repositories.map(keyOf));
    this.#authorizer = authorizer;
    this.#seeder = seeder;
    this.#state = state;
    this.#audit = audit;
    this.#clock = clock;
    this.#intervalMs = intervalMs;
  }

  /**
   * Opens the swarm of a blob and returns its metainfo with `announce` in it. Throws `NOT_FOUND` for a repository that is
   * not listed, a blob that not everybody may pull, and one that the seeder does not hold whole yet; `REGISTRY_UNKNOWN`.
   */
  async open(blob: BlobRef, { announce }: { announce: string }): Promise<Metainfo> {
    // The same answer as for a repository that does not exist: the list is nobody's business.
    if (!this.#repositories.has(keyOf(blob))) throw new AppError('NOT_FOUND');
    const swarmId = swarmIdOf(this.#state.clusterId, blob.registry, blob.digest);
    const provenAt = await this.#prove(blob);
    if (provenAt === undefined) {
      this.#close(swarmId);
      throw new AppError('NOT_FOUND', { reason: 'the registry does not let everybody pull this blob' });
    }
    const present = this.#live(this.#bySwarm.get(swarmId));
    if (present !== undefined) present.provenAt = Math.max(present.provenAt, provenAt);
    const swarm = present ?? (await this.#openOnce(blob, swarmId, { announce, provenAt }));
    return swarm.metainfo;
  }

  /** The swarm behind the info hash of a stock client; `undefined` unless it is public now. */
  swarmOf(infoHash: SwarmId): SwarmId | undefined {
    return this.#live(this.#byInfoHash.get(infoHash))?.swarmId;
  }

  /** The info hash under which a swarm is public; `undefined` unless it is now. */
  infoHashOf(swarmId: SwarmId): SwarmId | undefined {
    return this.#live(this.#bySwarm.get(swarmId))?.metainfo.infoHash;
  }

  #live(swarm: PublicSwarm | undefined): PublicSwarm | undefined {
    if (swarm === undefined) return undefined;
    const age = this.#clock.now() - swarm.provenAt;
    // After a rotation the clients would refuse every new certificate, and the metainfo has another name.
    const isRevoked = this.#state.revocations.covers({ ...swarm.blob, authTime: swarm.provenAt });
    if (isRevoked || age >= PROOF_MS || swarm.caPem !== this.#state.cas.issuing.certificatePem) {
      this.#close(swarm.swarmId);
      return undefined;
    }
    if (age >= RENEW_AFTER_MS && !swarm.isRenewing) void this.#renew(swarm);
    return swarm;
  }

  /** Never rejects: a registry that gives no answer leaves the last one to run out. */
  async #renew(swarm: PublicSwarm): Promise<void> {
    swarm.isRenewing = true;
    try {
      const provenAt = await this.#prove(swarm.blob);
      if (provenAt === undefined) this.#close(swarm.swarmId);
      else swarm.provenAt = Math.max(swarm.provenAt, provenAt);
    } catch {
      // Asked again at the next announce.
    } finally {
      swarm.isRenewing = false;
    }
  }

  /** When the registry said that anybody may pull the blob; `undefined` if it said no. */
  async #prove(blob: BlobRef): Promise<number | undefined> {
    const verdict = await this.#authorizer.decide(blob, undefined);
    if (verdict.kind === 'unavailable') throw new AppError('REGISTRY_UNAVAILABLE', { reason: verdict.reason });
    return verdict.kind === 'granted' ? verdict.provenAt : undefined;
  }

  async #openOnce(
    blob: BlobRef,
    swarmId: SwarmId,
    { announce, provenAt }: { announce: string; provenAt: number },
  ): Promise<PublicSwarm> {
    const running = this.#opening.get(swarmId);
    if (running !== undefined) return await running;
    if (this.#opening.size >= MAX_SUMMING) throw new AppError('TOO_MANY_REQUESTS');
    const opening = this.#makeMetainfo(blob, swarmId, announce)
      .then((made) => this.#add({ blob, swarmId, ...made, provenAt, isRenewing: false }))
      .finally(() => this.#opening.delete(swarmId));
    this.#opening.set(swarmId, opening);
    return await opening;
  }

  async #makeMetainfo(
    blob: BlobRef,
    swarmId: SwarmId,
    announce: string,
  ): Promise<Pick<PublicSwarm, 'metainfo' | 'caPem'>> {
    const signal = AbortSignal.timeout(SUM_DEADLINE_MS);
    const pieces = await this.#seeder.pieceSums?.(swarmId, { signal });
    if (pieces === undefined)
      throw new AppError('NOT_FOUND', { reason: 'the seeder does not hold the whole blob yet' });
    const { geometry, sums } = pieces;
    // libtorrent reads one certificate only: that of the CA which signs leaves now.
    const caPem = this.#state.cas.issuing.certificatePem;
    const { digest } = blob;
    return { metainfo: encodeMetainfo({ name: PEER_COMMON_NAME, digest, geometry, sums, announce, caPem }), caPem };
  }

  #add(swarm: PublicSwarm): PublicSwarm {
    for (const oldest of this.#bySwarm.keys()) {
      if (this.#bySwarm.size < MAX_SWARMS) break;
      this.#close(oldest);
    }
    this.#bySwarm.set(swarm.swarmId, swarm);
    this.#byInfoHash.set(swarm.metainfo.infoHash, swarm);
    this.#record('swarm_opened', swarm);
    // The others hear of it with their next announce; the first client comes for the seeder, at once.
    this.#seeder.setPublic?.(swarm.swarmId, swarm.metainfo.infoHash, { intervalMs: this.#intervalMs });
    return swarm;
  }

  #close(swarmId: SwarmId): void {
    const swarm = this.#bySwarm.get(swarmId);
    if (swarm === undefined) return;
    this.#bySwarm.delete(swarmId);
    this.#byInfoHash.delete(swarm.metainfo.infoHash);
    this.#record('swarm_closed', swarm);
  }

  #record(event: 'swarm_opened' | 'swarm_closed', { blob, swarmId, metainfo }: PublicSwarm): void {
    this.#audit.record(event, { ...blob, swarmId, infoHash: metainfo.infoHash });
  }
}

function keyOf({ registry, repository }: PublicRepository): string {
  return `${registry}/${repository}`;
}
