import { setTimeout as delay } from 'node:timers/promises';
import { createContentVerifier, HashList, openHashBatch } from '@sealift/bittorrent';
import { AppError, type BlobRef, isAppError, parseSwarmId, pieceGeometry } from '@sealift/core';
import type { NodeIdentity } from '@sealift/peer';
import type { JoinAnswer } from '@sealift/tracker-api';
import type { ImageBlob } from './image-content.ts';
import type { PreheatTarget } from './target.ts';

/** How often the tracker is asked how far it is, in ms: at first, and at most. */
const MIN_POLL_MS = 200;
const MAX_POLL_MS = 3_000;
/** Longest time without a further byte, in ms: registries that fetch from elsewhere first are silent for long. */
const STALL_MS = 120_000;

type Identity = Pick<NodeIdentity, 'client' | 'credentials'>;
type Offer = Extract<JoinAnswer, { verdict: 'granted' }>['offer'];

/**
 * The seeder, by way of its tracker: each blob is joined as a node would, which makes the seeder read it, and again until the
 * signed hashes say that it is whole. Nothing of it comes here.
 */
export class SeederTarget implements PreheatTarget {
  readonly name = 'seeder';
  readonly #identity: Identity;
  readonly #authorization: (options: { signal: AbortSignal }) => Promise<string | undefined>;

  constructor(options: {
    /** Enrolled. */
    identity: Identity;
    authorization: (options: { signal: AbortSignal }) => Promise<string | undefined>;
  }) {
    this.#identity = options.identity;
    this.#authorization = options.authorization;
  }

  async manifest({ registry, repository, digest }: BlobRef, { signal }: { signal: AbortSignal }) {
    const authorization = await this.#authorization({ signal });
    const answer = await this.#identity.client.manifest(
      { registry, repository, digest, ...(authorization === undefined ? {} : { authorization }) },
      { signal },
    );
    return answer.verdict === 'granted' ? Buffer.from(answer.bytes, 'base64') : undefined;
  }

  async blob(
    ref: BlobRef,
    { size }: ImageBlob,
    { signal, onProgress }: { signal: AbortSignal; onProgress: (bytes: number) => void },
  ): Promise<void> {
    let most = 0;
    let newsAt = performance.now();
    for (let pollMs = MIN_POLL_MS; ; pollMs = Math.min(pollMs * 1.5, MAX_POLL_MS)) {
      const { held, isWhole, reason } = await this.#ask(ref, signal);
      if (isWhole) {
        onProgress(size);
        return;
      }
      if (held > most) {
        most = held;
        newsAt = performance.now();
        onProgress(Math.min(held, size));
      }
      if (performance.now() - newsAt > STALL_MS) {
        throw new AppError('PREHEAT_INCOMPLETE', {
          reason: reason ?? 'the seeder makes no progress',
          digest: ref.digest,
        });
      }
      await delay(pollMs, undefined, { signal });
    }
  }

  async #ask(
    ref: BlobRef,
    signal: AbortSignal,
  ): Promise<{ readonly held: number; readonly isWhole: boolean; readonly reason?: string }> {
    const { registry, repository, digest } = ref;
    const authorization = await this.#authorization({ signal });
    const answer = await this.#identity.client
      .join(
        { registry, repository, digest, intent: 'pull', ...(authorization === undefined ? {} : { authorization }) },
        { signal },
      )
      .catch((error: unknown) => {
        // It may be busy, or be started anew: what does not pass ends at the time limit.
        if (signal.aborted || !isAppError(error) || isRefusal(error)) throw error;
        return { verdict: 'unavailable', reason: error.message } as const;
      });
    if (answer.verdict === 'denied') throw new AppError('REGISTRY_REFUSED', { reason: answer.reason, digest });
    if (answer.verdict === 'unavailable') return { held: 0, isWhole: false, reason: answer.reason };
    return this.#heldOf(ref, answer);
  }

  #heldOf(
    { digest }: BlobRef,
    { swarmId, offer }: { swarmId: string; offer: Offer },
  ): { readonly held: number; readonly isWhole: boolean; readonly reason?: string } {
    if (offer.kind === 'inline') return { held: 0, isWhole: true };
    if (offer.kind === 'none') return { held: 0, isWhole: false, reason: `the seeder: ${offer.reason}` };
    const keys = this.#identity.credentials?.cluster.contentKeys;
    if (keys === undefined) return { held: 0, isWhole: false, reason: 'the certificate has ended' };
    const verifier = createContentVerifier(keys);
    const hashes = new HashList({
      swarmId: parseSwarmId(swarmId),
      digest,
      geometry: pieceGeometry(offer.size, offer.pieceLength),
    });
    for (const batch of offer.batches) hashes.add(openHashBatch(Buffer.from(batch, 'base64'), verifier));
    return { held: hashes.knownCount * offer.pieceLength, isWhole: hashes.isComplete };
  }
}

/** Not passing: this process is not let in, or asks for what does not exist. */
function isRefusal({ code, details }: AppError): boolean {
  return code === 'TRACKER_REFUSED' && details['status'] !== 429;
}
