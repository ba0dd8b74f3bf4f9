import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { peerIdOf } from '@sealift/bittorrent';
import {
  type Clock,
  createLogger,
  type Digest,
  type NodeId,
  parseClusterId,
  parseNodeId,
  type SwarmId,
  type Zone,
} from '@sealift/core';
import { createSigningRequest, isTrustedChain, trackerConnectOptions } from '@sealift/pki';
import { type KeySet, RegistryClient, RegistryTokens } from '@sealift/registry';
import { FakeRegistry, nodeIdOf } from '@sealift/testkit';
import { TrackerClient } from '@sealift/tracker-api';
import { Agent } from 'undici';
import { AuditFile } from './audit-log.ts';
import { Authority } from './authority.ts';
import type { TrackerConfig } from './config.ts';
import type { ServiceAccountTokens } from './kubernetes/service-account-tokens.ts';
import type { Seeder, SeedOffer, SeedRequest } from './ports.ts';
import { openTrackerState, type TrackerState } from './state/tracker-state.ts';
import { Tracker } from './tracker.ts';

/** The machine's clock, which a test can put forward. Certificates are checked against the real one by TLS too. */
export class ShiftedClock implements Clock {
  offsetMs = 0;
  now(): number {
    return Date.now() + this.offsetMs;
  }
}

/** A seeder that offers what the test says and remembers what it was asked. */
export class FakeSeeder implements Seeder {
  readonly nodeId: NodeId = nodeIdOf('seeder-fake');
  readonly endpoint = { host: '192.0.2.1', port: 7444 };
  zone: Zone | undefined;
  readonly asked: SeedRequest[] = [];
  /** Digests opened before the right to them was proven and not let go of, and all that ever were. */
  readonly ahead = new Set<Digest>();
  readonly everAhead: Digest[] = [];
  readonly seeding = new Set<SwarmId>();
  next: (request: SeedRequest) => Promise<SeedOffer> = async () => ({ kind: 'none', reason: 'nothing here' });

  isSeeding(swarmId: SwarmId): boolean {
    return this.seeding.has(swarmId);
  }

  openAhead({ blob: { digest } }: Omit<SeedRequest, 'size'>): Disposable {
    this.everAhead.push(digest);
    this.ahead.add(digest);
    return { [Symbol.dispose]: () => void this.ahead.delete(digest) };
  }

  async offer(request: SeedRequest): Promise<SeedOffer> {
    this.asked.push(request);
    return await this.next(request);
  }
}

/** A node as far as the tracker sees it: a certificate, and calls made with it. */
export interface TestNode {
  readonly nodeId: NodeId;
  readonly agent: Agent;
  readonly client: TrackerClient;
  readonly peerId: Buffer;
}

interface Parts {
  readonly directory: string;
  readonly state: TrackerState;
  readonly authority: Authority;
  readonly tracker: Tracker;
  readonly audit: AuditFile;
  readonly client: RegistryClient;
  readonly tokens: RegistryTokens;
}

/** A running tracker with everything around it, on loopback and in a directory of its own. */
export class TestTracker {
  readonly clock = new ShiftedClock();
  readonly seeder = new FakeSeeder();
  readonly registry: FakeRegistry;
  readonly logLines: string[] = [];
  /** Set it before the start to let service accounts enrol. */
  serviceAccounts: ServiceAccountTokens | undefined;
  /** What the operator trusts for the registry's tokens; read at the start. */
  keySets: (registry: FakeRegistry) => Promise<readonly KeySet[]> = async () => [];
  readonly #config: Partial<TrackerConfig>;
  readonly #agents: Agent[] = [];
  #parts: Parts | undefined;

  constructor(config: Partial<TrackerConfig> = {}, registry = new FakeRegistry({ auth: 'bearer' })) {
    this.#config = config;
    this.registry = registry;
  }

  async start(): Promise<void> {
    const { clock, seeder } = this;
    const directory = await mkdtemp(join(tmpdir(), 'sealift-tracker-'));
    const log = createLogger({ write: (line) => this.logLines.push(line), level: 'debug', clock });
    const clusterId = parseClusterId('test');
    await this.registry.start();
    const state = await openTrackerState({ dataDirectory: directory, clusterId, clock });
    const audit = new AuditFile({ directory, clock, log });
    await audit.start();
    const client = new RegistryClient({ registries: [this.registry.config] });
    const authority = new Authority({ state, clock, audit });
    const config = { clusterId, listen: { host: '127.0.0.1', port: 0 }, names: ['127.0.0.1'], ...this.#config };
    const { host } = this.registry;
    const tokens = new RegistryTokens({
      registries: [this.registry.config],
      tokens: [{ registry: host, keySets: await this.keySets(this.registry), keyUrls: [] }],
      prober: client,
      verifyChain: isTrustedChain,
      clock,
      log,
    });
    const tracker = new Tracker({
      config,
      state,
      authority,
      registry: client,
      tokens,
      seeder,
      clock,
      log,
      audit,
      serviceAccounts: this.serviceAccounts,
    });
    await tracker.start();
    this.#parts = { directory, state, authority, tracker, audit, client, tokens };
  }

  async stop(): Promise<void> {
    const { directory, state, tracker, audit, client, tokens } = this.#running();
    await Promise.all(this.#agents.map((agent) => agent.destroy()));
    await tracker.stop();
    await tracker.stop();
    await tokens.stop();
    await audit.stop();
    await client.close();
    await this.registry.stop();
    state.close();
    await rm(directory, { recursive: true });
  }

  get state(): TrackerState {
    return this.#running().state;
  }

  get authority(): Authority {
    return this.#running().authority;
  }

  get tracker(): Tracker {
    return this.#running().tracker;
  }

  /** The judge of registry tokens. */
  get tokens(): RegistryTokens {
    return this.#running().tokens;
  }

  get directory(): string {
    return this.#running().directory;
  }

  get origin(): string {
    return `https://127.0.0.1:${this.tracker.port}`;
  }

  /** What has been audited so far; reads the file, so it must be called after the tracker had time to write. */
  async auditText(): Promise<string> {
    await this.#running().audit.stop();
    await this.#running().audit.start();
    return await readFile(join(this.directory, 'audit.jsonl'), 'utf8');
  }

  /** A dispatcher that trusts this tracker, with a client certificate if one is given. */
  agent(client?: { certificatePem: string; privateKeyPem: string }): Agent {
    const { clusterInfo, clusterId } = this.state;
    const connect = trackerConnectOptions({
      trustAnchors: clusterInfo.trustAnchors,
      clusterId,
      ...(client === undefined ? {} : { client }),
    });
    // One connection, so that later calls really come over the earlier one.
    const agent = new Agent({ connect, connections: 1 });
    this.#agents.push(agent);
    return agent;
  }

  client(agent: Agent): TrackerClient {
    return new TrackerClient({ origin: this.origin, dispatcher: () => agent });
  }

  /** A node that has enrolled with a join token. */
  async enrol(name = 'host'): Promise<TestNode> {
    const { token } = this.state.joinTokens.create({ isReusable: false, ttlMs: 60_000 });
    const { privateKeyPem, csrPem } = await createSigningRequest();
    const signal = AbortSignal.timeout(10_000);
    const answer = await this.client(this.agent()).enrol({ csr: csrPem, joinToken: token, name }, { signal });
    return this.node(answer, privateKeyPem);
  }

  /** The node that holds this certificate. */
  node({ nodeId: id, certificate }: { nodeId: string; certificate: string }, privateKeyPem: string): TestNode {
    const nodeId = parseNodeId(id);
    const agent = this.agent({ certificatePem: certificate, privateKeyPem });
    return { nodeId, agent, client: this.client(agent), peerId: peerIdOf(nodeId) };
  }

  #running(): Parts {
    if (this.#parts === undefined) throw new Error('the test tracker has not been started');
    return this.#parts;
  }
}
