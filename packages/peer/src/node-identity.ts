import { createPrivateKey, X509Certificate } from 'node:crypto';
import { AppError, type Clock, isAppError, type Logger, parseClusterId } from '@sealift/core';
import {
  createSigningRequest,
  fetchTrustAnchor,
  type Identity,
  identityOfCertificate,
  issueTimeOf,
  trackerConnectOptions,
} from '@sealift/pki';
import { type EnrolAnswer, TrackerClient } from '@sealift/tracker-api';
import { Agent, type Agent as UndiciAgent } from 'undici';
import { ClusterClock } from './cluster-clock.ts';
import type { IdentitySource, NodeCredentials } from './ports.ts';

/** First pause after a failed enrolment or renewal, in ms; doubles up to {@link MAX_RETRY_MS}. */
const MIN_RETRY_MS = 1_000;
/** Longest pause between attempts, in ms: a tracker that comes back finds its nodes within half a minute. */
const MAX_RETRY_MS = 30_000;
/** Share of a certificate's life after which it is renewed, and how much chance spreads the nodes around it. */
const RENEW_AT = 2 / 3;
const RENEW_JITTER = 0.05;
/** Longest wait for the tracker's TLS handshake, in ms: it is in the same cluster. */
const CONNECT_TIMEOUT_MS = 3_000;
/** Longest wait for one enrolment or renewal, in ms. */
const CALL_TIMEOUT_MS = 15_000;

/** Longest timer that Node can set, in ms: a longer one would end at once. Renewing too early does no harm. */
const MAX_TIMER_MS = 2 ** 31 - 1;

/** What lets a node in. */
export type EnrolmentToken = { readonly joinToken: string } | { readonly serviceAccountToken: string };

/** Why a node has no certificate: an error code, the tracker's own where it refused, and its message. */
export interface EnrolmentFailure {
  readonly code: string;
  readonly reason: string;
}

/** How a node finds and trusts its tracker, and what it may enrol with. */
export interface NodeIdentityOptions {
  /** `https://host:port` of the tracker. */
  readonly origin: string;
  /** Either the fingerprint of the swarm CA or its certificate. */
  readonly trust: { readonly fingerprint: string } | { readonly trustAnchors: string };
  /** Reads what enrols, at each enrolment; absent where the node enrols by the registry credentials of its first pull. */
  readonly readEnrolmentToken?: () => Promise<EnrolmentToken>;
  /** What people call this host. */
  readonly name?: string;
  readonly clock: Clock;
  readonly log: Logger;
  readonly random?: () => number;
}

/**
 * The life of a node's identity: finds the trust anchor, enrols, renews with a fresh key at two thirds of each
 * certificate's life, and enrols again if that failed for too long. Keys live in memory only, so a restarted process is
 * a new node. The proxy works before and without it; there is just nobody to share with.
 */
export class NodeIdentity {
  readonly #options: NodeIdentityOptions;
  readonly #random: () => number;
  readonly #listeners = new Set<() => void>();
  readonly #stopped = new AbortController();
  #trustAnchors: string | undefined;
  #credentials: NodeCredentials | undefined;
  #agent: UndiciAgent | undefined;
  #timer: NodeJS.Timeout | undefined;
  /** Pools of earlier certificates whose last calls are still under way. */
  readonly #retired = new Set<UndiciAgent>();
  #isDenied = false;
  #failure: EnrolmentFailure | undefined;
  #failures = 0;
  #work: Promise<void> | undefined;

  /** What certificates and grants are judged by. */
  readonly clusterClock: ClusterClock;

  /** The tracker, spoken to with the present certificate. */
  readonly client: TrackerClient;

  constructor(options: NodeIdentityOptions) {
    this.#options = options;
    this.#random = options.random ?? Math.random;
    this.clusterClock = new ClusterClock({ clock: options.clock });
    if ('trustAnchors' in options.trust) this.#trustAnchors = options.trust.trustAnchors;
    this.client = new TrackerClient({ origin: options.origin, dispatcher: () => this.dispatcher() });
  }

  /** The present credentials; `undefined` before enrolment and after the certificate's end. */
  get credentials(): NodeCredentials | undefined {
    const credentials = this.#credentials;
    return credentials !== undefined && credentials.identity.notAfter > this.clusterClock.now()
      ? credentials
      : undefined;
  }

  /** Why the last enrolment or renewal failed; `undefined` once one has worked. */
  get failure(): EnrolmentFailure | undefined {
    return this.#failure;
  }

  /** Whether this node enrols by the registry credentials of a pull rather than by a token. Never once it is denied. */
  get enrolsByRegistry(): boolean {
    return this.#options.readEnrolmentToken === undefined && !this.#isDenied;
  }

  /** The same as a port for the engine, which is only built once there are credentials. */
  get source(): IdentitySource {
    return {
      current: () => {
        if (this.#credentials === undefined)
          throw new AppError('CERT_REQUIRED', { reason: 'the node is not enrolled yet' });
        return this.#credentials;
      },
      onChange: (listener) => this.onChange(listener),
    };
  }

  /** Calls `listener` at enrolment and at each renewal; returns how to stop that. */
  onChange(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Begins to enrol and goes on in the background: a tracker that is away must not keep the proxy from its work. */
  async start(): Promise<void> {
    if (this.#stopped.signal.aborted || this.#work !== undefined || this.#timer !== undefined) return;
    this.#schedule(0);
  }

  /** Ends all timers and connections. Safe to call twice. */
  async stop(): Promise<void> {
    this.#stopped.abort();
    clearTimeout(this.#timer);
    await this.#work;
    const agents = [...this.#retired, ...(this.#agent === undefined ? [] : [this.#agent])];
    this.#agent = undefined;
    await Promise.all(agents.map((agent) => agent.destroy()));
  }

  /** The connection pool to the tracker; throws `TRACKER_UNAVAILABLE` while its trust anchor is not known. */
  dispatcher(): UndiciAgent {
    this.#demandRunning();
    if (this.#agent === undefined) {
      if (this.#trustAnchors === undefined) {
        throw new AppError('TRACKER_UNAVAILABLE', { reason: 'its certificate authority is not known yet' });
      }
      this.#agent = this.#newAgent(this.#trustAnchors);
    }
    return this.#agent;
  }

  /**
   * Takes over an enrolment that came with a join answer. `privateKeyPem` is the key of the request's CSR. Throws
   * `CERTIFICATE_REJECTED` for a certificate of another node, role, cluster or key, or one that is not valid now.
   */
  adopt(answer: EnrolAnswer, privateKeyPem: string): void {
    this.#demandRunning();
    const identity = this.#checkedIdentity(answer, privateKeyPem);
    const isRenewal = this.#credentials?.identity.id === identity.id;
    const trustAnchors = answer.cluster.trustAnchors;
    this.#trustAnchors = trustAnchors;
    this.#credentials = Object.freeze({
      identity,
      tls: { trustAnchors, certificatePem: answer.certificate, privateKeyPem },
      cluster: answer.cluster,
    });
    const previous = this.#agent;
    this.#agent = this.#newAgent(trustAnchors);
    if (previous !== undefined) void this.#retire(previous);
    this.#failures = 0;
    this.#failure = undefined;
    this.#options.log.info(isRenewal ? 'certificate_renewed' : 'enrolled', {
      nodeId: identity.id,
      notAfter: identity.notAfter,
    });
    this.#scheduleRenewal();
    for (const listener of this.#listeners) listener();
  }

  #checkedIdentity({ certificate, nodeId, cluster }: EnrolAnswer, privateKeyPem: string): Identity {
    const leaf = new X509Certificate(certificate);
    const identity = identityOfCertificate(leaf);
    const clusterId = parseClusterId(cluster.clusterId);
    const isMeant = identity.clusterId === clusterId && identity.id === nodeId && identity.role === 'node';
    const present = this.credentials?.identity;
    const isSame = present === undefined || (present.id === identity.id && present.clusterId === clusterId);
    if (!isMeant || !isSame || !leaf.checkPrivateKey(createPrivateKey(privateKeyPem))) {
      throw new AppError('CERTIFICATE_REJECTED', { reason: 'the tracker issued a certificate for somebody else' });
    }
    this.#compareClocks(identity);
    return identity;
  }

  /** Throws `CERTIFICATE_REJECTED` where the clocks are so far apart that peers would refuse each other's certificates. */
  #compareClocks(identity: Identity): void {
    const now = this.#options.clock.now();
    this.clusterClock.observe(issueTimeOf(identity));
    const skewSeconds = Math.round(this.clusterClock.skewMs / 1000);
    const advice = 'Compare the clocks of this host and the tracker.';
    // TLS goes by this host's own clock. A node that took it would also ask for the next one at once, for ever.
    if (identity.notBefore > now || identity.notAfter <= now) {
      throw new AppError('CERTIFICATE_REJECTED', { reason: 'not valid now', skewSeconds, advice });
    }
    if (skewSeconds !== 0) this.#options.log.warn('clock_skewed', { skewSeconds, advice });
  }

  /** Calls under way finish on the old pool, which closes itself after them. */
  async #retire(agent: UndiciAgent): Promise<void> {
    this.#retired.add(agent);
    try {
      await agent.close();
    } catch {
      // Destroyed by our stop meanwhile.
    }
    this.#retired.delete(agent);
  }

  #demandRunning(): void {
    if (this.#stopped.signal.aborted) throw new AppError('TRACKER_UNAVAILABLE', { reason: 'the node is stopping' });
  }

  #newAgent(trustAnchors: string): UndiciAgent {
    const tls = this.#credentials?.tls;
    const clusterId = this.#credentials?.identity.clusterId;
    return new Agent({
      connect: {
        ...trackerConnectOptions({
          trustAnchors,
          ...(clusterId === undefined ? {} : { clusterId }),
          ...(tls === undefined ? {} : { client: tls }),
        }),
        timeout: CONNECT_TIMEOUT_MS,
      },
      connections: 8,
      pipelining: 1,
    });
  }

  #schedule(delayMs: number): void {
    if (this.#stopped.signal.aborted || this.#isDenied) return;
    clearTimeout(this.#timer);
    this.#timer = setTimeout(
      () => {
        this.#timer = undefined;
        this.#work = this.#attempt().finally(() => {
          this.#work = undefined;
        });
      },
      Math.min(delayMs, MAX_TIMER_MS),
    );
    this.#timer.unref();
  }

  #scheduleRenewal(): void {
    const credentials = this.#credentials;
    if (credentials === undefined) return;
    // From the certificate alone, which both clocks agree on.
    const lifeMs = credentials.identity.notAfter - issueTimeOf(credentials.identity);
    this.#schedule(renewalDelay(lifeMs, this.#random()));
  }

  async #attempt(): Promise<void> {
    const signal = AbortSignal.any([this.#stopped.signal, AbortSignal.timeout(CALL_TIMEOUT_MS)]);
    const isRenewal = this.credentials !== undefined;
    try {
      if (this.#trustAnchors === undefined) await this.#findTrustAnchor(signal);
      if (isRenewal) await this.#renew(signal);
      else if (!this.enrolsByRegistry) await this.#enrol(signal);
    } catch (error) {
      if (this.#stopped.signal.aborted) return;
      this.#failures += 1;
      this.#failure = failureOf(error);
      this.#options.log.warn(isRenewal ? 'certificate_renewal_failed' : 'enrolment_failed', {
        error,
        attempt: this.#failures,
      });
      const pauseMs = Math.min(MAX_RETRY_MS, MIN_RETRY_MS * 2 ** Math.min(this.#failures - 1, 10));
      this.#schedule(pauseMs * (0.75 + 0.5 * this.#random()));
    }
  }

  async #findTrustAnchor(signal: AbortSignal): Promise<void> {
    const { trust, origin } = this.#options;
    if ('fingerprint' in trust)
      this.#trustAnchors = await fetchTrustAnchor({ origin, fingerprint: trust.fingerprint }, { signal });
  }

  async #enrol(signal: AbortSignal): Promise<void> {
    const { readEnrolmentToken, name } = this.#options;
    if (readEnrolmentToken === undefined) return;
    const token = await readEnrolmentToken();
    const { csrPem, privateKeyPem } = await createSigningRequest();
    const answer = await this.client.enrol(
      { csr: csrPem, ...token, ...(name === undefined ? {} : { name }) },
      { signal },
    );
    this.adopt(answer, privateKeyPem);
  }

  async #renew(signal: AbortSignal): Promise<void> {
    const { csrPem, privateKeyPem } = await createSigningRequest();
    try {
      this.adopt(await this.client.renew({ csr: csrPem }, { signal }), privateKeyPem);
    } catch (error) {
      // A denied node stays out until it is started anew, and does not come back as another node by the token that it
      // still has. Anything else may pass, and the certificate still runs.
      const code = isAppError(error, 'TRACKER_REFUSED') ? error.details['code'] : undefined;
      if (code === 'NODE_DENIED') this.#isDenied = true;
      // To the tracker it has ended, or its CA has been retired: only a new enrolment helps.
      if (code === 'NODE_DENIED' || code === 'CERT_REQUIRED') this.#credentials = undefined;
      throw error;
    }
  }
}

function failureOf(error: unknown): EnrolmentFailure {
  if (!isAppError(error)) return { code: 'UNKNOWN', reason: 'an unexpected fault' };
  return { code: String(error.details['code'] ?? error.code), reason: error.message };
}

/** How long a certificate with so much life left, in ms, is used before it is renewed; `chance` is in [0, 1). */
export function renewalDelay(lifeMs: number, chance: number): number {
  return Math.max(MIN_RETRY_MS / 2, lifeMs * (RENEW_AT + RENEW_JITTER * (2 * chance - 1)));
}
