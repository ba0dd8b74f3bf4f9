import { createHash } from 'node:crypto';
import { AppError, type BlobRef, digestFromSha256, keptBytes, type Logger } from '@sealift/core';
import { MANIFEST_TYPES, type RegistryClient } from '@sealift/registry';
import { MAX_MANIFEST_BYTES } from '@sealift/tracker-api';
import type { Authorizer } from '../right/authorizer.ts';
import { pairKey } from '../right/proven-pairs.ts';
import type { Verdict } from '../right/verdict.ts';
import { type Manifest, ManifestCache } from './manifest-cache.ts';

/** Memory for manifests, in bytes: some ten thousand ordinary ones. */
const CACHE_BYTES = 64 * 1024 * 1024;
/** Longest wait for the registry to send one, in ms. After it the node asks the registry itself. */
const READ_DEADLINE_MS = 8_000;
/** Manifests that are being read at the same time; past it, nodes read for themselves. */
const MAX_READS = 64;

/** What came of a question for a manifest. */
export type ManifestOutcome =
  | { readonly kind: 'manifest'; readonly manifest: Manifest }
  | Exclude<Verdict, { kind: 'granted' }>;

/**
 * The manifests of a cluster, by digest: each is read from its registry once, with the header of whoever asked first and
 * has the right, and handed to whoever else the registry says may pull it. Nothing here knows of tags.
 */
export class Manifests {
  readonly #authorizer: Pick<Authorizer, 'decide'>;
  readonly #registry: Pick<RegistryClient, 'fetchManifest'>;
  readonly #log: Logger;
  readonly #cache = new ManifestCache({ maxBytes: CACHE_BYTES });
  readonly #reading = new Map<string, Promise<Manifest | undefined>>();
  readonly #stopped = new AbortController();

  constructor(options: {
    /** Asks registries for manifests. */
    authorizer: Pick<Authorizer, 'decide'>;
    registry: Pick<RegistryClient, 'fetchManifest'>;
    log: Logger;
  }) {
    this.#authorizer = options.authorizer;
    this.#registry = options.registry;
    this.#log = options.log;
  }

  /** Throws `REGISTRY_UNKNOWN` for a registry that is not configured, and nothing for what a registry does. */
  async get(ref: BlobRef, authorization: string | undefined): Promise<ManifestOutcome> {
    const verdict = await this.#authorizer.decide(ref, authorization);
    if (verdict.kind !== 'granted') return verdict;
    const manifest = this.#cache.get(ref) ?? (await this.#readOnce(ref, authorization));
    return manifest === undefined
      ? { kind: 'unavailable', reason: 'the registry gave no manifest' }
      : { kind: 'manifest', manifest };
  }

  /** Gives up what is being read. */
  async stop(): Promise<void> {
    this.#stopped.abort();
    await Promise.allSettled(this.#reading.values());
  }

  async #readOnce(ref: BlobRef, authorization: string | undefined): Promise<Manifest | undefined> {
    const shared = await this.#reading.get(pairKey(ref));
    if (shared !== undefined) return shared;
    // Nobody reads it, or the credentials of who did have ended meanwhile: those of the next one may do.
    return await (this.#reading.get(pairKey(ref)) ?? this.#begin(ref, authorization));
  }

  async #begin(ref: BlobRef, authorization: string | undefined): Promise<Manifest | undefined> {
    if (this.#reading.size >= MAX_READS) return undefined;
    const key = pairKey(ref);
    const reading = this.#read(ref, authorization)
      .catch((error: unknown) => {
        if (!this.#stopped.signal.aborted) this.#log.warn('manifest_failed', { ...ref, error });
        return undefined;
      })
      .finally(() => this.#reading.delete(key));
    this.#reading.set(key, reading);
    return await reading;
  }

  async #read(ref: BlobRef, authorization: string | undefined): Promise<Manifest> {
    const signal = AbortSignal.any([this.#stopped.signal, AbortSignal.timeout(READ_DEADLINE_MS)]);
    const { registry, repository, digest } = ref;
    const answer = await this.#registry.fetchManifest({
      ...{ registry, repository, reference: digest },
      authorization,
      maxBytes: MAX_MANIFEST_BYTES,
      signal,
    });
    const { status, headers, body } = answer;
    if (status !== 200) throw unfit('an unexpected status', status);
    // Here too, and not only where it was read: what is put into the cache goes to everybody.
    if (digestFromSha256(createHash('sha256').update(body).digest()) !== digest)
      throw unfit('not what its digest says');
    const mediaType = String(headers['content-type'] ?? '');
    if (!MANIFEST_TYPES.includes(mediaType)) throw unfit('a media type that clusters do not keep');
    const manifest = { bytes: keptBytes(body), mediaType };
    this.#cache.put(ref, manifest);
    this.#log.info('manifest_read', { ...ref, size: body.length });
    return manifest;
  }
}

function unfit(reason: string, status?: number): AppError {
  return new AppError('REGISTRY_UNAVAILABLE', { reason, status });
}
