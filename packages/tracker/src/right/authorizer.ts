import { AppError, type BlobRef, type Clock, isAppError } from '@sealift/core';
import { authorizationExpiry, type RegistryClient } from '@sealift/registry';
import type { Verdict } from './verdict.ts';
import { VerdictCache, type VerdictKey, verdictKey } from './verdict-cache.ts';

/** Longest wait for the registry's verdict, in ms. After it the node asks the registry itself. */
const REGISTRY_DEADLINE_MS = 8_000;

/** Questions to registries at the same time. More wait nowhere: those nodes go to the registry themselves. */
const MAX_QUESTIONS = 512;

/** What the authorizer needs of a registry client. */
export type RegistryProver = Pick<RegistryClient, 'isConfigured' | 'headBlob'>;

/**
 * Decides rights by introspection through use: it asks the registry for the blob's head with the caller's own header, so
 * it is right for every registry and every kind of credential. Callers with the same question share one answer.
 */
export class Authorizer {
  readonly #registry: RegistryProver;
  readonly #clock: Clock;
  readonly #cache: VerdictCache;
  readonly #questions = new Map<VerdictKey, Promise<Verdict>>();
  readonly #stopped = new AbortController();

  constructor({
    registry,
    clock,
    cache = new VerdictCache({ clock }),
  }: {
    registry: RegistryProver;
    clock: Clock;
    cache?: VerdictCache;
  }) {
    this.#registry = registry;
    this.#clock = clock;
    this.#cache = cache;
  }

  /** The verdict on one blob. Throws `REGISTRY_UNKNOWN` for a registry that is not configured, before any connection. */
  async decide(blob: BlobRef, authorization: string | undefined): Promise<Verdict> {
    if (!this.#registry.isConfigured(blob.registry))
      throw new AppError('REGISTRY_UNKNOWN', { registry: blob.registry });
    const key = verdictKey(blob, authorization);
    const known = this.#cache.get(key) ?? this.#questions.get(key);
    if (known !== undefined) return await known;
    if (this.#questions.size >= MAX_QUESTIONS) return { kind: 'unavailable', reason: 'too many questions are open' };
    const question = this.#ask(key, blob, authorization).finally(() => this.#questions.delete(key));
    this.#questions.set(key, question);
    return await question;
  }

  /** Gives up open questions; whoever waits for them gets `unavailable`. */
  async stop(): Promise<void> {
    this.#stopped.abort();
    await Promise.allSettled(this.#questions.values());
  }

  async #ask(key: VerdictKey, blob: BlobRef, authorization: string | undefined): Promise<Verdict> {
    // The time of asking, not of the answer: a right that ends in between must not look newer than it is.
    const provenAt = this.#clock.now();
    const verdict = await this.#askRegistry(blob, authorization, provenAt);
    this.#cache.put(key, verdict, { credentialExpiresAt: authorizationExpiry(authorization) });
    return verdict;
  }

  async #askRegistry(blob: BlobRef, authorization: string | undefined, provenAt: number): Promise<Verdict> {
    // Not the first caller's signal: others may wait for the same answer.
    const signal = AbortSignal.any([this.#stopped.signal, AbortSignal.timeout(REGISTRY_DEADLINE_MS)]);
    try {
      const answer = await this.#registry.headBlob(blob, { authorization, signal });
      if (answer.kind === 'yes') return { kind: 'granted', provenAt, size: answer.size };
      if (answer.kind === 'no') return { kind: 'denied', reason: `the registry answered ${answer.status}` };
      return { kind: 'unavailable', reason: 'the registry gave no answer' };
    } catch (error) {
      if (isAppError(error, 'REGISTRY_UNAVAILABLE'))
        return { kind: 'unavailable', reason: 'the registry gave no answer' };
      if (signal.aborted) return { kind: 'unavailable', reason: 'the registry took too long' };
      throw error;
    }
  }
}
