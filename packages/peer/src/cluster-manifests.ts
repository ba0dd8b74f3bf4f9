import { type BlobRef, type Clock, isAppError, type Logger } from '@sealift/core';
import type { NodeIdentity } from './node-identity.ts';
import type { TrackerPause } from './tracker-pause.ts';

/** Longest wait for the tracker, in ms: longer than it waits for the registry, whose slowness must not look like its own. */
const ANSWER_TIMEOUT_MS = 20_000;

/** A manifest as the tracker gave it, **not verified**; the proxy's `UnverifiedManifest` by shape. */
export interface ManifestBytes {
  readonly bytes: Buffer;
  readonly mediaType: string;
}

/** The manifests of the cluster, from its tracker, which asks the registry for the right of whoever asks. */
export class ClusterManifests {
  readonly #identity: Pick<NodeIdentity, 'client' | 'credentials'>;
  readonly #pause: TrackerPause;
  readonly #clock: Clock;
  readonly #log: Logger;

  constructor(options: {
    identity: Pick<NodeIdentity, 'client' | 'credentials'>;
    pause: TrackerPause;
    clock: Clock;
    log: Logger;
  }) {
    this.#identity = options.identity;
    this.#pause = options.pause;
    this.#clock = options.clock;
    this.#log = options.log;
  }

  /** `undefined`: no right, no tracker, no certificate yet, or nothing to give. Never throws for what others do. */
  async fetch(
    { manifest, authorization }: { manifest: BlobRef; authorization: string | undefined },
    { signal }: { signal: AbortSignal },
  ): Promise<ManifestBytes | undefined> {
    const startedAt = this.#clock.now();
    if (this.#identity.credentials === undefined || !this.#pause.isOver) return undefined;
    const { registry, repository, digest } = manifest;
    try {
      const answer = await this.#identity.client.manifest(
        { registry, repository, digest, ...(authorization === undefined ? {} : { authorization }) },
        { signal: AbortSignal.any([signal, AbortSignal.timeout(ANSWER_TIMEOUT_MS)]) },
      );
      if (answer.verdict !== 'granted') return undefined;
      return { bytes: Buffer.from(answer.bytes, 'base64'), mediaType: answer.mediaType };
    } catch (error) {
      if (signal.aborted) throw error;
      if (isAppError(error, 'TRACKER_UNAVAILABLE')) this.#pause.begin(startedAt);
      this.#log.warn('manifest_fallback', { digest, registry, error });
      return undefined;
    }
  }
}
