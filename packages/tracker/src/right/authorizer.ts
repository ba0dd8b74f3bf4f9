import { AppError, type BlobRef, type Clock, isAppError, type Revocations } from '@sealift/core';
import { authorizationExpiry, type RegistryTokens } from '@sealift/registry';
import { type PairProof, ProvenPairs, pairKey } from './proven-pairs.ts';
import type { RegistryProver } from './registry-prover.ts';
import type { Verdict } from './verdict.ts';
import { VerdictCache, type VerdictKey, verdictKey } from './verdict-cache.ts';

/** Longest wait for the registry's verdict, in ms. After it the node asks the registry itself. */
const REGISTRY_DEADLINE_MS = 8_000;

/** Questions to registries at the same time. More wait nowhere: those nodes go to the registry themselves. */
const MAX_QUESTIONS = 512;

/** Callers that wait at the same time, most of them for one answer that serves them all: every node of a large rollout. */
const MAX_WAITING = 20_000;

/** What the authorizer needs to judge tokens itself. */
export type TokenJudge = Pick<RegistryTokens, 'verifyHeader' | 'accepted' | 'refused'>;

/**
 * Decides rights by introspection through use: it asks the registry for the head of a blob, or a manifest, with the caller's own header, so
 * it is right for every registry and every kind of credential. Callers with the same question share one answer.
 *
 * With a {@link TokenJudge} it says yes without the registry to a token that the judge can verify, for a blob that the
 * registry has lately confirmed in that repository. It never says no by itself: what cannot be judged here is asked for.
 */
export class Authorizer {
  readonly #registry: RegistryProver;
  readonly #tokens: TokenJudge | undefined;
  readonly #revocations: Pick<Revocations, 'covers'>;
  readonly #clock: Clock;
  readonly #cache: VerdictCache;
  readonly #pairs: ProvenPairs;
  readonly #waiting = new Map<VerdictKey, Promise<Verdict>>();
  /** Questions under way by what they are about, whoever asks: the first for each. */
  readonly #asking = new Map<string, Promise<Verdict>>();
  readonly #stopped = new AbortController();
  #questions = 0;

  constructor({
    registry,
    tokens,
    revocations,
    clock,
    cache = new VerdictCache({ clock }),
  }: {
    registry: RegistryProver;
    tokens?: TokenJudge | undefined;
    /** What was proven before a revocation is asked for anew. */
    revocations: Pick<Revocations, 'covers'>;
    clock: Clock;
    cache?: VerdictCache;
  }) {
    this.#registry = registry;
    this.#tokens = tokens;
    this.#revocations = revocations;
    this.#clock = clock;
    this.#cache = cache;
    this.#pairs = new ProvenPairs({ clock });
  }

  /**
   * The verdict on one blob. Throws `REGISTRY_UNKNOWN` for a registry that is not configured, before any connection. `onAsk`
   * is called when this caller's question goes to the registry, before its answer: not where an answer is known or awaited.
   */
  async decide(blob: BlobRef, authorization: string | undefined, onAsk?: () => void): Promise<Verdict> {
    if (!this.#registry.isConfigured(blob.registry))
      throw new AppError('REGISTRY_UNKNOWN', { registry: blob.registry });
    const key = verdictKey(blob, authorization);
    const cached = this.#cache.get(key);
    if (cached !== undefined && !this.#isRevoked(blob, cached)) return cached;
    return this.#unlessRevoked(blob, await this.#decideOnce(key, blob, authorization, onAsk));
  }

  async #decideOnce(
    key: VerdictKey,
    blob: BlobRef,
    authorization: string | undefined,
    onAsk: (() => void) | undefined,
  ): Promise<Verdict> {
    const known = this.#waiting.get(key);
    if (known !== undefined) return await known;
    if (this.#waiting.size >= MAX_WAITING) return { kind: 'unavailable', reason: 'too many callers wait' };
    const deciding = this.#decideAnew(key, blob, authorization, onAsk).finally(() => this.#waiting.delete(key));
    this.#waiting.set(key, deciding);
    return await deciding;
  }

  /** Gives up open questions; whoever waits for them gets `unavailable`. */
  async stop(): Promise<void> {
    this.#stopped.abort();
    await Promise.allSettled(this.#waiting.values());
  }

  async #decideAnew(
    key: VerdictKey,
    blob: BlobRef,
    authorization: string | undefined,
    onAsk: (() => void) | undefined,
  ): Promise<Verdict> {
    const rights = this.#tokens === undefined ? undefined : await this.#tokens.verifyHeader(authorization, blob);
    if (rights !== undefined) {
      // Whoever asks about the same blob right now proves it for this caller too.
      if (this.#proofOf(blob) === undefined) await this.#asking.get(pairKey(blob))?.catch(() => {});
      const proof = this.#proofOf(blob);
      if (proof !== undefined) return { kind: 'granted', by: 'token', ...proof };
    }
    return await this.#ask(key, blob, authorization, onAsk);
  }

  #proofOf(blob: BlobRef): PairProof | undefined {
    const proof = this.#pairs.get(blob);
    return proof === undefined || this.#revocations.covers({ ...blob, authTime: proof.provenAt }) ? undefined : proof;
  }

  #isRevoked(blob: BlobRef, verdict: Verdict): boolean {
    return verdict.kind === 'granted' && this.#revocations.covers({ ...blob, authTime: verdict.provenAt });
  }

  /** A question that was under way when its right was revoked has an answer that is worth no grant: the next one asks anew. */
  #unlessRevoked(blob: BlobRef, verdict: Verdict): Verdict {
    return this.#isRevoked(blob, verdict)
      ? { kind: 'unavailable', reason: 'the right was revoked meanwhile' }
      : verdict;
  }

  async #ask(
    key: VerdictKey,
    blob: BlobRef,
    authorization: string | undefined,
    onAsk: (() => void) | undefined,
  ): Promise<Verdict> {
    if (this.#stopped.signal.aborted) return { kind: 'unavailable', reason: 'the tracker stops' };
    if (this.#questions >= MAX_QUESTIONS) return { kind: 'unavailable', reason: 'too many questions are open' };
    this.#questions += 1;
    const pair = pairKey(blob);
    // The time of asking, not of the answer: a right that ends in between must not look newer than it is.
    const asking = this.#askRegistry(blob, authorization, this.#clock.now()).finally(() => {
      this.#questions -= 1;
      if (this.#asking.get(pair) === asking) this.#asking.delete(pair);
    });
    if (!this.#asking.has(pair)) this.#asking.set(pair, asking);
    onAsk?.();
    const verdict = await asking;
    this.#cache.put(key, verdict, { credentialExpiresAt: authorizationExpiry(authorization) });
    return verdict;
  }

  async #askRegistry(blob: BlobRef, authorization: string | undefined, provenAt: number): Promise<Verdict> {
    // Not the first caller's signal: others may wait for the same answer.
    const signal = AbortSignal.any([this.#stopped.signal, AbortSignal.timeout(REGISTRY_DEADLINE_MS)]);
    try {
      const answer = await this.#registry.head(blob, { authorization, signal });
      if (answer.kind === 'yes') {
        this.#pairs.put(blob, { provenAt, size: answer.size });
        this.#tokens?.accepted(authorization, { ...blob, path: this.#registry.pathOf(blob) });
        return { kind: 'granted', by: 'registry', provenAt, size: answer.size };
      }
      if (answer.kind === 'no') {
        if (answer.status === 404) this.#pairs.drop(blob);
        if (answer.status === 401) this.#tokens?.refused(authorization, blob);
        return { kind: 'denied', reason: `the registry answered ${answer.status}` };
      }
      return { kind: 'unavailable', reason: 'the registry gave no answer' };
    } catch (error) {
      if (isAppError(error, 'REGISTRY_UNAVAILABLE'))
        return { kind: 'unavailable', reason: 'the registry gave no answer' };
      if (signal.aborted) return { kind: 'unavailable', reason: 'the registry took too long' };
      throw error;
    }
  }
}
