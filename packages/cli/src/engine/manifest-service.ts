import { type BlobRef, type Logger, parseDigest, parseRegistryHost, parseRepository } from '@sealift/core';
import type { ManifestBytes } from '@sealift/peer';
import type { EngineMessage, FrontMessage } from './engine-messages.ts';

/** Questions open at once; the front asks no more either. */
const MAX_OPEN = 4096;

/** What the service gets manifests from; the peer package's `ClusterManifests` fits. */
export interface ManifestFinder {
  fetch(
    request: { manifest: BlobRef; authorization: string | undefined },
    options: { signal: AbortSignal },
  ): Promise<ManifestBytes | undefined>;
}

/** The engine's half of a `RemoteManifestSource`. */
export class ManifestService {
  readonly #finder: ManifestFinder;
  readonly #send: (message: EngineMessage) => void;
  readonly #log: Logger;
  readonly #stopped = new AbortController();
  #open = 0;

  constructor(options: { finder: ManifestFinder; send: (message: EngineMessage) => void; log: Logger }) {
    this.#finder = options.finder;
    this.#send = options.send;
    this.#log = options.log;
  }

  /** Takes what the front says of manifests; the rest is for others. */
  take(message: FrontMessage): void {
    if (message.type === 'fetch-manifest') void this.#answer(message);
  }

  /** Gives up what is being asked for. */
  stop(): void {
    this.#stopped.abort();
  }

  async #answer({
    id,
    registry,
    repository,
    digest,
    authorization,
  }: Extract<FrontMessage, { type: 'fetch-manifest' }>): Promise<void> {
    if (this.#open >= MAX_OPEN || this.#stopped.signal.aborted) {
      this.#send({ type: 'no-manifest', id });
      return;
    }
    this.#open += 1;
    let found: ManifestBytes | undefined;
    try {
      const manifest = {
        registry: parseRegistryHost(registry),
        repository: parseRepository(repository),
        digest: parseDigest(digest),
      };
      found = await this.#finder.fetch({ manifest, authorization }, { signal: this.#stopped.signal });
    } catch (error) {
      if (!this.#stopped.signal.aborted) this.#log.warn('manifest_fallback', { digest, registry, error });
    } finally {
      this.#open -= 1;
    }
    this.#send(
      found === undefined
        ? { type: 'no-manifest', id }
        : { type: 'manifest', id, mediaType: found.mediaType, bytes: found.bytes.toString('base64') },
    );
  }
}
