import { createHash } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import type { ContentSigner } from '@sealift/bittorrent';
import {
  AppError,
  type BlobRef,
  type Clock,
  digestFromSha256,
  isAppError,
  keptBytes,
  type Logger,
  type NodeId,
  type PieceGeometry,
  pieceGeometry,
  pieceLengthFor,
  type SwarmId,
  type Zone,
} from '@sealift/core';
import { type RegistryClient, retryAfterOf } from '@sealift/registry';
import type { BlobStore, StoredBlob } from '@sealift/store';
import type { PeerEngine } from './engine.ts';
import type { Ingest } from './ingest.ts';
import { InlineCache } from './inline-cache.ts';
import { OpenedAhead } from './opened-ahead.ts';
import { DEFAULT_RANGE_LIMITS, joinRanges, RangeLanes, type RangeLimits } from './parallel-ranges.ts';
import { type PausedRead, PausedReads } from './paused-reads.ts';
import { type PieceSums, sumPieces } from './piece-sums.ts';
import { ReadPlaces } from './read-places.ts';
import { atPace } from './registry-pace.ts';
import {
  type BlobBody,
  givesOtherRange,
  ignoresRange,
  isPassing,
  isRefusal,
  isRegistryFault,
  provesOtherSize,
  RegistryRead,
} from './registry-read.ts';

/** Largest blob that goes whole into a join answer, in bytes: configs and little layers. */
const INLINE_MAX_BYTES = 64 * 1024;
/** Memory for small blobs, in bytes: about a thousand of the largest. */
const INLINE_CACHE_BYTES = 64 * 1024 * 1024;
/** Blobs read at the same time: an image has tens of layers, a rollout a few images. Past it, nodes read for themselves. */
const MAX_READS = 64;
/** Blobs that may wait for that, and how long, in ms: the tracker waits for the offer meanwhile, and a node behind it. */
const MAX_WAITING = 1_000;
const PLACE_WAIT_MS = 5_000;
/** Attempts with one set of credentials when the registry breaks a body, and the pause before each further one, in ms. */
const ATTEMPTS = 4;
const RETRY_PAUSE_MS = 500;
/** Bytes of progress after which a registry that breaks its bodies gets all attempts anew. */
const WORTHWHILE_BYTES = 1024 * 1024;
/** Longest wait that the registry gets within a read when it asks for one (Retry-After), in ms: less than readers wait. */
const MAX_RETRY_AFTER_MS = 10_000;
/** The same before the first byte, in ms: the tracker, and a node behind it, wait for the offer meanwhile. */
const MAX_OPENING_RETRY_AFTER_MS = 4_000;
/** Longest time that a blob is not read for because the registry asked for more than that, in ms. */
const MAX_REGISTRY_PAUSE_MS = 60_000;
/** How long a blob whose bytes did not match its digest is not read again, in ms: a lying registry costs one read a minute. */
const WITHDRAWN_PAUSE_MS = 60_000;
/** The same for a blob that the store refused, in ms: it may have room again. */
const STORE_PAUSE_MS = 10_000;
const MAX_REFUSED = 1_000;
const WITHDRAWN = 'what the registry sent did not match the digest';

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

/** Where a read gets its bytes: from the store what is there, then from the registry. */
interface ReadFrom {
  readonly body?: BlobBody | undefined;
  readonly stored?: StoredBlob;
  readonly heldCount?: number;
}

/**
 * The seeder: a peer engine that is fed from the registry instead of from peers. It fits the tracker's `Seeder`. However
 * many ask for a blob, it reads it once, with the credentials of whoever asked first, and offers each piece as it comes.
 */
export class RegistrySeeder {
  readonly nodeId: NodeId;
  readonly endpoint: { readonly host: string; readonly port: number };
  readonly zone: Zone | undefined;
  readonly #engine: PeerEngine;
  readonly #store: BlobStore;
  readonly #registry: RegistryClient;
  readonly #signer: ContentSigner;
  readonly #ensureGrant: (blob: BlobRef, swarmId: SwarmId) => Promise<void>;
  readonly #clock: Clock;
  readonly #log: Logger;
  readonly #ranges: RangeLimits;
  readonly #lanes: RangeLanes;
  readonly #inline = new InlineCache({ maxBytes: INLINE_CACHE_BYTES });
  /** By swarm: settles as soon as there is something to offer. */
  readonly #opening = new Map<SwarmId, Promise<SeedOffer>>();
  readonly #reading = new Map<SwarmId, Promise<void>>();
  readonly #places = new ReadPlaces({ places: MAX_READS, maxWaiting: MAX_WAITING });
  readonly #paused: PausedReads;
  /** Blobs that are not read for a while, and why. */
  readonly #refused = new Map<SwarmId, { readonly until: number; readonly reason: string }>();
  /** The newest requester of each running read, whose credentials outlive those of the first. */
  readonly #newest = new Map<SwarmId, SeedRequest>();
  readonly #abandoning = new Set<Promise<void>>();
  readonly #stopped = new AbortController();
  readonly #ahead: OpenedAhead;

  constructor(options: {
    nodeId: NodeId;
    endpoint: { readonly host: string; readonly port: number };
    zone?: Zone | undefined;
    engine: PeerEngine;
    store: BlobStore;
    registry: RegistryClient;
    signer: ContentSigner;
    /** Sees to it that the seeder itself holds a grant for the swarm, so that peers talk to it. */
    ensureGrant: (blob: BlobRef, swarmId: SwarmId) => Promise<void>;
    /** @default DEFAULT_RANGE_LIMITS */
    ranges?: RangeLimits;
    clock: Clock;
    log: Logger;
  }) {
    this.nodeId = options.nodeId;
    this.endpoint = options.endpoint;
    this.zone = options.zone;
    this.#engine = options.engine;
    this.#store = options.store;
    this.#registry = options.registry;
    this.#signer = options.signer;
    this.#ensureGrant = options.ensureGrant;
    this.#ranges = options.ranges ?? DEFAULT_RANGE_LIMITS;
    this.#lanes = new RangeLanes(this.#ranges);
    this.#clock = options.clock;
    this.#log = options.log;
    this.#ahead = new OpenedAhead({ registry: this.#registry, stopped: this.#stopped.signal });
    this.#paused = new PausedReads({
      clock: this.#clock,
      abandon: (swarmId, { ingest }) => this.#abandon(swarmId, ingest),
    });
  }

  /** Ends all reads; what they have verified stays in the store. */
  async stop(): Promise<void> {
    this.#stopped.abort(new AppError('STORE_CLOSED', { reason: 'the seeder stops' }));
    this.#places.close();
    // What is being opened may become a read before it sees that we stop.
    while (this.#opening.size + this.#reading.size > 0) {
      await Promise.allSettled([...this.#opening.values(), ...this.#reading.values()]);
    }
    this.#paused.clear();
    await Promise.allSettled(this.#abandoning);
  }

  isSeeding(swarmId: SwarmId): boolean {
    return this.#engine.isJoined(swarmId);
  }

  /**
   * SHA-1 of each piece of a blob that is here whole and signed, for the metainfo of a public swarm; `undefined` if it is
   * not. Reads the whole blob, a piece at a time, and hashes off the event loop.
   */
  async pieceSums(swarmId: SwarmId, { signal }: { signal: AbortSignal }): Promise<PieceSums | undefined> {
    const swarm = await this.#engine.awake(swarmId);
    if (swarm?.isComplete !== true) return undefined;
    return await sumPieces(swarm.blob, { signal: AbortSignal.any([signal, this.#stopped.signal]) });
  }

  /** Lets stock clients in under `infoHash`, before the tracker says so in answer to an announce. */
  setPublic(swarmId: SwarmId, infoHash: SwarmId, { intervalMs }: { intervalMs: number }): void {
    this.#engine.swarm(swarmId)?.setPublic(infoHash, intervalMs);
  }

  /**
   * Opens a blob of which nothing is here, while the registry is asked whether the requester may have it. The next
   * {@link offer} of it reads what is opened; to dispose of what is returned cuts it if there was none.
   */
  openAhead(request: Omit<SeedRequest, 'size'>): Disposable | undefined {
    const { swarmId } = request;
    const isKnown =
      this.#opening.has(swarmId) ||
      this.#reading.has(swarmId) ||
      this.#inline.get(swarmId) !== undefined ||
      this.#store.get(swarmId) !== undefined ||
      this.#refusal(swarmId) !== undefined;
    return isKnown || this.#reading.size >= MAX_READS ? undefined : this.#ahead.open(request);
  }

  async offer(request: SeedRequest, { signal }: { signal: AbortSignal }): Promise<SeedOffer> {
    if (signal.aborted || this.#stopped.signal.aborted) return none('the seeder is stopping, or nobody waits for it');
    try {
      const offer = await abortable(this.#opening.get(request.swarmId) ?? this.#open(request), signal);
      return offer.kind === 'swarm' ? (this.#offerOf(request.swarmId) ?? offer) : offer;
    } catch (error) {
      this.#heed(request.swarmId, error);
      this.#log.warn('ingest_failed', { digest: request.blob.digest, registry: request.blob.registry, error });
      return none(isAppError(error) ? error.code : 'the seeder failed');
    }
  }

  /** What the engine holds now: hash batches grow while the blob is read, so they are taken afresh for each requester. */
  #offerOf(swarmId: SwarmId): SeedOffer | undefined {
    const swarm = this.#engine.swarm(swarmId);
    if (swarm === undefined) return undefined;
    const { size, pieceLength } = swarm.geometry;
    return { kind: 'swarm', size, pieceLength, batches: swarm.hashes.records };
  }

  #open(request: SeedRequest): Promise<SeedOffer> {
    const opening = this.#start(request).finally(() => this.#opening.delete(request.swarmId));
    this.#opening.set(request.swarmId, opening);
    // Whoever asked may be gone when it fails.
    opening.catch(() => {});
    return opening;
  }

  async #start(request: SeedRequest): Promise<SeedOffer> {
    const { blob, swarmId } = request;
    const inline = this.#inline.get(swarmId);
    if (inline !== undefined) return { kind: 'inline', bytes: inline };
    const refusal = this.#refusal(swarmId);
    if (refusal !== undefined) return refusal;
    const reading = this.#reading.get(swarmId);
    if (reading !== undefined && !this.#paused.has(swarmId)) {
      if (this.#engine.swarm(swarmId)?.isIngesting === true) {
        this.#newest.set(swarmId, request);
        await this.#ensureGrant(blob, swarmId);
        return this.#offerOf(swarmId) ?? none('the read is ending');
      }
      // It is on its way out: complete, or not to be had.
      await reading;
      const late = this.#refusal(swarmId);
      if (late !== undefined) return late;
    }
    const stored = this.#store.get(swarmId);
    if (stored?.isComplete === true) {
      await this.#ensureGrant(blob, swarmId);
      const swarm = await this.#engine.download({
        blob,
        swarmId,
        geometry: stored.geometry,
        batches: stored.hashRecords,
      });
      // Whole, but signed with a key that is no more, or not any more: then it is signed anew.
      if (swarm.isComplete) return this.#offerOf(swarmId) ?? none('the blob was evicted');
    }
    const release = await this.#places.take(PLACE_WAIT_MS);
    if (release === undefined) return none('the seeder is busy');
    try {
      return await this.#startRead(request);
    } finally {
      const begun = this.#reading.get(swarmId);
      if (begun === undefined) release();
      else void begun.finally(release);
    }
  }

  async #startRead(request: SeedRequest): Promise<SeedOffer> {
    const { swarmId } = request;
    const paused = this.#paused.take(swarmId);
    // Somebody may have taken its swarm away.
    if (paused !== undefined && this.#engine.swarm(swarmId)?.isIngesting === true)
      return await this.#goOn(request, paused);
    const stored = this.#store.get(swarmId);
    const heldCount = stored?.bitfield.firstMissing() ?? 0;
    if (stored === undefined || heldCount === 0) return await this.#readNew(request);
    return await this.#takeOver(request, stored, heldCount);
  }

  /** Goes on with a read that broke in this process. */
  async #goOn(request: SeedRequest, paused: PausedRead): Promise<SeedOffer> {
    try {
      await this.#ensureGrant(request.blob, request.swarmId);
      const body = await this.#openRest(request, paused.read);
      return this.#run(request, paused, { body });
    } catch (error) {
      await this.#broke(request, paused, error);
      throw error;
    }
  }

  /** Goes on with a read that an earlier process began. */
  async #takeOver(request: SeedRequest, stored: StoredBlob, heldCount: number): Promise<SeedOffer> {
    const { swarmId } = request;
    const { geometry } = stored;
    const offset = heldCount * geometry.pieceLength;
    let body: BlobBody | undefined;
    try {
      // First of all, so that credentials that do not read promise nothing.
      if (offset < geometry.size) body = await this.#openBlob(request, { offset, size: geometry.size });
      if (body?.size !== undefined && body.size !== geometry.size) throw new AppError('GEOMETRY_INVALID');
    } catch (error) {
      body?.body.destroy();
      if (!provesOtherSize(error) && !ignoresRange(error)) throw error;
      if (provesOtherSize(error)) await this.#forget(swarmId);
      return await this.#readNew(request);
    }
    return await this.#begin(request, geometry, body, { stored, heldCount });
  }

  async #readNew(request: SeedRequest): Promise<SeedOffer> {
    const body = await this.#openBlob(request, { size: request.size }, this.#ahead.take(request));
    try {
      const size = body.size ?? request.size;
      if (size === undefined || size === 0) return none('the registry does not say how long the blob is');
      if (size <= INLINE_MAX_BYTES) return await this.#readInline(request, size, body.body);
      return await this.#begin(request, pieceGeometry(size, pieceLengthFor(size)), body);
    } finally {
      if (!this.#reading.has(request.swarmId)) body.body.destroy();
    }
  }

  async #begin(
    request: SeedRequest,
    geometry: PieceGeometry,
    body: BlobBody | undefined,
    held?: { stored: StoredBlob; heldCount: number },
  ): Promise<SeedOffer> {
    const { blob, swarmId } = request;
    try {
      await this.#ensureGrant(blob, swarmId);
      const ingest = await this.#engine.ingest({ blob, swarmId, geometry, signer: this.#signer });
      const read = new RegistryRead({ blob, geometry, ingest, clock: this.#clock });
      return this.#run(request, { read, ingest, geometry }, { body, ...held });
    } catch (error) {
      body?.body.destroy();
      throw error;
    }
  }

  async #readInline({ blob, swarmId }: SeedRequest, size: number, body: AsyncIterable<Uint8Array>): Promise<SeedOffer> {
    const chunks: Uint8Array[] = [];
    let length = 0;
    for await (const chunk of atPace(body, { clock: this.#clock })) {
      length += chunk.length;
      if (length > size) break;
      chunks.push(chunk);
    }
    const bytes = Buffer.concat(chunks);
    if (length !== size) throw new AppError('REGISTRY_UNAVAILABLE', { reason: 'the body is not as long as announced' });
    if (digestFromSha256(createHash('sha256').update(bytes).digest()) !== blob.digest) {
      this.#markWithdrawn(blob, swarmId);
      return none(WITHDRAWN);
    }
    this.#inline.set(swarmId, keptBytes(bytes));
    this.#log.info('ingest_finished', { swarmId, digest: blob.digest, size, inline: true });
    return { kind: 'inline', bytes };
  }

  /** Reads in the background; answers with what there is to offer. */
  #run(request: SeedRequest, paused: PausedRead, from: ReadFrom): SeedOffer {
    const { swarmId } = request;
    const reading = this.#readToEnd(request, paused, from)
      .catch((error: unknown) => this.#broke(request, paused, error))
      .finally(() => {
        if (this.#reading.get(swarmId) !== reading) return;
        this.#reading.delete(swarmId);
        this.#newest.delete(swarmId);
      });
    this.#reading.set(swarmId, reading);
    return this.#offerOf(swarmId) ?? none('the read is ending');
  }

  async #readToEnd(
    request: SeedRequest,
    { read, ingest }: PausedRead,
    { body: first, stored, heldCount = 0 }: ReadFrom,
  ): Promise<void> {
    const { blob, swarmId } = request;
    const signal = this.#stopped.signal;
    // What the store holds whole is hashed anew, and nothing is read of the registry.
    const held = stored === undefined ? 0 : Math.min(heldCount * stored.geometry.pieceLength, stored.geometry.size);
    const offset = first?.offset ?? Math.max(read.offset, held);
    this.#log.info('ingest_started', { swarmId, digest: blob.digest, registry: blob.registry, offset });
    try {
      if (stored !== undefined) await read.resumeFrom(stored, heldCount, { signal });
      let asker = request;
      let body = first;
      for (let attempt = 1; !read.isAtEnd; attempt += 1) {
        const { offset: before } = read;
        try {
          await read.take(body ?? (await this.#openRest(asker, read)), { signal });
        } catch (error) {
          if (signal.aborted) throw error;
          if (read.offset - before >= WORTHWHILE_BYTES) attempt = 1;
          const newest = isRefusal(error) ? this.#takeNewest(asker) : undefined;
          if (newest !== undefined) asker = newest;
          else await this.#pauseBefore(attempt, error);
        }
        body = undefined;
      }
    } finally {
      first?.body.destroy();
    }
    if (read.finish()) {
      await ingest.complete();
      this.#log.info('ingest_finished', { swarmId, digest: blob.digest, size: read.offset, inline: false });
    } else await this.#withdraw(blob, swarmId, ingest);
  }

  /** Whoever asked last, if that is not the one whose credentials have just ended; each is tried once. */
  #takeNewest({ swarmId, authorization }: SeedRequest): SeedRequest | undefined {
    const newest = this.#newest.get(swarmId);
    this.#newest.delete(swarmId);
    return newest?.authorization === authorization ? undefined : newest;
  }

  /** Waits before the attempt after this one; throws `error` if there is to be none. */
  async #pauseBefore(attempt: number, error: unknown): Promise<void> {
    const wanted = retryAfterOf(error) ?? 0;
    if (attempt >= ATTEMPTS || !isPassing(error) || wanted > MAX_RETRY_AFTER_MS) throw error;
    await delay(Math.max(RETRY_PAUSE_MS * attempt, wanted), undefined, { signal: this.#stopped.signal });
  }

  /** Opens a blob, a second time where the registry asks for a short wait first. `ahead` is a first try that has begun. */
  async #openBlob(
    request: SeedRequest,
    from: { offset?: number; size: number | undefined },
    ahead: Promise<BlobBody | undefined> = Promise.resolve(undefined),
  ): Promise<BlobBody> {
    try {
      return (await this.#fromAhead(ahead)) ?? (await this.#openRanges(request, from));
    } catch (error) {
      const wanted = retryAfterOf(error);
      if (wanted === undefined || wanted > MAX_OPENING_RETRY_AFTER_MS) throw error;
      await delay(wanted, undefined, { signal: this.#stopped.signal });
      return await this.#openRanges(request, from);
    }
  }

  /** What was opened ahead, if it is of use: a large blob is better read over several connections. */
  async #fromAhead(ahead: Promise<BlobBody | undefined>): Promise<BlobBody | undefined> {
    const opened = await ahead;
    if (opened?.size === undefined || opened.size < this.#ranges.minBytes) return opened;
    opened.body.destroy();
    return undefined;
  }

  /** Opens a blob over several connections if that is worth it, and the registry gives it so. */
  async #openRanges(
    { blob, authorization }: SeedRequest,
    { offset = 0, size }: { offset?: number; size: number | undefined },
  ): Promise<BlobBody> {
    const signal = this.#stopped.signal;
    const { minBytes, segmentBytes } = this.#ranges;
    if (size === undefined || size - offset < minBytes) {
      return await this.#registry.openBlob(blob, { authorization, offset, signal });
    }
    const open = (range: { start: number; end: number }, options: { signal: AbortSignal }) =>
      this.#registry.openBlob(blob, { authorization, offset: range.start, end: range.end, ...options });
    const first = await open({ start: offset, end: offset + segmentBytes }, { signal }).catch((error: unknown) => {
      // Caches that give ranges in their own measure give the rest as a whole.
      if (!givesOtherRange(error)) throw error;
      return this.#registry.openBlob(blob, { authorization, offset, signal });
    });
    const { end } = first;
    if (end === undefined || end >= size || (first.size !== undefined && first.size !== size)) return first;
    return joinRanges({
      first: { ...first, end },
      size,
      open: (range, options) => open(range, { signal: AbortSignal.any([signal, options.signal]) }),
      limits: this.#ranges,
      lanes: this.#lanes,
      maxRetryAfterMs: MAX_RETRY_AFTER_MS,
    });
  }

  /** Does not read a blob before the time that the registry asked for. */
  #heed(swarmId: SwarmId, error: unknown): void {
    const wanted = retryAfterOf(error) ?? 0;
    if (wanted > 0) this.#refuse(swarmId, 'the registry asks to come later', Math.min(wanted, MAX_REGISTRY_PAUSE_MS));
  }

  /** Opens what is left to read, or all where the registry gives no part. */
  async #openRest(request: SeedRequest, read: RegistryRead): Promise<BlobBody> {
    try {
      return await this.#openBlob(request, { offset: read.offset, size: read.size });
    } catch (error) {
      if (!ignoresRange(error)) throw error;
      read.restart();
      return await this.#openBlob(request, { size: undefined });
    }
  }

  /** A read has ended before its time: keeps what can go on, and lets go of the rest. Never throws. */
  async #broke({ blob, swarmId }: SeedRequest, paused: PausedRead, error: unknown): Promise<void> {
    const { read, ingest } = paused;
    this.#heed(swarmId, error);
    this.#log.warn('ingest_failed', { swarmId, digest: blob.digest, offset: read.offset, error });
    try {
      if (provesOtherSize(error)) await this.#withdraw(blob, swarmId, ingest);
      else if (isRegistryFault(error) && !this.#stopped.signal.aborted) this.#paused.put(swarmId, paused);
      else {
        if (!this.#stopped.signal.aborted) this.#refuse(swarmId, 'the store refused it', STORE_PAUSE_MS);
        await ingest.abandon();
      }
    } catch (cause) {
      this.#log.warn('ingest_failed', { swarmId, digest: blob.digest, error: cause });
    }
  }

  async #withdraw(blob: BlobRef, swarmId: SwarmId, ingest: Ingest): Promise<void> {
    this.#markWithdrawn(blob, swarmId);
    await ingest.withdraw();
  }

  #abandon(swarmId: SwarmId, ingest: Ingest): void {
    const abandoning = ingest
      .abandon()
      .catch((error: unknown) => this.#log.warn('ingest_failed', { swarmId, error }))
      .finally(() => this.#abandoning.delete(abandoning));
    this.#abandoning.add(abandoning);
  }

  /** Drops what the store holds of a blob that cannot be it. */
  async #forget(swarmId: SwarmId): Promise<void> {
    await this.#engine.leave(swarmId);
    await this.#store.delete(swarmId);
  }

  #markWithdrawn(blob: BlobRef, swarmId: SwarmId): void {
    this.#log.error('blob_withdrawn', { swarmId, digest: blob.digest, registry: blob.registry });
    this.#refuse(swarmId, WITHDRAWN, WITHDRAWN_PAUSE_MS);
  }

  #refusal(swarmId: SwarmId): SeedOffer | undefined {
    const refused = this.#refused.get(swarmId);
    return refused !== undefined && refused.until > this.#clock.now() ? none(refused.reason) : undefined;
  }

  #refuse(swarmId: SwarmId, reason: string, pauseMs: number): void {
    const now = this.#clock.now();
    for (const [id, { until }] of this.#refused) {
      if (until <= now || this.#refused.size >= MAX_REFUSED) this.#refused.delete(id);
    }
    this.#refused.set(swarmId, { until: now + pauseMs, reason });
  }
}

function none(reason: string): SeedOffer {
  return { kind: 'none', reason };
}

/** Waits for `promise` or for the signal; the work itself goes on for others. */
async function abortable<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  const { promise: aborted, reject } = Promise.withResolvers<never>();
  const onAbort = (): void => reject(signal.reason);
  signal.addEventListener('abort', onAbort, { once: true });
  try {
    return await Promise.race([promise, aborted]);
  } finally {
    signal.removeEventListener('abort', onAbort);
  }
}
