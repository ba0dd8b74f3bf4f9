import type { Clock, Logger, RegistryHost } from '@sealift/core';
import type { RegistryConfig } from '../registry-config.ts';
import { checkTrustAnchors } from '../trust.ts';
import type { TokenRights } from './claims.ts';
import { bearerJwt } from './compact-token.ts';
import { IssuerTrust, type VerifyChain } from './issuer-trust.ts';
import type { KeySet } from './key-set.ts';
import { RemoteKeys } from './remote-keys.ts';
import type { TokenProber } from './token-proof.ts';

/** What an operator says about the tokens of one registry. */
export interface RegistryTokenConfig {
  readonly registry: RegistryHost;
  /** What key files hold; read at each use, so that a set may change. */
  readonly keySets: readonly KeySet[];
  /** HTTPS URLs of JWKS. */
  readonly keyUrls: readonly URL[];
  /** The only `iss` to accept. @default any */
  readonly issuer?: string | undefined;
}

/** What a token was accepted for, or is shown for. */
export interface TokenUse {
  readonly registry: RegistryHost;
  readonly repository: string;
}

/**
 * Judges the tokens of registries offline (docs/decisions/0019). It can say yes or nothing: what it cannot judge is
 * for the registry to answer. It knows the keys that the operator named, and learns others from tokens that the registry has
 * proven to this very process.
 */
export class RegistryTokens {
  readonly #issuers: ReadonlyMap<RegistryHost, IssuerTrust>;
  readonly #listeners = new Set<() => void>();
  readonly #learning = new Set<Promise<unknown>>();
  readonly #log: Logger;

  /** Throws `CONFIG_INVALID` for trust anchors that cannot be read. */
  constructor({
    registries,
    tokens = [],
    prober,
    verifyChain,
    clock,
    log,
  }: {
    readonly registries: readonly RegistryConfig[];
    readonly tokens?: readonly RegistryTokenConfig[];
    readonly prober: TokenProber;
    readonly verifyChain: VerifyChain;
    readonly clock: Clock;
    readonly log: Logger;
  }) {
    this.#log = log;
    for (const { caPem } of registries) if (caPem !== undefined) checkTrustAnchors(caPem);
    this.#issuers = new Map(
      registries.map(({ registry, caPem }) => {
        const own = tokens.filter((config) => config.registry === registry);
        const sets = own.flatMap(({ keySets }) => keySets);
        const trust = new IssuerTrust({
          registry,
          prober,
          configured: allOf(sets),
          remote: own.flatMap(({ keyUrls }) => keyUrls).map((url) => new RemoteKeys({ url, caPem, clock, log })),
          issuer: own.find(({ issuer }) => issuer !== undefined)?.issuer,
          verifyChain,
          clock,
          log,
        });
        return [registry, trust];
      }),
    );
  }

  /**
   * What the token allows, if it is good for pulling from this repository of this registry now; `undefined` says nothing
   * at all. Never throws for what others send.
   */
  async verify(token: string, { registry, repository }: TokenUse): Promise<TokenRights | undefined> {
    const rights = await this.#issuers.get(registry)?.verify(token);
    return rights?.repositories.has(repository) === true ? rights : undefined;
  }

  /** {@link verify} for the token of an Authorization header. */
  async verifyHeader(authorization: string | undefined, use: TokenUse): Promise<TokenRights | undefined> {
    const token = bearerJwt(authorization);
    return token === undefined ? undefined : await this.verify(token, use);
  }

  /** The registry has just said yes at `path` to this header: learns from it in the background. */
  accepted(authorization: string | undefined, { registry, repository, path }: TokenUse & { path: string }): void {
    const token = bearerJwt(authorization);
    const issuer = this.#issuers.get(registry);
    if (token === undefined || issuer === undefined) return;
    this.#inBackground(async () => {
      if (await issuer.learn(token, { path, repository })) for (const listener of this.#listeners) listener();
    });
  }

  /** The registry has just said 401 to this header. */
  refused(authorization: string | undefined, { registry }: Pick<TokenUse, 'registry'>): void {
    const token = bearerJwt(authorization);
    const issuer = this.#issuers.get(registry);
    if (token !== undefined && issuer !== undefined) this.#inBackground(() => issuer.refused(token));
  }

  /** Calls `listener` when a key has been learnt; returns how to stop that. */
  onLearnt(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Resolves when nothing is being learnt. */
  async settled(): Promise<void> {
    while (this.#learning.size > 0) await Promise.all(this.#learning);
  }

  /** Ends open questions. Safe to call twice. */
  async stop(): Promise<void> {
    await Promise.all([...this.#issuers.values()].map((issuer) => issuer.stop()));
    await this.settled();
  }

  #inBackground(work: () => Promise<unknown>): void {
    const running: Promise<void> = work()
      .then(() => {})
      .catch((error: unknown) => this.#log.error('registry_keys_failed', { error }))
      .finally(() => this.#learning.delete(running));
    this.#learning.add(running);
  }
}

/** Several sets as one, which changes as they do. */
function allOf(sets: readonly KeySet[]): KeySet {
  return {
    get keys() {
      return sets.flatMap(({ keys }) => keys);
    },
    get roots() {
      return sets.flatMap(({ roots }) => roots);
    },
  };
}
