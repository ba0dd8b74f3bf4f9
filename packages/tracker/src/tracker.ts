import type { AddressInfo } from 'node:net';
import type { AnnounceAnswer } from '@sealift/bittorrent';
import { AppError, type Clock, type Logger, type SwarmId } from '@sealift/core';
import type { RegistryClient } from '@sealift/registry';
import type { AuditWriter } from './audit-log.ts';
import type { Authority } from './authority.ts';
import { CaRotation } from './ca-rotation.ts';
import { type ResolvedConfig, resolveConfig, type TrackerConfig } from './config.ts';
import { Counters } from './counters.ts';
import { type App, createApp } from './http/app.ts';
import { ClientIdentity } from './http/client-identity.ts';
import type { ServiceAccountTokens } from './kubernetes/service-account-tokens.ts';
import { Manifests } from './manifests/manifests.ts';
import type { Seeder } from './ports.ts';
import { PeerDialer } from './reach/peer-dialer.ts';
import { RefusalTrace } from './refusal-trace.ts';
import { Authorizer, type TokenJudge } from './right/authorizer.ts';
import { PublicSwarms } from './right/public-swarms.ts';
import { besideCertificate, blobProver, manifestProver, type RegistryProver } from './right/registry-prover.ts';
import { registerAnnounceRoutes } from './routes/announce-routes.ts';
import { registerEnrolRoutes } from './routes/enrol-routes.ts';
import { registerGrantRoutes } from './routes/grant-routes.ts';
import { registerJoinRoute } from './routes/join-route.ts';
import { registerManifestRoute } from './routes/manifest-route.ts';
import { registerMetainfoRoute } from './routes/metainfo-route.ts';
import { registerPublicRoutes } from './routes/public-routes.ts';
import { registerReachRoute } from './routes/reach-route.ts';
import { registerReportRoute } from './routes/report-route.ts';
import { registerStatusRoute } from './routes/status-route.ts';
import type { Services } from './services.ts';
import type { TrackerState } from './state/tracker-state.ts';
import { Handout } from './swarm/handout.ts';
import { SwarmTable } from './swarm/swarm-table.ts';
import { Throttle } from './throttle.ts';
import { TrackerLeaf } from './tracker-leaf.ts';

/** Peers in one answer at most: more than a node dials for one blob. */
const MAX_HANDOUT = 50;
/** How often silent peers are forgotten and the deny list is read again, in ms. */
const SWEEP_MS = 5_000;

/** What the tracker asks of registries. */
type TrackerRegistry = Pick<
  RegistryClient,
  'isConfigured' | 'showsCertificate' | 'headBlob' | 'headManifest' | 'fetchManifest'
>;

/** The tracker of a cluster: enrolment, rights, announces. Of what registries hold it keeps manifests, and no blob. */
export class Tracker {
  readonly #config: ResolvedConfig;
  readonly #services: Omit<Services, 'authorizer' | 'manifests' | 'publicSwarms'>;
  readonly #registry: TrackerRegistry;
  readonly #tokens: TokenJudge | undefined;
  readonly #random: () => number;
  #started: Promise<void> | undefined;
  #publicSwarms: PublicSwarms | undefined;
  #running: { app: App; stop: () => Promise<void> } | undefined;

  /**
   * `authority` must sign for `state`. `tokens` spares the registry questions about tokens that it can judge; without it each
   * is asked for. Throws `CONFIG_INVALID`. `random` gives numbers in [0, 1).
   */
  constructor({
    config,
    state,
    authority,
    registry,
    tokens,
    seeder,
    clock,
    log,
    audit,
    serviceAccounts,
    random = Math.random,
  }: {
    config: TrackerConfig;
    state: TrackerState;
    authority: Authority;
    registry: TrackerRegistry;
    tokens?: TokenJudge | undefined;
    seeder: Seeder;
    clock: Clock;
    log: Logger;
    audit: AuditWriter;
    /** Who else may enrol, beside holders of join tokens. */
    serviceAccounts?: ServiceAccountTokens | undefined;
    random?: () => number;
  }) {
    this.#config = resolveConfig(config);
    if (state.clusterId !== config.clusterId) {
      throw new AppError('CONFIG_INVALID', { reason: 'the state is that of another cluster', found: state.clusterId });
    }
    this.#registry = registry;
    this.#tokens = tokens;
    this.#random = random;
    this.#services = {
      config: this.#config,
      state,
      authority,
      seeder,
      swarms: new SwarmTable({
        clock,
        handout: new Handout({ random, maxPeers: MAX_HANDOUT }),
        intervalMs: this.#config.announceIntervalMs,
      }),
      identity: new ClientIdentity({
        clusterId: state.clusterId,
        denyList: state.denyList,
        cas: state.cas,
        clock,
        audit,
      }),
      throttle: new Throttle({ limits: this.#config.limits, clock }),
      serviceAccounts,
      counters: new Counters(),
      clock,
      log,
      audit,
      refusals: new RefusalTrace({ audit, clock }),
    };
  }

  /** The port it listens on; 0 while it does not. */
  get port(): number {
    return (this.#running?.app.server.address() as AddressInfo | null | undefined)?.port ?? 0;
  }

  /** Starts to listen. Safe to call twice. */
  async start(): Promise<void> {
    this.#started ??= this.#start();
    await this.#started;
  }

  /** Stops to listen and cuts all connections. Safe to call twice. */
  async stop(): Promise<void> {
    const started = this.#started;
    this.#started = undefined;
    // A start that fails has cleaned up and told its own caller.
    await started?.catch(() => {});
    const running = this.#running;
    this.#running = undefined;
    await running?.stop();
  }

  /**
   * The answer to an announce of the seeder in this process: how the swarm stands, and the deny list. The seeder stands in
   * no table, because every answer to a leecher names it anyway.
   */
  announceSeeder({ swarmId, denyVersion }: { swarmId: SwarmId; denyVersion: number }): AnnounceAnswer {
    const { swarms, state } = this.#services;
    const deny = state.pushed.current;
    const publicInfoHash = this.#publicSwarms?.infoHashOf(swarmId);
    return {
      intervalMs: this.#config.announceIntervalMs,
      ...swarms.countsOf(swarmId),
      // Peers dial the seeder, so it needs to dial nobody.
      peers: [],
      ...(deny.version === denyVersion ? {} : { deny }),
      ...(publicInfoHash === undefined ? {} : { publicInfoHash }),
    };
  }

  #openPublicSwarms(authorizer: Authorizer): PublicSwarms {
    const { log } = this.#services;
    const repositories = this.#config.publicRepositories;
    for (const { registry, repository } of repositories) log.warn('repository_public', { registry, repository });
    this.#publicSwarms = new PublicSwarms({
      ...this.#services,
      repositories,
      authorizer,
      intervalMs: this.#config.announceIntervalMs,
    });
    return this.#publicSwarms;
  }

  async #start(): Promise<void> {
    const { clock, log, authority } = this.#services;
    const registry = this.#registry;
    const judges = { tokens: this.#tokens, revocations: this.#services.state.revocations, clock };
    const guarded = (prover: RegistryProver): RegistryProver =>
      this.#config.registryCertsSuffice
        ? prover
        : besideCertificate(prover, { showsCertificate: (host) => registry.showsCertificate(host) });
    const authorizer = new Authorizer({ registry: guarded(blobProver(registry)), ...judges });
    // Another one, so that what is known of a blob is never taken for a word on a manifest.
    const manifestAuthorizer = new Authorizer({ registry: guarded(manifestProver(registry)), ...judges });
    const manifests = new Manifests({ authorizer: manifestAuthorizer, registry, log });
    const publicSwarms = this.#openPublicSwarms(authorizer);
    const services: Services = { ...this.#services, authorizer, manifests, publicSwarms };
    const leaf = new TrackerLeaf({ authority, names: this.#config, clock, log });
    const app = await createApp({ tls: await leaf.issue(), limits: this.#config.limits, clock, log });
    const dialer = this.#newDialer();
    registerReachRoute(app, { ...services, dialer });
    const announces = this.#registerRoutes(app, services);
    const stopSweeping = this.#sweep();
    const { state, audit } = services;
    const rotation = new CaRotation({ cas: state.cas, nodes: state.nodes, audit, log });
    const stopFollowing = state.cas.onChange(() => leaf.replace());
    const stop = async (): Promise<void> => {
      stopSweeping();
      stopFollowing();
      await rotation.stop();
      leaf.stop();
      // First, for the calls that still run need the others.
      await app.close();
      await Promise.all([authorizer.stop(), manifestAuthorizer.stop(), manifests.stop()]);
      dialer.stop();
      announces.stop();
    };
    this.#running = { app, stop };
    try {
      // A copy, because fastify writes into what it is given.
      await app.listen({ ...this.#config.listen });
      leaf.keepAlive(app.server);
      rotation.start();
    } catch (error) {
      this.#running = undefined;
      await stop();
      throw error;
    }
  }

  #newDialer(): PeerDialer {
    const { state, clock } = this.#services;
    return new PeerDialer({ clusterId: state.clusterId, trustAnchors: () => state.cas.trustAnchors, clock });
  }

  #registerRoutes(app: App, services: Services): { stop(): void } {
    registerPublicRoutes(app, services);
    registerEnrolRoutes(app, services);
    registerJoinRoute(app, services);
    registerManifestRoute(app, services);
    registerMetainfoRoute(app, services);
    registerGrantRoutes(app, services);
    registerReportRoute(app, services);
    registerStatusRoute(app, { ...services, startedAt: services.clock.now() });
    return registerAnnounceRoutes(app, { ...services, random: this.#random });
  }

  #sweep(): () => void {
    const { swarms, state, log } = this.#services;
    const stopListening = state.denyList.onChange(({ added }) => {
      for (const { nodeId } of added) {
        swarms.removeNode(nodeId);
        log.warn('node_denied', { nodeId });
      }
    });
    const stopNoting = state.revocations.onAdded((added) => {
      for (const { registry, repository, digest } of added)
        log.warn('grants_revoked', { registry, repository, digest });
    });
    const timer = setInterval(() => {
      try {
        state.denyList.refresh();
        state.revocations.refresh();
        swarms.expire();
      } catch (error) {
        log.error('request_failed', { route: 'sweep', error });
      }
    }, SWEEP_MS);
    timer.unref();
    return () => {
      stopListening();
      stopNoting();
      clearInterval(timer);
    };
  }
}
