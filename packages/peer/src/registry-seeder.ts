import { createHash } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import type { ContentSigner } from '@sealift/bittorrent';
import {
  AppError,
  type BlobRef,
  type Clock,
  digestFromSha256,
  isAppError,
  type Logger,
  type NodeId,
  type PieceGeometry,
  pieceGeometry,
  pieceLengthFor,
  type SwarmId,
} from '@sealift/core';
import type { RegistryClient } from '@sealift/registry';
import type { BlobStore } from '@sealift/store';
import type { PeerEngine } from './engine.ts';
import type { Ingest } from './ingest.ts';
import { InlineCache } from './inline-cache.ts';
import { isPassing, RegistryRead } from './registry-read.ts';

/** Largest blob that goes whole into a join answer, in bytes: configs and little layers. */
const INLINE_MAX_BYTES = 64 * 1024;
/** Memory for small blobs, in bytes: about a thousand of the largest. */
const INLINE_CACHE_BYTES = 64 * 1024 * 1024;
/** Blobs read at the same time: an image has tens of layers, a rollout a few images. Past it, nodes read for themselves. */
const MAX_READS = 64;
/** Broken reads that wait for fresh credentials, at most. */
const MAX_PAUSED_READS = 256;
/** Attempts with one set of credentials when the registry breaks a body, and the pause before each further one, in ms. */
const ATTEMPTS = 4;
const RETRY_PAUSE_MS = 500;
/** How long a blob whose bytes did not match its digest is not read again, in ms: a lying registry costs one read a minute. */
const WITHDRAWN_PAUSE_MS = 60_000;
const MAX_WITHDRAWN = 1_000;

/** What the tracker asks; its `SeedRequest` by shape. */
interface SeedRequest {
  readonly blob: BlobRef;
  readonly swarmId: SwarmId;
  readonly size: number | undefined;
  readonly authorization: string | undefined;
}

/** What the seeder has; the tracker's `SeedOffer` by shape. */
type SeedOffer =
  | { readonly kind: 'inline'; readonly bytes: Uint8Array }
  | {
      readonly kind: 'swarm';
      readonly size: number;
      readonly pieceLength: number;
      readonly batches: readonly Uint8Array[];
    }
  | { readonly kind: 'none'; readonly reason: string };

/** A read that broke; its pieces are on offer, and the next requester's credentials take it further. */
interface PausedRead {
  readonly read: RegistryRead;
  readonly ingest: Ingest;
  readonly geometry: PieceGeometry;
}

/**
 * The seeder: a peer engine that is fed from the registry instead of from peers. It fits the tracker's `Seeder`. However
 * many ask for a blob, it reads it once, with the credentials of whoever asked first, and offers each piece as it comes.
 */
export class RegistrySeeder {
  readonly nodeId: NodeId;
  readonly endpoint: { readonly host: string; readonly port: number };
  readonly #engine: PeerEngine;
  readonly #store: BlobStore;
  readonly #registry: RegistryClient;
  readonly #signer: ContentSigner;
  readonly #ensureGrant: (blob: BlobRef, swarmId: SwarmId) => Promise<void>;
  readonly #clock: Clock;
  readonly #log: Logger;
  readonly #inline = new InlineCache({ maxBytes: INLINE_CACHE_BYTES });
  /** By swarm: settles as soon as there is something to offer. */
  readonly #opening = new Map<SwarmId, Promise<SeedOffer>>();
  readonly #reading = new Map<SwarmId, Promise<void>>();
  readonly #paused = new Map<SwarmId, PausedRead>();
  readonly #withdrawnUntil = new Map<SwarmId, number>();
  readonly #stopped = new AbortController();

  constructor(options: {
    nodeId: NodeId;
    endpoint: { readonly host: string; readonly port: number };
    engine: PeerEngine;
    store: BlobStore;
    registry: RegistryClient;
    signer: ContentSigner;
    /** Sees to it that the seeder itself holds a grant for the swarm, so that peers talk to it. */
    ensureGrant: (blob: BlobRef, swarmId: SwarmId) => Promise<void>;
    clock: Clock;
    log: Logger;
  }) {
    this.nodeId = options.nodeId;
    this.endpoint = options.endpoint;
    this.#engine = options.engine;
    this.#store = options.store;
    this.#registry = options.registry;
    this.#signer = options.signer;
    this.#ensureGrant = options.ensureGrant;
    this.#clock = options.clock;
    this.#log = options.log;
  }

  /** Ends all reads; what they have verified stays in the store. */
  async stop(): Promise<void> {
    this.#stopped.abort();
    await Promise.allSettled([...this.#opening.values(), ...this.#reading.values()]);
  }

  isSeeding(swarmId: SwarmId): boolean {
    return this.#engine.swarm(swarmId) !== undefined;
  }

  async offer(request: SeedRequest, { signal }: { signal: AbortSignal }): Promise<SeedOffer> {
    const opening = this.#opening.get(request.swarmId) ?? this.#open(request);
    try {
      const offer = await abortable(opening, signal);
      return offer.kind === 'swarm' ? (this.#offerOf(request.swarmId) ?? offer) : offer;
    } catch (error) {
      this.#log.warn('ingest_failed', { digest: request.blob.digest, registry: request.blob.registry, error });
      return { kind: 'none', reason: isAppError(error) ? error.code : 'the seeder failed' };
    }
  }

  /** What the engine holds now: hash batches grow while the blob is read, so they are taken afresh for each requester. */
  #offerOf(swarmId: SwarmId): SeedOffer | undefined {
    const stored = this.#engine.swarm(swarmId)?.blob;
    if (stored === undefined) return undefined;
    const { size, pieceLength } = stored.geometry;
    return { kind: 'swarm', size, pieceLength, batches: stored.hashRecords };
  }

  #open(request: SeedRequest): Promise<SeedOffer> {
    const opening = this.#start(request).finally(() => this.#opening.delete(request.swarmId));
    this.#opening.set(request.swarmId, opening);
    return opening;
  }

  async #start(request: SeedRequest): Promise<SeedOffer> {
    const { blob, swarmId } = request;
    const inline = this.#inline.get(swarmId);
    if (inline !== undefined) return { kind: 'inline', bytes: inline };
    if ((this.#withdrawnUntil.get(swarmId) ?? 0) > this.#clock.now()) {
      return { kind: 'none', reason: 'what the registry sent did not match the digest' };
    }
    await this.#ensureGrant(blob, swarmId);
    if (this.#reading.has(swarmId)) return this.#offerOf(swarmId) ?? none('the read is ending');
    const stored = this.#store.get(swarmId);
    if (stored?.isComplete === true) {
      await this.#engine.download({ blob, swarmId, geometry: stored.geometry, batches: stored.hashRecords });
      return this.#offerOf(swarmId) ?? none('the blob was evicted');
    }
    if (this.#reading.size >= MAX_READS) return none('the seeder is busy');
    return await this.#startRead(request);
  }

  async #startRead(request: SeedRequest): Promise<SeedOffer> {
    const { blob, swarmId, authorization } = request;
    const signal = this.#stopped.signal;
    const paused = this.#paused.get(swarmId);
    if (paused !== undefined) {
      const body = await this.#registry.openBlob(blob, { authorization, offset: paused.read.offset, signal });
      this.#paused.delete(swarmId);
      this.#run(request, paused, body);
      return this.#offerOf(swarmId) ?? none('the read is ending');
    }
    let body = await this.#registry.openBlob(blob, { authorization, signal });
    const size = body.size ?? request.size;
    if (size === undefined || size === 0) {
      body.body.destroy();
      return none('the registry does not say how long the blob is');
    }
    try {
      if (size <= INLINE_MAX_BYTES) return await this.#readInline(request, size, body.body);
      const geometry = pieceGeometry(size, pieceLengthFor(size));
      const ingest = await this.#engine.ingest({ blob, swarmId, geometry, signer: this.#signer });
      const read = new RegistryRead({ blob, geometry, ingest });
      const stored = this.#store.get(swarmId);
      if (stored !== undefined && stored.bitfield.count > 0) {
        // An earlier process began this blob: go on where it ended.
        body.body.destroy();
        await read.resumeFrom(stored, { signal });
        body = await this.#registry.openBlob(blob, { authorization, offset: read.offset, signal });
      }
      this.#run(request, { read, ingest, geometry }, body);
    } catch (error) {
      body.body.destroy();
      throw error;
    }
    return this.#offerOf(swarmId) ?? none('the read is ending');
  }

  async #readInline({ blob, swarmId }: SeedRequest, size: number, body: AsyncIterable<Uint8Array>): Promise<SeedOffer> {
    const chunks: Uint8Array[] = [];
    let length = 0;
    for await (const chunk of body) {
      length += chunk.length;
      if (length > size) break;
      chunks.push(chunk);
    }
    const bytes = Buffer.concat(chunks);
    if (length !== size) throw new AppError('REGISTRY_UNAVAILABLE', { reason: 'the body is not as long as announced' });
    if (digestFromSha256(createHash('sha256').update(bytes).digest()) !== blob.digest) {
      this.#markWithdrawn(blob, swarmId);
      return none('what the registry sent does not match the digest');
    }
    this.#inline.set(swarmId, bytes);
    this.#log.info('ingest_finished', { swarmId, digest: blob.digest, size, inline: true });
    return { kind: 'inline', bytes };
  }

  #run(request: SeedRequest, paused: PausedRead, body: Awaited<ReturnType<RegistryClient['openBlob']>>): void {
    const { swarmId } = request;
    const reading = this.#readToEnd(request, paused, body)
      .catch((error: unknown) => {
        this.#pause(swarmId, paused);
        if (this.#stopped.signal.aborted) return;
        this.#log.warn('ingest_failed', { swarmId, digest: request.blob.digest, offset: paused.read.offset, error });
      })
      .finally(() => this.#reading.delete(swarmId));
    this.#reading.set(swarmId, reading);
  }

  async #readToEnd(
    { blob, swarmId, authorization }: SeedRequest,
    { read, ingest }: PausedRead,
    first: Awaited<ReturnType<RegistryClient['openBlob']>>,
  ): Promise<void> {
    const signal = this.#stopped.signal;
    this.#log.info('ingest_started', { swarmId, digest: blob.digest, registry: blob.registry, offset: first.offset });
    for (let attempt = 1; ; attempt += 1) {
      try {
        const body =
          attempt === 1 ? first : await this.#registry.openBlob(blob, { authorization, offset: read.offset, signal });
        await read.take(body, { signal });
        break;
      } catch (error) {
        if (attempt === ATTEMPTS || signal.aborted || !isPassing(error)) throw error;
        await delay(RETRY_PAUSE_MS * attempt, undefined, { signal });
      }
    }
    if (read.finish()) {
      await ingest.complete();
      this.#log.info('ingest_finished', { swarmId, digest: blob.digest, size: read.offset, inline: false });
    } else {
      this.#markWithdrawn(blob, swarmId);
      await ingest.withdraw();
    }
  }

  #pause(swarmId: SwarmId, paused: PausedRead): void {
    this.#paused.set(swarmId, paused);
    if (this.#paused.size <= MAX_PAUSED_READS) return;
    for (const [oldest, { ingest }] of this.#paused) {
      this.#paused.delete(oldest);
      ingest.abandon().catch((error: unknown) => this.#log.warn('ingest_failed', { swarmId: oldest, error }));
      break;
    }
  }

  #markWithdrawn(blob: BlobRef, swarmId: SwarmId): void {
    this.#log.error('blob_withdrawn', { swarmId, digest: blob.digest, registry: blob.registry });
    const now = this.#clock.now();
    for (const [id, until] of this.#withdrawnUntil) {
      if (until <= now || this.#withdrawnUntil.size >= MAX_WITHDRAWN) this.#withdrawnUntil.delete(id);
    }
    this.#withdrawnUntil.set(swarmId, now + WITHDRAWN_PAUSE_MS);
  }
}

function none(reason: string): SeedOffer {
  return { kind: 'none', reason };
}

/** Waits for `promise` or for the signal; the work itself goes on for others. */
async function abortable<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  signal.throwIfAborted();
  const { promise: aborted, reject } = Promise.withResolvers<never>();
  const onAbort = (): void => reject(signal.reason);
  signal.addEventListener('abort', onAbort, { once: true });
  try {
    return await Promise.race([promise, aborted]);
  } finally {
    signal.removeEventListener('abort', onAbort);
  }
}
