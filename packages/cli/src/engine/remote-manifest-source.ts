import type { ManifestSource, UnverifiedManifest } from '@sealift/proxy';
import type { EngineMessage, FrontMessage } from './engine-messages.ts';

/** Questions open at once. A proxy has 1024 clients at most, each with four requests. */
const MAX_OPEN = 4096;

type Send = (message: FrontMessage) => boolean;

/** The manifests that an engine in another process gets, for the proxy. While no engine runs, every request passes through. */
export class RemoteManifestSource implements ManifestSource {
  readonly #asking = new Map<number, (manifest: UnverifiedManifest | undefined) => void>();
  #send: Send | undefined;
  #nextId = 0;

  /** An engine runs and hears what is sent. */
  attach(send: Send): void {
    this.#send = send;
  }

  /** The engine is gone: nobody waits for it any longer. */
  detach(): void {
    this.#send = undefined;
    for (const settle of this.#asking.values()) settle(undefined);
  }

  async fetch(
    { manifest, authorization }: Parameters<ManifestSource['fetch']>[0],
    { signal }: { signal: AbortSignal },
  ): Promise<UnverifiedManifest | undefined> {
    signal.throwIfAborted();
    if (this.#send === undefined || this.#asking.size >= MAX_OPEN) return undefined;
    const id = this.#nextId;
    this.#nextId += 1;
    const { promise, resolve } = Promise.withResolvers<UnverifiedManifest | undefined>();
    this.#asking.set(id, resolve);
    const onAbort = (): void => resolve(undefined);
    signal.addEventListener('abort', onAbort, { once: true });
    try {
      const { registry, repository, digest } = manifest;
      if (!this.#send({ type: 'fetch-manifest', id, registry, repository, digest, authorization })) return undefined;
      const found = await promise;
      signal.throwIfAborted();
      return found;
    } finally {
      this.#asking.delete(id);
      signal.removeEventListener('abort', onAbort);
    }
  }

  /** Takes what the engine says of manifests; the rest is for others. */
  take(message: EngineMessage): void {
    if (message.type === 'manifest') {
      const { id, mediaType, bytes } = message;
      this.#asking.get(id)?.({ mediaType, bytes: Buffer.from(bytes, 'base64') });
    } else if (message.type === 'no-manifest') this.#asking.get(message.id)?.(undefined);
  }
}
