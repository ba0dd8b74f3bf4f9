import { createHash, generateKeyPairSync, type KeyObject, randomUUID, X509Certificate } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import {
  type AnnounceAnswer,
  type AnnounceRequest,
  type ContentSigner,
  createContentSigner,
  type DenyList,
  peerIdOf,
  signHashBatch,
} from '@sealift/bittorrent';
import {
  AppError,
  type Clock,
  type Digest,
  digestFromSha256,
  type Logger,
  type NodeId,
  type PieceGeometry,
  type ProvenRight,
  parseClusterId,
  parseRegistryHost,
  parseRepository,
  parseZone,
  pieceGeometry,
  type SwarmId,
  silentLogger,
  swarmIdOf,
  systemClock,
} from '@sealift/core';
import { checkCsr, createSigningRequest, identityOfCertificate, SwarmCa, type TlsMaterial } from '@sealift/pki';
import { BlobStore } from '@sealift/store';
import { nodeIdOf } from '@sealift/testkit';
import { type ClusterInfo, type GrantClaims, mintGrant, type PublicJwk } from '@sealift/tracker-api';
import { calculateJwkThumbprint } from 'jose';
import { PeerEngine } from './engine.ts';
import type { PeerLimits } from './limits.ts';
import { claimsOfOwn } from './own-grant.ts';
import type { GrantSource, IdentitySource, NodeCredentials, TokenCheck } from './ports.ts';
import { seededRandom } from './random.ts';

const HOUR_MS = 3_600_000;
const registry = parseRegistryHost('registry.example');
const repository = parseRepository('team/app');

/** One blob with everything a swarm of it needs. */
export interface TestBlob {
  readonly bytes: Buffer;
  readonly digest: Digest;
  readonly geometry: PieceGeometry;
  readonly swarmId: SwarmId;
  readonly request: { blob: { registry: typeof registry; digest: Digest }; swarmId: SwarmId; geometry: PieceGeometry };
}

/** One process of the cluster: engine, store and credentials. */
export interface TestPeer {
  readonly engine: PeerEngine;
  readonly store: BlobStore;
  readonly nodeId: NodeId;
  /** The present ones. */
  readonly credentials: NodeCredentials;
  readonly reports: NodeId[];
  /** Gives the peer a grant for a swarm; returns it. */
  grant(blob: TestBlob, change?: Partial<GrantClaims>): Promise<string>;
  revoke(blob: TestBlob): void;
  /** Takes these in place of its own; its grants are for the caller to renew. */
  adopt(credentials: NodeCredentials): void;
  /** Takes a new certificate with a new key, and has its grants bound to it, as after a renewal at the tracker. */
  renew(): Promise<void>;
  stop(): Promise<void>;
}

interface Key {
  readonly privateKey: KeyObject;
  readonly jwk: PublicJwk;
}

/** A tracker in memory: the announce half of it, which forgets nobody. */
export class FakeTracker {
  readonly #peers = new Map<SwarmId, Map<NodeId, { port: number; left: number }>>();
  readonly events: { nodeId: NodeId; event: string | undefined; left: number }[] = [];
  deny: DenyList = { version: 0, nodeIds: [], revocations: [] };
  isDown = false;
  /** How many fetch, as it tells everybody. */
  incomplete = 0;
  /** Whom it hands out to whom; everybody to everybody unless a test says otherwise. */
  isVisible: (other: NodeId, asker: NodeId) => boolean = () => true;

  announceOf(nodeId: NodeId) {
    return async (request: AnnounceRequest, { signal }: { signal: AbortSignal }): Promise<AnnounceAnswer> => {
      signal.throwIfAborted();
      if (this.isDown) throw new AppError('ANNOUNCE_FAILED', { reason: 'down' });
      this.events.push({ nodeId, event: request.event, left: request.left });
      const peers = this.#peersOf(request.swarmId);
      const others = [...peers].filter(
        ([id, { left }]) => id !== nodeId && this.isVisible(id, nodeId) && (left > 0 || request.left > 0),
      );
      if (request.event === 'stopped') peers.delete(nodeId);
      else peers.set(nodeId, { port: request.port, left: request.left });
      return {
        intervalMs: 60_000,
        complete: 0,
        incomplete: this.incomplete,
        peers: others.map(([id, { port }]) => ({ peerId: peerIdOf(id), host: '127.0.0.1', port })),
        ...(this.deny.version === request.denyVersion ? {} : { deny: this.deny }),
      };
    };
  }

  /** Hands out an address that nobody announced. */
  add(swarmId: SwarmId, nodeId: NodeId, port: number): void {
    this.#peersOf(swarmId).set(nodeId, { port, left: 1 });
  }

  #peersOf(swarmId: SwarmId): Map<NodeId, { port: number; left: number }> {
    const peers = this.#peers.get(swarmId) ?? new Map();
    this.#peers.set(swarmId, peers);
    return peers;
  }
}

/** A cluster for tests: real CA, real keys, real TLS on loopback, made at run time and thrown away. */
export class TestCluster {
  readonly clusterId = parseClusterId('test');
  readonly tracker = new FakeTracker();
  readonly signer: ContentSigner;
  readonly ca: SwarmCa;
  readonly info: ClusterInfo;
  readonly grantKey: Key;
  readonly #directory: string;
  readonly #peers: TestPeer[] = [];
  #attacker: Promise<NodeCredentials> | undefined;

  private constructor(o: { ca: SwarmCa; grantKey: Key; contentKey: Key; directory: string }) {
    this.ca = o.ca;
    this.grantKey = o.grantKey;
    this.signer = createContentSigner(o.contentKey.privateKey);
    this.#directory = o.directory;
    this.info = {
      clusterId: this.clusterId,
      trustAnchors: o.ca.certificatePem,
      grantKeys: [o.grantKey.jwk],
      contentKeys: [o.contentKey.jwk],
    };
  }

  /** A cluster that ends with the test. */
  static async create(t: TestContext, { clock = systemClock as Clock } = {}): Promise<TestCluster> {
    const cluster = new TestCluster({
      ca: await SwarmCa.create({ clusterId: parseClusterId('test'), clock }),
      grantKey: await newKey(),
      contentKey: await newKey(),
      directory: await mkdtemp(join(tmpdir(), 'sealift-peer-')),
    });
    t.after(() => cluster.stop());
    return cluster;
  }

  blob(pieceCount: number, { pieceLength = 64 * 1024, seed = 1, tail = 12_345 } = {}): TestBlob {
    const bytes = Buffer.alloc((pieceCount - 1) * pieceLength + tail);
    const random = seededRandom(seed);
    for (let offset = 0; offset + 4 <= bytes.length; offset += 4)
      bytes.writeUInt32BE(Math.floor(random() * 2 ** 32), offset);
    const digest = digestFromSha256(createHash('sha256').update(bytes).digest());
    const geometry = pieceGeometry(bytes.length, pieceLength);
    const swarmId = swarmIdOf(this.clusterId, registry, digest);
    return { bytes, digest, geometry, swarmId, request: { blob: { registry, digest }, swarmId, geometry } };
  }

  async credentials(
    nodeId: NodeId,
    role: 'node' | 'seeder' = 'node',
    { ttlMs = HOUR_MS } = {},
  ): Promise<NodeCredentials> {
    const { csrPem, privateKeyPem } = await createSigningRequest();
    const issued = await this.ca.issue({ role, id: nodeId, ttlMs }, await checkCsr(csrPem));
    const tls: TlsMaterial = {
      trustAnchors: this.ca.certificatePem,
      certificatePem: issued.certificatePem,
      privateKeyPem,
    };
    return { identity: identityOfCertificate(new X509Certificate(issued.certificatePem)), tls, cluster: this.info };
  }

  /** The credentials of a node that is enrolled and not to be trusted. */
  attacker(): Promise<NodeCredentials> {
    this.#attacker ??= this.credentials(nodeIdOf('mallory'));
    return this.#attacker;
  }

  async mint(
    blob: TestBlob,
    { identity }: Pick<NodeCredentials, 'identity'>,
    change: Partial<GrantClaims> = {},
  ): Promise<string> {
    const now = Date.now();
    const claims: GrantClaims = {
      clusterId: this.clusterId,
      nodeId: identity.id,
      swarmId: blob.swarmId,
      registry,
      repository,
      digest: blob.digest,
      use: identity.role === 'seeder' ? 'seed' : 'trade',
      authTime: now,
      expiresAt: now + HOUR_MS,
      x5tS256: identity.x5tS256,
      id: randomUUID(),
      ...change,
    };
    const { privateKey, jwk } = this.grantKey;
    return await mintGrant(claims, { privateKey, kid: jwk.kid, clock: systemClock });
  }

  /** A running peer. */
  async peer(
    name: string,
    {
      role = 'node' as 'node' | 'seeder',
      limits = {} as Partial<PeerLimits>,
      log = silentLogger as Logger,
      seed = 1,
      quotaBytes = 2 ** 30,
      ttlMs = HOUR_MS,
      zone = undefined as string | undefined,
      rates = {} as { uploadBytesPerSecond?: number; downloadBytesPerSecond?: number },
      tokenCheck = undefined as TokenCheck | undefined,
      clock = systemClock as Clock,
    } = {},
  ): Promise<TestPeer> {
    const nodeId = nodeIdOf(name);
    const identity = new FakeIdentity(await this.credentials(nodeId, role, { ttlMs }));
    const grants = new FakeGrants();
    const granted = new Set<TestBlob>();
    const store = new BlobStore({
      directory: join(this.#directory, name),
      quotaBytes,
      clock,
      log,
    });
    await store.start();
    const reports: NodeId[] = [];
    const engine = new PeerEngine({
      identity,
      grants,
      store,
      tokenCheck,
      announce: this.tracker.announceOf(nodeId),
      report: (_swarmId, culprit) => reports.push(culprit),
      listen: { host: '127.0.0.1', port: 0 },
      clock,
      log,
      limits: { minAnnounceMs: 50, tickMs: 25, dialBackoffMs: 50, ...limits },
      random: seededRandom(seed),
      ...(zone === undefined ? {} : { zone: parseZone(zone) }),
      ...rates,
    });
    await engine.start();
    const peer: TestPeer = {
      engine,
      store,
      nodeId,
      get credentials() {
        return identity.current();
      },
      reports,
      grant: async (blob, change) => {
        granted.add(blob);
        return grants.put(blob.swarmId, await this.mint(blob, identity.current(), change));
      },
      renew: async () => {
        identity.replace(await this.credentials(nodeId, role, { ttlMs }));
        for (const blob of granted) await peer.grant(blob);
      },
      revoke: (blob) => grants.remove(blob.swarmId),
      adopt: (credentials) => identity.replace(credentials),
      stop: async () => {
        await engine.stop();
        await store.stop();
      },
    };
    this.#peers.push(peer);
    return peer;
  }

  /** A running seeder that holds all of `blob`, signed as complete. */
  async seeder(
    blob: TestBlob,
    { name = 'seeder', ...options }: { name?: string } & Parameters<TestCluster['peer']>[1] = {},
  ): Promise<TestPeer> {
    const seeder = await this.peer(name, { ...options, role: 'seeder' });
    await seeder.grant(blob);
    const ingest = await seeder.engine.ingest({ ...blob.request, signer: this.signer });
    for (let index = 0; index < blob.geometry.pieceCount; index += 1)
      await ingest.addPiece(index, pieceOf(blob, index));
    await ingest.complete();
    return seeder;
  }

  /** The final signed hash list of the blob. */
  batches(blob: TestBlob, startedAt = Date.now()): Buffer[] {
    const { pieceCount, size, pieceLength } = blob.geometry;
    const hashes: Buffer[] = [];
    for (let index = 0; index < pieceCount; index += 1) hashes.push(hashOf(blob, index));
    const { swarmId, digest } = blob;
    const batch = {
      swarmId,
      digest,
      size,
      pieceLength,
      startedAt,
      firstIndex: 0,
      isComplete: true,
      isWithdrawn: false,
    };
    return [signHashBatch({ ...batch, hashes: Buffer.concat(hashes) }, this.signer)];
  }

  /** Where the store of a peer lies. */
  directoryOf(name: string): string {
    return join(this.#directory, name);
  }

  async stop(): Promise<void> {
    await Promise.all(this.#peers.map((peer) => peer.stop()));
    await rm(this.#directory, { recursive: true, force: true });
  }
}

/** Piece `index` of the blob, in a buffer of one piece length. */
export function pieceOf({ bytes, geometry }: TestBlob, index: number): ArrayBuffer {
  const buffer = new ArrayBuffer(geometry.pieceLength);
  const start = index * geometry.pieceLength;
  new Uint8Array(buffer).set(bytes.subarray(start, start + geometry.pieceLength));
  return buffer;
}

/** SHA-256 of piece `index`. */
export function hashOf({ bytes, geometry }: TestBlob, index: number): Buffer {
  const start = index * geometry.pieceLength;
  return createHash('sha256')
    .update(bytes.subarray(start, start + geometry.pieceLength))
    .digest();
}

class FakeIdentity implements IdentitySource {
  readonly #listeners = new Set<() => void>();
  #credentials: NodeCredentials;

  constructor(credentials: NodeCredentials) {
    this.#credentials = credentials;
  }

  current(): NodeCredentials {
    return this.#credentials;
  }

  onChange(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  replace(credentials: NodeCredentials): void {
    this.#credentials = credentials;
    for (const listener of this.#listeners) listener();
  }
}

class FakeGrants implements GrantSource {
  readonly #grants = new Map<SwarmId, string>();
  readonly #listeners = new Set<(swarmId: SwarmId) => void>();

  grantFor(swarmId: SwarmId): string | undefined {
    return this.#grants.get(swarmId);
  }

  onChange(listener: (swarmId: SwarmId) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  put(swarmId: SwarmId, grant: string): string {
    this.#grants.set(swarmId, grant);
    for (const listener of this.#listeners) listener(swarmId);
    return grant;
  }

  dropRevoked(isRevoked: (right: ProvenRight) => boolean): void {
    for (const [swarmId, grant] of [...this.#grants]) {
      const right = claimsOfOwn(grant)?.right;
      if (right !== undefined && isRevoked(right)) this.remove(swarmId);
    }
  }

  remove(swarmId: SwarmId): void {
    this.#grants.delete(swarmId);
    for (const listener of this.#listeners) listener(swarmId);
  }
}

async function newKey(): Promise<Key> {
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const { x, y } = publicKey.export({ format: 'jwk' });
  const jwk = { kty: 'EC', crv: 'P-256', x: x as string, y: y as string } as const;
  return { privateKey, jwk: { ...jwk, kid: await calculateJwkThumbprint(jwk) } };
}
