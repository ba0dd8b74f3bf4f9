import { hash, type X509Certificate } from 'node:crypto';
import { type Clock, isAppError, type Logger, type RegistryHost } from '@sealift/core';
import { compactVerify } from 'jose';
import { LEEWAY_MS, rightsOf, type TokenRights } from './claims.ts';
import { type CompactToken, parseCompactToken } from './compact-token.ts';
import { embeddedKey, embedsKey } from './embedded-key.ts';
import type { KeySet } from './key-set.ts';
import { PinnedKeys } from './pinned-keys.ts';
import type { RemoteKeys } from './remote-keys.ts';
import { ServiceName } from './service-name.ts';
import { type SigningKey, suits } from './signing-key.ts';
import { isProvenToken, type TokenProber } from './token-proof.ts';

/** Verified tokens remembered, about 300 bytes each: the tokens of a rollout, shown once for each layer. */
const MAX_REMEMBERED = 20_000;
/** Keys tried for one token at most: two sources may call different keys by one `kid`. */
const MAX_CANDIDATES = 4;
/** Longest time for the questions of one proof, in ms. Nobody waits for it. */
const PROOF_TIMEOUT_MS = 15_000;
/** How long a proof that failed is not tried again for the same key and path, in ms, and how many are remembered. */
const RETRY_MS = 600_000;
const MAX_FAILURES = 256;

/** Whether a chain of certificates, leaf first, is good for signing at `now` (ms) and ends in one of `roots`. */
export type VerifyChain = (
  chain: readonly X509Certificate[],
  roots: readonly X509Certificate[],
  now: number,
) => boolean;

/** What {@link IssuerTrust} is made of. */
export interface IssuerTrustOptions {
  readonly registry: RegistryHost;
  readonly prober: TokenProber;
  readonly configured: KeySet;
  readonly remote: readonly RemoteKeys[];
  readonly issuer: string | undefined;
  readonly verifyChain: VerifyChain;
  readonly clock: Clock;
  readonly log: Logger;
}

interface Verified {
  readonly rights: TokenRights;
  readonly key: SigningKey;
  /** The key is vouched for by a chain of certificates and not by itself. */
  readonly isByChain: boolean;
}

/** Whom one registry believes, as far as this process knows: keys that the operator named, and keys that it has proven. */
export class IssuerTrust {
  readonly #registry: RegistryHost;
  readonly #prober: TokenProber;
  readonly #configured: KeySet;
  readonly #remote: readonly RemoteKeys[];
  readonly #issuer: string | undefined;
  readonly #verifyChain: VerifyChain;
  readonly #clock: Clock;
  readonly #log: Logger;
  readonly #pinned: PinnedKeys;
  readonly #service: ServiceName;
  /** By SHA-256 of the token, so that a dump of memory gives none away. From the least recently shown. */
  readonly #remembered = new Map<string, Verified>();
  readonly #failures = new Map<string, number>();
  readonly #stopped = new AbortController();
  #proof: Promise<boolean> | undefined;

  constructor({ registry, prober, configured, remote, issuer, verifyChain, clock, log }: IssuerTrustOptions) {
    this.#registry = registry;
    this.#prober = prober;
    this.#configured = configured;
    this.#remote = remote;
    this.#issuer = issuer;
    this.#verifyChain = verifyChain;
    this.#clock = clock;
    this.#log = log;
    this.#pinned = new PinnedKeys({ clock });
    this.#service = new ServiceName({ registry, prober, clock });
  }

  /** What a token allows; `undefined` if it cannot be judged here. Never throws for what a token holds. */
  async verify(text: string): Promise<TokenRights | undefined> {
    return (await this.#verified(text))?.rights;
  }

  /**
   * The registry has just accepted this token at `path`, for `repository`. If it names a key that we do not know yet, the
   * key is proven; resolves with `true` if one was pinned. At most one proof runs at a time, others are left out.
   */
  async learn(text: string, { path, repository }: { path: string; repository: string }): Promise<boolean> {
    const token = parseCompactToken(text);
    const embedded = token === undefined ? undefined : embeddedKey(token.header);
    if (token === undefined || embedded === undefined || this.#proof !== undefined) return false;
    const { key } = embedded;
    if (this.#isConfigured(key) || this.#pinned.isFresh(key)) return false;
    const attempt = `${key.fingerprint} ${path}`;
    if (this.#clock.now() - (this.#failures.get(attempt) ?? Number.NEGATIVE_INFINITY) < RETRY_MS) return false;
    this.#proof = this.#prove(token, key, { path, repository }).finally(() => {
      this.#proof = undefined;
    });
    const isProven = await this.#proof;
    if (!isProven) this.#noteFailure(attempt);
    return isProven;
  }

  /** The registry has just refused this token with 401: if it is good by a key that was pinned, the key no longer is. */
  async refused(text: string): Promise<void> {
    const verified = await this.#verified(text);
    // One about to end may have ended by the registry's clock.
    if (verified === undefined || verified.rights.expiresAt - LEEWAY_MS <= this.#clock.now()) return;
    if (this.#pinned.drop(verified.key)) this.#say('registry_key_dropped', verified.key);
  }

  /** Ends open questions. */
  async stop(): Promise<void> {
    this.#stopped.abort();
    await Promise.all([this.#proof?.catch(() => {}), ...this.#remote.map((keys) => keys.stop())]);
  }

  async #verified(text: string): Promise<Verified | undefined> {
    const id = hash('sha256', text, 'base64url');
    const known = this.#remembered.get(id);
    this.#remembered.delete(id);
    const verified = known !== undefined && this.#stillHolds(known) ? known : await this.#judge(text);
    if (verified !== undefined) this.#remember(id, verified);
    return verified;
  }

  #remember(id: string, verified: Verified): void {
    this.#remembered.set(id, verified);
    for (const oldest of this.#remembered.keys()) {
      if (this.#remembered.size <= MAX_REMEMBERED) return;
      this.#remembered.delete(oldest);
    }
  }

  #stillHolds({ rights, key, isByChain }: Verified): boolean {
    return !isByChain && rights.expiresAt + LEEWAY_MS > this.#clock.now() && this.#isTrusted(key);
  }

  async #judge(text: string): Promise<Verified | undefined> {
    const token = parseCompactToken(text);
    if (token === undefined || !isPlainHeader(token.header)) return undefined;
    const candidates = (await this.#candidates(token)).slice(0, MAX_CANDIDATES);
    if (candidates.length === 0) return undefined;
    const rights = await this.#rights(token);
    if (rights === undefined) return undefined;
    for (const { key, isByChain } of candidates) {
      if (await isSignedBy(key, token)) return { rights, key, isByChain };
    }
    return undefined;
  }

  /** Trusted keys that the token may be signed with. What it says of itself only chooses among them. */
  async #candidates({ header }: CompactToken): Promise<{ key: SigningKey; isByChain: boolean }[]> {
    const { alg, kid } = header;
    if (embedsKey(header)) {
      const { key, chain } = embeddedKey(header) ?? {};
      if (key === undefined || !suits(key, alg)) return [];
      const trusted = await this.#trusted((other) => other.fingerprint === key.fingerprint && suits(other, alg));
      if (trusted.length > 0) return trusted.map((other) => ({ key: other, isByChain: false }));
      const { roots } = this.#configured;
      const isVouched = chain !== undefined && chain.length > 0 && roots.length > 0;
      return isVouched && this.#verifyChain(chain, roots, this.#clock.now()) ? [{ key, isByChain: true }] : [];
    }
    if (typeof kid !== 'string') return [];
    const named = await this.#trusted((key) => key.ids.has(kid) && suits(key, alg));
    return named.map((key) => ({ key, isByChain: false }));
  }

  async #trusted(matches: (key: SigningKey) => boolean): Promise<readonly SigningKey[]> {
    const found = [...this.#configured.keys, ...this.#pinned.keys].filter(matches);
    if (found.length > 0) return found;
    return (await Promise.all(this.#remote.map((keys) => keys.find(matches)))).flat();
  }

  async #rights({ claims }: CompactToken): Promise<TokenRights | undefined> {
    const service = await this.#service.get({ signal: this.#stopped.signal });
    if (service === undefined) return undefined;
    return rightsOf(claims, { service, issuer: this.#issuer, now: this.#clock.now() });
  }

  async #prove(
    token: CompactToken,
    key: SigningKey,
    { path, repository }: { path: string; repository: string },
  ): Promise<boolean> {
    const provenAt = this.#clock.now();
    const isGood = isPlainHeader(token.header) && suits(key, token.header['alg']) && (await isSignedBy(key, token));
    const rights = isGood ? await this.#rights(token) : undefined;
    if (rights?.repositories.has(repository) !== true) return false;
    const signal = AbortSignal.any([this.#stopped.signal, AbortSignal.timeout(PROOF_TIMEOUT_MS)]);
    try {
      const isProven = await isProvenToken(token, { registry: this.#registry, path, prober: this.#prober, signal });
      if (isProven) {
        this.#pinned.pin(key, provenAt);
        this.#say('registry_key_pinned', key);
      }
      return isProven;
    } catch (error) {
      if (!isAppError(error) && !signal.aborted) throw error;
      return false;
    }
  }

  #noteFailure(attempt: string): void {
    this.#failures.delete(attempt);
    this.#failures.set(attempt, this.#clock.now());
    for (const oldest of this.#failures.keys()) {
      if (this.#failures.size <= MAX_FAILURES) return;
      this.#failures.delete(oldest);
    }
  }

  #isTrusted(key: SigningKey): boolean {
    const remote = this.#remote.flatMap(({ known }) => known);
    return this.#isConfigured(key) || this.#pinned.has(key) || includes(remote, key);
  }

  #isConfigured(key: SigningKey): boolean {
    return includes(this.#configured.keys, key);
  }

  #say(event: 'registry_key_pinned' | 'registry_key_dropped', { fingerprint }: SigningKey): void {
    this.#log.info(event, { registry: this.#registry, fingerprint });
  }
}

/** A header without what we do not know, and of a token that is meant to be one of a registry (RFC 8725 §3.11). */
function isPlainHeader({ crit, b64, typ }: Readonly<Record<string, unknown>>): boolean {
  const isRegistryToken = typ === undefined || (typeof typ === 'string' && typ.toUpperCase() === 'JWT');
  return crit === undefined && b64 === undefined && isRegistryToken;
}

async function isSignedBy({ key }: SigningKey, { text, header }: CompactToken): Promise<boolean> {
  try {
    await compactVerify(text, key, { algorithms: [String(header['alg'])] });
    return true;
  } catch {
    // Whatever is wrong with it: the registry is asked, and its answer counts.
    return false;
  }
}

function includes(keys: readonly SigningKey[], { fingerprint }: SigningKey): boolean {
  return keys.some((key) => key.fingerprint === fingerprint);
}
