import { createHash } from 'node:crypto';
import http, { type IncomingMessage } from 'node:http';
import { AppError, type BlobRef, digestFromSha256 } from '@sealift/core';
import { formatBlobPath, formatManifestPath, MANIFEST_TYPES } from '@sealift/registry';
import type { Endpoint } from '../option-values.ts';
import { formatEndpoint } from '../setup/runtime-plan.ts';
import type { ImageBlob } from './image-content.ts';
import type { PreheatTarget } from './target.ts';

/** Longest silence of the node, in ms: longer than its own wait for a registry. */
const SILENCE_MS = 310_000;
/** Longest manifest that is read, in bytes: what registries must take. */
const MAX_MANIFEST_BYTES = 4 * 1024 * 1024;

/**
 * A node, by its proxy: the image is pulled through it as a runtime would, over the mirror endpoint, and dropped here once it is
 * compared with its digests.
 */
export class NodeTarget implements PreheatTarget {
  readonly name: string;
  readonly #proxy: Endpoint;
  readonly #authorization: (options: { signal: AbortSignal }) => Promise<string | undefined>;

  constructor(options: {
    /** On loopback: credentials go there in clear text. */
    proxy: Endpoint;
    authorization: (options: { signal: AbortSignal }) => Promise<string | undefined>;
  }) {
    this.#proxy = options.proxy;
    this.#authorization = options.authorization;
    this.name = formatEndpoint(options.proxy);
  }

  async manifest(ref: BlobRef, { signal }: { signal: AbortSignal }): Promise<Uint8Array> {
    const chunks: Buffer[] = [];
    let length = 0;
    for await (const chunk of this.#read(ref, formatManifestPath(ref), signal)) {
      length += chunk.length;
      if (length > MAX_MANIFEST_BYTES)
        throw new AppError('REGISTRY_UNAVAILABLE', { reason: 'the manifest is too long' });
      chunks.push(chunk);
    }
    return Buffer.concat(chunks);
  }

  async blob(
    ref: BlobRef,
    _blob: ImageBlob,
    { signal, onProgress }: { signal: AbortSignal; onProgress: (bytes: number) => void },
  ): Promise<void> {
    const sha256 = createHash('sha256');
    let bytes = 0;
    for await (const chunk of this.#read(ref, formatBlobPath(ref), signal)) {
      sha256.update(chunk);
      bytes += chunk.length;
      onProgress(bytes);
    }
    if (digestFromSha256(sha256.digest()) === ref.digest) return;
    throw new AppError('PREHEAT_INCOMPLETE', {
      reason: `what came through ${this.name} does not match`,
      digest: ref.digest,
    });
  }

  async *#read(ref: BlobRef, path: string, signal: AbortSignal): AsyncGenerator<Buffer> {
    try {
      yield* (await this.#get(ref, path, signal)) as AsyncIterable<Buffer>;
    } catch (cause) {
      if (cause instanceof AppError || signal.aborted) throw cause;
      const { name } = this;
      throw new AppError(
        'PREHEAT_INCOMPLETE',
        { reason: `the answer of ${name} broke off`, digest: ref.digest },
        { cause },
      );
    }
  }

  async #get({ registry, digest }: BlobRef, path: string, signal: AbortSignal): Promise<IncomingMessage> {
    const authorization = await this.#authorization({ signal });
    const { host, port } = this.#proxy;
    const { promise, resolve, reject } = Promise.withResolvers<IncomingMessage>();
    const request = http.get(
      {
        host,
        port,
        path: `${path}?ns=${encodeURIComponent(registry)}`,
        headers: { accept: MANIFEST_TYPES.join(', '), ...(authorization === undefined ? {} : { authorization }) },
        timeout: SILENCE_MS,
        signal,
      },
      resolve,
    );
    request.on('timeout', () => request.destroy(new Error('the node does not answer')));
    request.on('error', (cause) => {
      const advice = 'Check that a node runs there, and that it is configured for this registry.';
      reject(
        signal.aborted
          ? cause
          : new AppError('PREHEAT_INCOMPLETE', { reason: `${this.name} does not answer`, advice }, { cause }),
      );
    });
    const answer = await promise;
    const status = answer.statusCode ?? 0;
    if (status === 200) return answer;
    answer.destroy();
    if (status === 401 || status === 403 || status === 404) throw new AppError('REGISTRY_REFUSED', { status, digest });
    throw new AppError('PREHEAT_INCOMPLETE', { reason: `${this.name} answers out of order`, status });
  }
}
