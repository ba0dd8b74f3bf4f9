import { randomFillSync } from 'node:crypto';
import type { TestContext } from 'node:test';
import {
  type Clock,
  createLogger,
  type Logger,
  parseRepository,
  pieceGeometry,
  pieceLengthFor,
  swarmIdOf,
} from '@sealift/core';
import { RegistryClient } from '@sealift/registry';
import { FakeRegistry, type FakeRegistryOptions } from '@sealift/testkit';
import { type TestBlob, TestCluster, type TestPeer } from './cluster.fixture.ts';
import type { RangeLimits } from './parallel-ranges.ts';
import { RegistrySeeder } from './registry-seeder.ts';
import type { Swarm } from './swarm.ts';

const repository = parseRepository('team/app');
/** One piece of a blob of up to 16 MiB, in bytes. */
export const PIECE = 256 * 1024;

/** The machine's clock, which a test can put forward. */
export class ShiftedClock implements Clock {
  offsetMs = 0;
  now(): number {
    return Date.now() + this.offsetMs;
  }
}

/** What an offer of the seeder is. */
export type Offer = Awaited<ReturnType<RegistrySeeder['offer']>>;

/** A seeder between a fake registry and a cluster of real engines. */
export class SeederScene {
  readonly clock = new ShiftedClock();
  readonly cluster: TestCluster;
  readonly registry: FakeRegistry;
  readonly client: RegistryClient;
  readonly #lines: string[] = [];
  readonly #waiting = new Set<() => void>();
  #peer: TestPeer | undefined;
  #seeder: RegistrySeeder | undefined;
  readonly #quotaBytes: number;
  readonly #ranges: RangeLimits | undefined;

  private constructor(o: {
    cluster: TestCluster;
    registry: FakeRegistry;
    client: RegistryClient;
    quotaBytes: number;
    ranges: RangeLimits | undefined;
  }) {
    this.cluster = o.cluster;
    this.registry = o.registry;
    this.client = o.client;
    this.#quotaBytes = o.quotaBytes;
    this.#ranges = o.ranges;
  }

  /** A running scene, which ends with the test. */
  static async create(
    t: TestContext,
    {
      quotaBytes = 2 ** 30,
      trustsRegistry = true,
      ranges,
      ...options
    }: FakeRegistryOptions & { quotaBytes?: number; trustsRegistry?: boolean; ranges?: RangeLimits } = {},
  ): Promise<SeederScene> {
    const cluster = await TestCluster.create(t);
    const registry = new FakeRegistry(options);
    await registry.start();
    const config = trustsRegistry ? registry.config : { registry: registry.host };
    const client = new RegistryClient({ registries: [config] });
    const scene = new SeederScene({ cluster, registry, client, quotaBytes, ranges });
    t.after(async () => {
      await scene.#seeder?.stop();
      await client.close();
      await registry.stop();
    });
    await scene.boot();
    return scene;
  }

  get seeder(): RegistrySeeder {
    if (this.#seeder === undefined) throw new Error('the scene has not been booted');
    return this.#seeder;
  }

  get peer(): TestPeer {
    if (this.#peer === undefined) throw new Error('the scene has not been booted');
    return this.#peer;
  }

  /** Starts the seeder, or a second process of it over the same store. */
  async boot(): Promise<void> {
    await this.#seeder?.stop();
    await this.#peer?.stop();
    const log = this.#log();
    const { clock } = this;
    const peer = await this.cluster.peer('seeder', { role: 'seeder', quotaBytes: this.#quotaBytes, clock, log });
    this.#peer = peer;
    this.#seeder = new RegistrySeeder({
      nodeId: peer.nodeId,
      endpoint: { host: '127.0.0.1', port: peer.engine.port },
      engine: peer.engine,
      store: peer.store,
      registry: this.client,
      signer: this.cluster.signer,
      ensureGrant: async ({ registry, digest }, swarmId) => {
        await peer.grant({ swarmId, digest } as TestBlob, { registry });
      },
      ...(this.#ranges === undefined ? {} : { ranges: this.#ranges }),
      clock: this.clock,
      log,
    });
  }

  /** A blob of random bytes that the registry holds. */
  blob(size: number): TestBlob {
    const bytes = randomFillSync(Buffer.alloc(size));
    const digest = this.registry.addBlob(repository, bytes);
    const geometry = pieceGeometry(size, pieceLengthFor(size));
    const swarmId = swarmIdOf(this.cluster.clusterId, this.registry.host, digest);
    const request = { blob: { registry: this.registry.host, digest }, swarmId, geometry };
    return { bytes, digest, geometry, swarmId, request };
  }

  /** Asks the seeder as the tracker does once a right is proven. */
  async ask(
    blob: TestBlob,
    {
      authorization,
      size,
      signal = AbortSignal.timeout(20_000),
    }: {
      authorization?: string;
      size?: number;
      signal?: AbortSignal;
    } = {},
  ): Promise<Offer> {
    const ref = { registry: this.registry.host, repository, digest: blob.digest };
    return await this.seeder.offer({ blob: ref, swarmId: blob.swarmId, size, authorization }, { signal });
  }

  /** A node that joins with what the seeder offered. */
  async leech(name: string, blob: TestBlob, offer: Offer): Promise<{ peer: TestPeer; swarm: Swarm }> {
    if (offer.kind !== 'swarm') throw new Error(`the seeder offers ${JSON.stringify(offer)}`);
    const peer = await this.cluster.peer(name);
    await peer.grant(blob, { registry: this.registry.host });
    const geometry = pieceGeometry(offer.size, offer.pieceLength);
    const swarm = await peer.engine.download({ ...blob.request, geometry, batches: offer.batches });
    swarm.acquire();
    return { peer, swarm };
  }

  /** Resolves with the log lines of that event once there are `count` of them. */
  async logged(event: string, count = 1): Promise<Record<string, unknown>[]> {
    for (;;) {
      const found = this.#lines.map((line) => JSON.parse(line)).filter((line) => line.event === event);
      if (found.length >= count) return found;
      await new Promise<void>((resolve) => this.#waiting.add(resolve));
    }
  }

  /** GETs of a blob at the registry, by what they asked for. */
  gets(blob: TestBlob): { range: string | undefined; authorization: string | undefined }[] {
    const path = `/v2/${repository}/blobs/${blob.digest}`;
    return this.registry.requests
      .filter((request) => request.at === 'registry' && request.method === 'GET' && request.path === path)
      .map(({ headers }) => ({ range: headers.range, authorization: headers.authorization }));
  }

  #log(): Logger {
    const write = (line: string): void => {
      this.#lines.push(line);
      const waiting = [...this.#waiting];
      this.#waiting.clear();
      for (const resolve of waiting) resolve();
    };
    return createLogger({ write, level: 'info', clock: this.clock });
  }
}

/** All bytes that a peer's store holds of a blob. */
export async function bytesOf(peer: TestPeer, blob: TestBlob): Promise<Buffer> {
  const bytes = Buffer.alloc(blob.bytes.length);
  await peer.store.get(blob.swarmId)?.read(0, bytes);
  return bytes;
}
