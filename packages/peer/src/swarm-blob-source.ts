import { createHash } from 'node:crypto';
import { peerIdOf } from '@sealift/bittorrent';
import {
  AppError,
  type BlobRef,
  type Clock,
  digestBytes,
  isAppError,
  type Logger,
  parseNodeId,
  pieceGeometry,
  type SwarmId,
  swarmIdOf,
} from '@sealift/core';
import { createSigningRequest } from '@sealift/pki';
import { BlobReader, type BlobStore, bytesAnswer, type ServedBytes, sizeAnswer } from '@sealift/store';
import type { JoinAnswer } from '@sealift/tracker-api';
import type { PeerEngine } from './engine.ts';
import type { GrantKeeper } from './grant-keeper.ts';
import type { NodeIdentity } from './node-identity.ts';
import type { AskedAgain } from './reader-patience.ts';
import type { RegistryTokenCheck } from './registry-token-check.ts';
import type { Swarm } from './swarm.ts';
import { TrackerPause } from './tracker-pause.ts';

/** Longest wait for a join, in ms: the tracker asks the registry, and the seeder waits for the head of its answer. */
const JOIN_TIMEOUT_MS = 20_000;

/** Longest wait for the engine to start after the enrolment, in ms. */
const ENGINE_TIMEOUT_MS = 5_000;

/** A request for a blob; the proxy's `BlobRequest` by shape. */
interface BlobRequest {
  readonly blob: BlobRef;
  readonly authorization: string | undefined;
  readonly intent: 'pull' | 'check';
}

/** A blob that may be read; the proxy's `OpenBlob` by shape. */
interface OpenBlob {
  readonly size: number;
  read(range: { start: number; end: number }, options: { signal: AbortSignal }): AsyncIterable<Uint8Array>;
  readonly served: Readonly<ServedBytes>;
  close(): void;
}

/** A blob that the requester may read, and where it is. */
export type FoundBlob =
  /** Answer to a `check`: nothing is read. */
  | { readonly kind: 'size'; readonly size: number }
  /** A small blob, whole and checked against its digest. */
  | { readonly kind: 'bytes'; readonly bytes: Buffer }
  /** Kept, and fetched where it is not complete, until `release` is called (safe to call twice). */
  | { readonly kind: 'swarm'; readonly swarm: Swarm; readonly release: () => void };

type Download = Parameters<PeerEngine['download']>[0];
type Granted = Extract<JoinAnswer, { verdict: 'granted' }>;

/**
 * Blobs for the runtime, from this node's store and its swarms. It fits the proxy's `BlobSource`. Every open asks the
 * tracker whether this very requester may have this blob: the store answers nobody by itself, so two users of one node
 * share its cache and neither sees what is not theirs. Where the tracker does not answer, the request passes through.
 */
export class SwarmBlobSource {
  readonly #identity: NodeIdentity;
  readonly #engine: (options: { signal: AbortSignal }) => Promise<PeerEngine>;
  readonly #store: BlobStore;
  readonly #grants: GrantKeeper;
  readonly #clock: Clock;
  readonly #log: Logger;
  readonly #name: string | undefined;
  readonly #tokenCheck: RegistryTokenCheck | undefined;
  readonly #pause: TrackerPause;
  #enrolment: Promise<unknown> | undefined;

  constructor(options: {
    identity: NodeIdentity;
    /** The engine, started; it can only be built once the node is enrolled. */
    engine: (options: { signal: AbortSignal }) => Promise<PeerEngine>;
    store: BlobStore;
    grants: GrantKeeper;
    clock: Clock;
    log: Logger;
    name?: string;
    /** Set where peers ask for the registry's token too. */
    tokenCheck?: RegistryTokenCheck | undefined;
    /** Shared with whoever else asks this tracker. */
    pause?: TrackerPause;
  }) {
    this.#identity = options.identity;
    this.#engine = options.engine;
    this.#store = options.store;
    this.#grants = options.grants;
    this.#clock = options.clock;
    this.#log = options.log;
    this.#name = options.name;
    this.#tokenCheck = options.tokenCheck;
    this.#pause = options.pause ?? new TrackerPause({ clock: options.clock });
  }

  /** `undefined`: no right, no tracker, or nobody to get it from. Never throws for what others do. */
  async open(request: BlobRequest, options: { signal: AbortSignal }): Promise<OpenBlob | undefined> {
    const found = await this.find(request, options);
    return found === undefined ? undefined : openFound(found);
  }

  /** The same as {@link open} for a reader in another process. */
  async find(request: BlobRequest, { signal }: { signal: AbortSignal }): Promise<FoundBlob | undefined> {
    const startedAt = this.#clock.now();
    if (!this.#pause.isOver) return undefined;
    try {
      const answer = await this.#join(request, signal);
      return answer?.verdict === 'granted' ? await this.#findGranted(request, answer, signal) : undefined;
    } catch (error) {
      if (signal.aborted) throw error;
      if (isAppError(error, 'TRACKER_UNAVAILABLE')) this.#pause.begin(startedAt);
      this.#log.warn('blob_fallback', { digest: request.blob.digest, registry: request.blob.registry, error });
      return undefined;
    }
  }

  async #join(request: BlobRequest, signal: AbortSignal): Promise<JoinAnswer | undefined> {
    if (this.#identity.credentials !== undefined) return await this.#ask(request, signal);
    if (!this.#identity.enrolsByRegistry || request.authorization === undefined) return undefined;
    if (this.#enrolment !== undefined) {
      // Somebody else's request enrols us right now: wait for it, then ask with the certificate.
      await settledOrAborted(this.#enrolment, signal);
      return this.#identity.credentials === undefined ? undefined : await this.#ask(request, signal);
    }
    const enrolment = this.#askAndEnrol(request, signal);
    this.#enrolment = enrolment;
    // Those who wait for it may all be gone when it fails.
    enrolment.catch(() => {});
    try {
      return await enrolment;
    } finally {
      this.#enrolment = undefined;
    }
  }

  async #askAndEnrol(request: BlobRequest, signal: AbortSignal): Promise<JoinAnswer> {
    const { csrPem, privateKeyPem } = await createSigningRequest();
    const answer = await this.#ask(request, signal, {
      csr: csrPem,
      ...(this.#name === undefined ? {} : { name: this.#name }),
    });
    if (answer.verdict === 'granted' && answer.enrolment !== undefined)
      this.#identity.adopt(answer.enrolment, privateKeyPem);
    return answer;
  }

  async #ask(
    { blob, authorization, intent }: BlobRequest,
    signal: AbortSignal,
    extra: { csr?: string; name?: string } = {},
  ) {
    const credentials = this.#identity.credentials;
    const isHeld = credentials !== undefined && this.#held(blob)?.isComplete === true;
    return await this.#identity.client.join(
      {
        registry: blob.registry,
        repository: blob.repository,
        digest: blob.digest,
        ...(authorization === undefined ? {} : { authorization }),
        // What we hold whole we only need the right to: the seeder must not read it again on our account.
        intent: isHeld ? 'check' : intent,
        ...extra,
      },
      { signal: AbortSignal.any([signal, AbortSignal.timeout(JOIN_TIMEOUT_MS)]) },
    );
  }

  async #findGranted(request: BlobRequest, answer: Granted, signal: AbortSignal): Promise<FoundBlob | undefined> {
    const { blob, intent, authorization } = request;
    const swarmId = this.#swarmId(blob);
    if (swarmId === undefined || answer.swarmId !== swarmId) {
      throw new AppError('TRACKER_UNAVAILABLE', { reason: 'it answered for another swarm' });
    }
    this.#tokenCheck?.joined(swarmId, blob, authorization);
    this.#grants.put(swarmId, { grant: answer.grant, expiresAt: answer.grantExpiresAt });
    const { offer } = answer;
    const held = this.#held(blob);
    if (intent === 'check') {
      const size =
        held?.geometry.size ?? (offer.kind === 'inline' ? Buffer.byteLength(offer.bytes, 'base64') : offer.size);
      return size === undefined ? undefined : { kind: 'size', size };
    }
    if (held?.isComplete === true)
      return await this.#findSwarm(
        { blob, swarmId, geometry: held.geometry, batches: held.hashRecords },
        request,
        signal,
      );
    if (offer.kind === 'inline') return { kind: 'bytes', bytes: checked(Buffer.from(offer.bytes, 'base64'), blob) };
    if (offer.kind !== 'swarm') return undefined;
    const batches = offer.batches.map((batch) => Buffer.from(batch, 'base64'));
    const geometry = pieceGeometry(offer.size, offer.pieceLength);
    const { seeder } = offer;
    const peers = seeder === undefined ? [] : [{ ...seeder, peerId: peerIdOf(parseNodeId(seeder.nodeId)) }];
    return await this.#findSwarm({ blob, swarmId, geometry, batches, peers }, request, signal);
  }

  async #findSwarm(download: Download, request: BlobRequest, signal: AbortSignal): Promise<FoundBlob> {
    const engine = await this.#engine({ signal: AbortSignal.any([signal, AbortSignal.timeout(ENGINE_TIMEOUT_MS)]) });
    const swarm = await engine.download(download);
    const release = swarm.acquire((options) => this.#askAgain(request, swarm, options.signal));
    return { kind: 'swarm', swarm, release };
  }

  /** Nobody has what a reader lacks: the tracker knows whether there is anybody, and has the seeder read it again if not. */
  async #askAgain(request: BlobRequest, swarm: Swarm, signal: AbortSignal): Promise<AskedAgain> {
    if (!this.#pause.isOver) return 'unknown';
    try {
      const answer = await this.#ask(request, signal);
      if (answer.verdict !== 'granted') return 'unknown';
      const { swarmId, grant, grantExpiresAt, offer } = answer;
      if (offer.kind !== 'swarm' || swarmId !== swarm.swarmId || offer.size !== swarm.geometry.size) return 'nobody';
      this.#grants.put(swarm.swarmId, { grant, expiresAt: grantExpiresAt });
      for (const batch of offer.batches) swarm.takeHashes(Buffer.from(batch, 'base64'));
      return 'offered';
    } catch (error) {
      this.#log.debug('blob_fallback', { digest: request.blob.digest, registry: request.blob.registry, error });
      return 'unknown';
    }
  }

  #swarmId(blob: BlobRef): SwarmId | undefined {
    const clusterId = this.#identity.credentials?.identity.clusterId;
    return clusterId === undefined ? undefined : swarmIdOf(clusterId, blob.registry, blob.digest);
  }

  #held(blob: BlobRef): ReturnType<BlobStore['get']> {
    const swarmId = this.#swarmId(blob);
    return swarmId === undefined ? undefined : this.#store.get(swarmId);
  }
}

/** Resolves when `work` has ended, well or not; throws the reason of `signal` if that comes first. */
async function settledOrAborted(work: Promise<unknown>, signal: AbortSignal): Promise<void> {
  signal.throwIfAborted();
  const { promise: aborted, reject } = Promise.withResolvers<never>();
  const onAbort = (): void => reject(signal.reason);
  signal.addEventListener('abort', onAbort, { once: true });
  try {
    await Promise.race([work.catch(() => {}), aborted]);
  } finally {
    signal.removeEventListener('abort', onAbort);
  }
}

/** A small blob that came whole with the join answer, checked here against its digest. */
function checked(bytes: Buffer, { digest }: BlobRef): Buffer {
  if (createHash('sha256').update(bytes).digest().equals(digestBytes(digest))) return bytes;
  throw new AppError('PIECE_REJECTED', { reason: 'a blob in a join answer does not match its digest', digest });
}

function openFound(found: FoundBlob): OpenBlob {
  switch (found.kind) {
    case 'size':
      return sizeAnswer(found.size);
    case 'bytes':
      return bytesAnswer(found.bytes);
    case 'swarm': {
      const reader = new BlobReader(found.swarm);
      return {
        size: found.swarm.geometry.size,
        read: (range, options) => reader.read(range, options),
        served: reader.served,
        close: found.release,
      };
    }
  }
}
