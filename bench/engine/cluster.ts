import { generateKeyPairSync, type KeyObject, randomUUID, X509Certificate } from 'node:crypto';
import {
  type ClusterId,
  type Digest,
  type NodeId,
  parseClusterId,
  parseNodeId,
  parseRegistryHost,
  parseRepository,
  type SwarmId,
  swarmIdOf,
  systemClock,
} from '@sealift/core';
import {
  checkCsr,
  createSigningRequest,
  identityOfCertificate,
  type Role,
  SwarmCa,
  type TlsMaterial,
} from '@sealift/pki';
import { type ClusterInfo, type GrantUse, mintGrant, type PublicJwk } from '@sealift/tracker-api';

/** Longer than any benchmark, in ms. */
const TTL_MS = 6 * 3_600_000;

export const REGISTRY = parseRegistryHost('registry.bench');
const REPOSITORY = parseRepository('bench/image');
const KEY_ID = 'bench';

/** A member of the cluster with its certificate. Plain data, so that it can be handed to another process. */
export interface BenchMember {
  readonly nodeId: NodeId;
  readonly tls: TlsMaterial;
}

/** A CA, its keys and its members, made for one benchmark. It stands in for a tracker, which moves no piece. */
export class BenchCluster {
  readonly clusterId: ClusterId;
  readonly info: ClusterInfo;
  readonly seeder: BenchMember;
  readonly leecher: BenchMember;
  /** Signs piece hashes, in PEM. */
  readonly contentKeyPem: string;
  readonly #ca: SwarmCa;
  readonly #grantKey: KeyObject;

  private constructor(parts: {
    clusterId: ClusterId;
    ca: SwarmCa;
    info: ClusterInfo;
    seeder: BenchMember;
    leecher: BenchMember;
    contentKeyPem: string;
    grantKey: KeyObject;
  }) {
    this.clusterId = parts.clusterId;
    this.info = parts.info;
    this.seeder = parts.seeder;
    this.leecher = parts.leecher;
    this.contentKeyPem = parts.contentKeyPem;
    this.#ca = parts.ca;
    this.#grantKey = parts.grantKey;
  }

  static async create(): Promise<BenchCluster> {
    const clusterId = parseClusterId('bench');
    const ca = await SwarmCa.create({ clusterId });
    const [grantKey, contentKey] = [newKey(), newKey()];
    return new BenchCluster({
      clusterId,
      ca,
      info: {
        clusterId,
        trustAnchors: ca.certificatePem,
        grantKeys: [grantKey.publicJwk],
        contentKeys: [contentKey.publicJwk],
      },
      seeder: await memberOf(ca, 'seeder', 'seeder-bench'),
      leecher: await memberOf(ca, 'node', 'node-bench'),
      contentKeyPem: contentKey.privateKey.export({ type: 'pkcs8', format: 'pem' }).toString(),
      grantKey: grantKey.privateKey,
    });
  }

  /** One more member, a node of this name. */
  async node(name: string): Promise<BenchMember> {
    return await memberOf(this.#ca, 'node', name);
  }

  swarmId(digest: Digest): SwarmId {
    return swarmIdOf(this.clusterId, REGISTRY, digest);
  }

  /** A grant of `member` for a blob, bound to its certificate. */
  async grant({ tls }: BenchMember, digest: Digest, use: GrantUse): Promise<string> {
    const { id, x5tS256, notAfter } = identityOfCertificate(new X509Certificate(tls.certificatePem));
    const now = systemClock.now();
    return await mintGrant(
      {
        clusterId: this.clusterId,
        nodeId: id,
        swarmId: this.swarmId(digest),
        registry: REGISTRY,
        repository: REPOSITORY,
        digest,
        use,
        authTime: now,
        expiresAt: notAfter,
        x5tS256,
        id: randomUUID(),
      },
      { privateKey: this.#grantKey, kid: KEY_ID, clock: systemClock },
    );
  }
}

async function memberOf(ca: SwarmCa, role: Role, name: string): Promise<BenchMember> {
  const nodeId = parseNodeId(name);
  const { privateKeyPem, csrPem } = await createSigningRequest();
  const { certificatePem } = await ca.issue({ role, id: nodeId, ttlMs: TTL_MS }, await checkCsr(csrPem));
  return { nodeId, tls: { trustAnchors: ca.certificatePem, certificatePem, privateKeyPem } };
}

function newKey(): { privateKey: KeyObject; publicJwk: PublicJwk } {
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const { x = '', y = '' } = publicKey.export({ format: 'jwk' });
  return { privateKey, publicJwk: { kid: KEY_ID, kty: 'EC', crv: 'P-256', x, y } };
}
