import { randomFillSync, X509Certificate } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { AnnounceClient, createContentSigner } from '@sealift/bittorrent';
import {
  type BlobRef,
  type Digest,
  type Logger,
  parseClusterId,
  parseRepository,
  type Repository,
  silentLogger,
  swarmIdOf,
  systemClock,
} from '@sealift/core';
import {
  GrantKeeper,
  type IdentitySource,
  NodeIdentity,
  PeerEngine,
  type PeerLimits,
  RegistrySeeder,
  SwarmBlobSource,
} from '@sealift/peer';
import { createSigningRequest, identityOfCertificate } from '@sealift/pki';
import { RegistryClient } from '@sealift/registry';
import { BlobStore } from '@sealift/store';
import { FakeRegistry } from '@sealift/testkit';
import { AuditFile, Authority, openTrackerState, Tracker, type TrackerState } from '@sealift/tracker';

const clusterId = parseClusterId('test');
const clock = systemClock;
const log = silentLogger;
const loopback = { host: '127.0.0.1', port: 0 };

/** Where blobs of these tests live. */
export const repository = parseRepository('team/app');

/** The parts of a node that share blobs. */
export interface WiredNode {
  readonly source: SwarmBlobSource;
  readonly identity: NodeIdentity;
  readonly engine: PeerEngine;
  readonly store: BlobStore;
  readonly grants: GrantKeeper;
}

/** What is not as usual in a {@link WiredCluster}. */
export interface WiredOptions {
  /** What the registry wants of who pulls. @default 'bearer' */
  readonly auth?: 'anonymous' | 'bearer';
  /** Repositories of that registry that are public. */
  readonly publicRepositories?: readonly Repository[];
  readonly announceIntervalMs?: number;
  /** Log of all engines. */
  readonly log?: Logger;
  readonly limits?: Partial<PeerLimits>;
  readonly seederUploadBytesPerSecond?: number;
}

/** A tracker with its seeder, and a registry that wants tokens: all real but for the registry. */
export class WiredCluster {
  readonly registry: FakeRegistry;
  readonly #options: WiredOptions;
  readonly #directory: string;
  readonly #stops: (() => Promise<unknown>)[] = [];
  #tracker: { state: TrackerState; tracker: Tracker; seederPort: number } | undefined;
  #nodes = 0;

  private constructor(directory: string, options: WiredOptions) {
    this.#directory = directory;
    this.#options = options;
    this.registry = new FakeRegistry({ auth: options.auth ?? 'bearer' });
  }

  /** A running cluster; the caller stops it. */
  static async start(options: WiredOptions = {}): Promise<WiredCluster> {
    const cluster = new WiredCluster(await mkdtemp(path.join(tmpdir(), 'sealift-wired-')), options);
    try {
      await cluster.#start();
    } catch (error) {
      await cluster.stop();
      throw error;
    }
    return cluster;
  }

  async stop(): Promise<void> {
    for (const stop of this.#stops.splice(0).reverse()) await stop();
    await rm(this.#directory, { recursive: true, force: true });
  }

  /** Puts a blob of random bytes into the registry. */
  addBlob(size: number): BlobRef {
    const digest: Digest = this.registry.addBlob(repository, randomFillSync(Buffer.alloc(size)));
    return { registry: this.registry.host, repository, digest };
  }

  /** An Authorization header that may pull from `repositories`. */
  async authorization(...repositories: readonly string[]): Promise<string> {
    return `Bearer ${await this.registry.tokens.issue({ repositories })}`;
  }

  /** What the tracker keeps. */
  get state(): TrackerState {
    return this.#running().state;
  }

  get tracker(): Tracker {
    return this.#running().tracker;
  }

  /** The engine of the seeder. */
  get seederPort(): number {
    return this.#running().seederPort;
  }

  /** The blob source of a new node, wired as `sealift node` wires it. */
  async node(): Promise<SwarmBlobSource> {
    return (await this.wholeNode()).source;
  }

  /** The same with its parts. */
  async wholeNode(): Promise<WiredNode> {
    const { state, tracker } = this.#running();
    const origin = `https://127.0.0.1:${tracker.port}`;
    const { token } = state.joinTokens.create({ isReusable: false, ttlMs: 60_000 });
    this.#nodes += 1;
    const store = await this.#store(`node-${this.#nodes}`);
    const trust = { fingerprint: state.ca.fingerprint };
    const identity = new NodeIdentity({
      origin,
      trust,
      readEnrolmentToken: async () => ({ joinToken: token }),
      clock,
      log,
    });
    this.#stops.push(() => identity.stop());
    const enrolled = new Promise<void>((resolve) => void identity.onChange(resolve));
    await identity.start();
    await enrolled;
    const grants = new GrantKeeper({ clock, refresh: async () => [] });
    const announces = new AnnounceClient({ origin, dispatcher: () => identity.dispatcher() });
    const engine = new PeerEngine({
      identity: identity.source,
      grants,
      store,
      announce: (request, options) => announces.announce(request, options),
      listen: loopback,
      clock,
      log: this.#options.log ?? log,
      limits: this.#options.limits ?? {},
    });
    await engine.start();
    this.#stops.push(() => engine.stop());
    const source = new SwarmBlobSource({ identity, engine: async () => engine, store, grants, clock, log });
    return { source, identity, engine, store, grants };
  }

  async #start(): Promise<void> {
    await this.registry.start();
    this.#stops.push(() => this.registry.stop());
    const state = await openTrackerState({ dataDirectory: path.join(this.#directory, 'tracker'), clusterId, clock });
    this.#stops.push(async () => state.close());
    const audit = new AuditFile({ directory: this.#directory, clock, log });
    await audit.start();
    this.#stops.push(() => audit.stop());
    const authority = new Authority({ state, clock, audit });
    const client = new RegistryClient({ registries: [this.registry.config] });
    this.#stops.push(() => client.close());
    const identity = await seederIdentity(authority);
    const grants = new GrantKeeper({ clock, refresh: async () => [] });
    const store = await this.#store('seeder');
    const engine: PeerEngine = new PeerEngine({
      identity,
      grants,
      store,
      announce: async (request) => tracker.announceSeeder(request),
      listen: loopback,
      uploadBytesPerSecond: this.#options.seederUploadBytesPerSecond,
      clock,
      log: this.#options.log ?? log,
      limits: this.#options.limits ?? {},
    });
    await engine.start();
    this.#stops.push(() => engine.stop());
    const seeder = new RegistrySeeder({
      nodeId: state.seederId,
      endpoint: { host: loopback.host, port: engine.port },
      engine,
      store,
      registry: client,
      signer: createContentSigner(state.contentKey.privateKey),
      ensureGrant: async (blob) => {
        const { grant, claims } = await authority.mintSeederGrant(blob, identity.current().identity);
        grants.put(swarmIdOf(clusterId, blob.registry, blob.digest), { grant, expiresAt: claims.expiresAt });
      },
      clock,
      log,
    });
    this.#stops.push(() => seeder.stop());
    const { publicRepositories = [], announceIntervalMs = 30_000 } = this.#options;
    const config = {
      ...{ clusterId, listen: loopback, names: [loopback.host], announceIntervalMs },
      publicRepositories: publicRepositories.map((name) => ({ registry: this.registry.host, repository: name })),
    };
    const tracker: Tracker = new Tracker({ config, state, authority, registry: client, seeder, clock, log, audit });
    await tracker.start();
    this.#stops.push(() => tracker.stop());
    this.#tracker = { state, tracker, seederPort: engine.port };
  }

  async #store(name: string): Promise<BlobStore> {
    const store = new BlobStore({ directory: path.join(this.#directory, name), quotaBytes: 2 ** 28, clock, log });
    await store.start();
    this.#stops.push(() => store.stop());
    return store;
  }

  #running(): { state: TrackerState; tracker: Tracker; seederPort: number } {
    if (this.#tracker === undefined) throw new Error('the cluster does not run');
    return this.#tracker;
  }
}

async function seederIdentity(authority: Authority): Promise<IdentitySource> {
  const { csrPem, privateKeyPem } = await createSigningRequest();
  const { certificate, cluster } = await authority.issueSeederIdentity(csrPem);
  const tls = { trustAnchors: cluster.trustAnchors, certificatePem: certificate, privateKeyPem };
  const credentials = { identity: identityOfCertificate(new X509Certificate(certificate)), tls, cluster };
  return { current: () => credentials, onChange: () => () => {} };
}
