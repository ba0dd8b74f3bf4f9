import { createHash } from 'node:crypto';
import { AppError, type BlobRef, digestFromSha256, keptBytes, type Logger, within } from '@sealift/core';
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
/** Up to so many, one may be read before the right to it is proven: who has none must not take the places of those who have. */
const MAX_READS_AHEAD = 16;
/** Longest wait for such a read of somebody else, in ms: it may come to nothing, and be slow to show it. */
const OTHERS_WAIT_MS = 500;

/** What came of a question for a manifest. */
export type ManifestOutcome =
  | { readonly kind: 'manifest'; readonly manifest: Manifest }
  | Exclude<Verdict, { kind: 'granted' }>;

/** How a read has ended. */
type Outcome = { readonly manifest: Manifest } | { readonly error: unknown };

interface Reading {
  readonly outcome: Promise<Outcome>;
  /** The registry has said that whoever began it may have it. */
  isProven: boolean;
}

/**
 * The manifests of a cluster, by digest: each is read from its registry once, with the header of whoever asked first, and
 * handed to whom the registry says that they may pull it, and to nobody else. The registry is asked for both at once. Nothing
 * here knows of tags.
 */
export class Manifests {
  readonly #authorizer: Pick<Authorizer, 'decide'>;
  readonly #registry: Pick<RegistryClient, 'fetchManifest'>;
  readonly #log: Logger;
  readonly #cache = new ManifestCache({ maxBytes: CACHE_BYTES });
  readonly #reading = new Map<string, Reading>();
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
    let ahead: Reading | undefined;
    const verdict = await this.#authorizer.decide(ref, authorization, () => {
      ahead = this.#readAhead(ref, authorization);
    });
    if (verdict.kind !== 'granted') return verdict;
    if (ahead !== undefined) ahead.isProven = true;
    const known = this.#cache.get(ref);
    const manifest = known ?? this.#manifestOf(ref, await (ahead?.outcome ?? this.#readOnce(ref, authorization)));
    return manifest === undefined
      ? { kind: 'unavailable', reason: 'the registry gave no manifest' }
      : { kind: 'manifest', manifest };
  }

  /** Gives up what is being read. */
  async stop(): Promise<void> {
    this.#stopped.abort();
    await Promise.all([...this.#reading.values()].map(({ outcome }) => outcome));
  }

  #manifestOf(ref: BlobRef, outcome: Outcome | undefined): Manifest | undefined {
    if (outcome === undefined || 'manifest' in outcome) return outcome?.manifest;
    if (!this.#stopped.signal.aborted) this.#log.warn('manifest_failed', { ...ref, error: outcome.error });
    return undefined;
  }

  #readAhead(ref: BlobRef, authorization: string | undefined): Reading | undefined {
    const isKnown = this.#cache.get(ref) !== undefined || this.#reading.has(pairKey(ref));
    if (isKnown || this.#reading.size >= MAX_READS_AHEAD) return undefined;
    return this.#begin(ref, authorization, { isProven: false });
  }

  async #readOnce(ref: BlobRef, authorization: string | undefined): Promise<Outcome | undefined> {
    const shared = await this.#outcomeOf(this.#reading.get(pairKey(ref)));
    if (shared !== undefined && 'manifest' in shared) return shared;
    // Nobody reads it, or the credentials of who did are not good, or not any more: those of the next one may do.
    const reading = this.#reading.get(pairKey(ref));
    if (reading?.isProven === true) return await reading.outcome;
    if (this.#reading.size >= MAX_READS) return undefined;
    return await this.#begin(ref, authorization, { isProven: true }).outcome;
  }

  async #outcomeOf(reading: Reading | undefined): Promise<Outcome | undefined> {
    if (reading === undefined || reading.isProven) return await reading?.outcome;
    return await within(reading.outcome, OTHERS_WAIT_MS);
  }

  #begin(ref: BlobRef, authorization: string | undefined, { isProven }: Pick<Reading, 'isProven'>): Reading {
    const key = pairKey(ref);
    const outcome = this.#read(ref, authorization)
      .then(
        (manifest): Outcome => ({ manifest }),
        (error: unknown): Outcome => ({ error }),
      )
      .finally(() => {
        if (this.#reading.get(key) === reading) this.#reading.delete(key);
      });
    const reading: Reading = { outcome, isProven };
    this.#reading.set(key, reading);
    return reading;
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
