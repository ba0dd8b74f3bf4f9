import { randomBytes, randomUUID } from 'node:crypto';
import { AppError, type BlobRef, type Clock, type NodeId, parseNodeId, type SwarmId, swarmIdOf } from '@sealift/core';
import {
  type CheckedCsr,
  checkCsr,
  createSigningRequest,
  type Identity,
  type IssuedCertificate,
  type TlsMaterial,
} from '@sealift/pki';
import { type ClusterInfo, type EnrolAnswer, type GrantClaims, GrantVerifier, mintGrant } from '@sealift/tracker-api';
import type { AuditWriter } from './audit-log.ts';
import { DEFAULT_CERTIFICATE_TTL_MS, MAX_CERTIFICATE_TTL_MS, MIN_CERTIFICATE_TTL_MS } from './certificate-ttl.ts';
import { GRANT_TTL_MS, type GrantTerms, REFRESH_GRACE_MS, termsOfJoin, termsOfRefresh } from './right/grant-policy.ts';
import type { Certified, EnrolledBy } from './state/node-table.ts';
import type { TrackerState } from './state/tracker-state.ts';

/** Whom a grant is for: the certificate that it is bound to. */
export type GrantHolder = Pick<Identity, 'id' | 'x5tS256' | 'notAfter'>;

/** A signed grant and what is in it. */
export interface MintedGrant {
  readonly grant: string;
  readonly claims: GrantClaims;
}

/** The only place that signs: certificates with the swarm CA, grants with the grant key. Leaves a trace of each. */
export class Authority {
  readonly #state: TrackerState;
  readonly #certificateTtlMs: number;
  readonly #clock: Clock;
  readonly #audit: AuditWriter;
  readonly #verifier: GrantVerifier;

  /** `certificateTtlMs` is the life of the leaves of nodes and seeder, 5 seconds to 24 hours; throws `CONFIG_INVALID`. */
  constructor({
    state,
    certificateTtlMs = DEFAULT_CERTIFICATE_TTL_MS,
    clock,
    audit,
  }: {
    state: TrackerState;
    certificateTtlMs?: number;
    clock: Clock;
    audit: AuditWriter;
  }) {
    if (!(certificateTtlMs >= MIN_CERTIFICATE_TTL_MS && certificateTtlMs <= MAX_CERTIFICATE_TTL_MS)) {
      throw new AppError('CONFIG_INVALID', { reason: 'the life of a certificate is out of range', certificateTtlMs });
    }
    this.#state = state;
    this.#certificateTtlMs = certificateTtlMs;
    this.#clock = clock;
    this.#audit = audit;
    this.#verifier = new GrantVerifier({
      clusterId: state.clusterId,
      keys: [state.grantKey.publicJwk],
      clock,
    });
  }

  /** A first certificate, for a node id of our choice. What let the node in must have been checked and used up before. */
  async enrolNode(
    csr: CheckedCsr,
    {
      enrolledBy,
      tokenId,
      subject,
      name = '',
    }: {
      enrolledBy: EnrolledBy;
      tokenId?: string | undefined;
      /** The service account, for the audit log. */
      subject?: string;
      name?: string | undefined;
    },
  ): Promise<{ answer: EnrolAnswer; holder: GrantHolder }> {
    const id = parseNodeId(`node-${randomBytes(8).toString('hex')}`);
    const { issued, certified, cluster } = await this.#issueNode(id, csr);
    this.#state.nodes.add({ id, name, enrolledBy, tokenId, ...certified });
    this.#audit.record('certificate_issued', {
      nodeId: id,
      role: 'node',
      serial: issued.serial,
      notAfter: issued.notAfter,
      enrolledBy,
      tokenId,
      subject,
      name,
    });
    return {
      answer: answerOf(id, issued, cluster),
      holder: { id, x5tS256: issued.x5tS256, notAfter: issued.notAfter },
    };
  }

  /** A certificate for a new key of a node that holds a good one and is not denied. */
  async renewNode(identity: Identity, csr: CheckedCsr): Promise<EnrolAnswer> {
    const { issued, certified, cluster } = await this.#issueNode(identity.id, csr);
    this.#state.nodes.renew(identity.id, certified);
    this.#audit.record('certificate_renewed', {
      nodeId: identity.id,
      role: 'node',
      serial: issued.serial,
      notAfter: issued.notAfter,
    });
    return answerOf(identity.id, issued, cluster);
  }

  /** A certificate for the seeder in this process. No route leads here. Throws `CSR_REJECTED`. */
  async issueSeederIdentity(csrPem: string): Promise<EnrolAnswer> {
    const id = this.#state.seederId;
    const csr = await checkCsr(csrPem);
    const issued = await this.#state.ca.issue({ role: 'seeder', id, ttlMs: this.#certificateTtlMs }, csr);
    this.#audit.record('certificate_issued', {
      nodeId: id,
      role: 'seeder',
      serial: issued.serial,
      notAfter: issued.notAfter,
    });
    return answerOf(id, issued, this.#state.clusterInfo);
  }

  /** The tracker's own leaf, for the names it is reached by, and what follows it. The key is made here and stays in memory. */
  async issueTrackerLeaf(names: {
    dnsNames: readonly string[];
    ipAddresses: readonly string[];
  }): Promise<{ tls: TlsMaterial & { readonly chain: string }; notAfter: number }> {
    const { shown, newest, trustAnchors } = this.#state.cas;
    const { privateKeyPem, csrPem } = await createSigningRequest();
    const csr = await checkCsr(csrPem);
    const profile = { role: 'tracker', id: parseNodeId('tracker'), ttlMs: MAX_CERTIFICATE_TTL_MS, ...names } as const;
    const issued = await shown.issue(profile, csr);
    // No longer than the leaf lives: after a rotation for a stolen key, nobody shall be able to show it for ever.
    const voucher = shown === newest ? '' : await newest.vouchFor(shown, { ttlMs: MAX_CERTIFICATE_TTL_MS });
    const chain = shown === newest ? trustAnchors : `${shown.certificatePem}${voucher}${newest.certificatePem}`;
    this.#audit.record('certificate_issued', { role: 'tracker', serial: issued.serial, notAfter: issued.notAfter });
    const tls = { trustAnchors, chain, certificatePem: issued.certificatePem, privateKeyPem };
    return { tls, notAfter: issued.notAfter };
  }

  /** A grant for a right that the registry has proven at `authTime` (ms). */
  async grantJoin(blob: BlobRef, holder: GrantHolder, { authTime }: { authTime: number }): Promise<MintedGrant> {
    const terms = termsOfJoin({ now: this.#clock.now(), authTime, notAfter: holder.notAfter });
    const minted = await this.#mint(blob, holder, { authTime, ...terms });
    const { claims } = minted;
    this.#audit.record('grant_issued', {
      nodeId: holder.id,
      grantId: claims.id,
      swarmId: claims.swarmId,
      registry: blob.registry,
      repository: blob.repository,
      digest: blob.digest,
      use: claims.use,
      expiresAt: claims.expiresAt,
    });
    return minted;
  }

  /** A grant in place of an old one of the same node. Throws `GRANT_REJECTED`. */
  async refreshGrant(grant: string, holder: GrantHolder): Promise<MintedGrant> {
    const old = await this.#verifier.verifyForRefresh(grant, { nodeId: holder.id, expiredAtMostMs: REFRESH_GRACE_MS });
    this.#demandUnrevoked(old);
    const terms = termsOfRefresh(old, { now: this.#clock.now(), notAfter: holder.notAfter });
    // The same grant to whoever reads the audit log: its line there is that of the join.
    return await this.#mint(old, holder, { authTime: old.authTime, id: old.id, ...terms });
  }

  /** A grant that lets the seeder in this process serve a blob, and only that. No route leads here. */
  async mintSeederGrant(blob: BlobRef, holder: GrantHolder): Promise<MintedGrant> {
    const now = this.#clock.now();
    const terms: GrantTerms = { use: 'seed', expiresAt: Math.min(now + GRANT_TTL_MS, holder.notAfter) };
    // The next second, where a grant rounds down: a revocation of this very second is not about the seeder's own word.
    return await this.#mint(blob, holder, { authTime: (Math.floor(now / 1000) + 1) * 1000, ...terms });
  }

  /** The claims of a grant that `holder` shows for `swarmId`. Throws `GRANT_REJECTED`. */
  async verifyGrant(
    grant: string,
    { swarmId, holder }: { swarmId: SwarmId; holder: { id: NodeId; x5tS256: string } },
  ): Promise<GrantClaims> {
    const claims = await this.#verifier.verify(grant, { swarmId, nodeId: holder.id, x5tS256: holder.x5tS256 });
    this.#demandUnrevoked(claims);
    return claims;
  }

  #demandUnrevoked(claims: GrantClaims): void {
    if (this.#state.revocations.covers(claims))
      throw new AppError('GRANT_REJECTED', { reason: 'the right was revoked' });
  }

  async #mint(
    { registry, repository, digest }: BlobRef,
    holder: GrantHolder,
    { authTime, use, expiresAt, id = randomUUID() }: GrantTerms & { authTime: number; id?: string },
  ): Promise<MintedGrant> {
    const { clusterId, grantKey } = this.#state;
    const claims: GrantClaims = {
      clusterId,
      nodeId: holder.id,
      swarmId: swarmIdOf(clusterId, registry, digest),
      registry,
      repository,
      digest,
      use,
      authTime,
      expiresAt,
      x5tS256: holder.x5tS256,
      id,
    };
    return { grant: await mintGrant(claims, { ...grantKey, clock: this.#clock }), claims };
  }

  /** A certificate for a node, with the CAs as they were when it was signed: a rotation may go on meanwhile. */
  async #issueNode(
    id: NodeId,
    csr: CheckedCsr,
  ): Promise<{ issued: IssuedCertificate; certified: Certified; cluster: ClusterInfo }> {
    const { ca, cas, clusterInfo } = this.#state;
    const trustVersion = cas.version;
    const issued = await ca.issue({ role: 'node', id, ttlMs: this.#certificateTtlMs }, csr);
    return {
      issued,
      certified: { certificateEnds: issued.notAfter, issuer: ca.fingerprint, trustVersion },
      cluster: clusterInfo,
    };
  }
}

function answerOf(nodeId: NodeId, { certificatePem, notAfter }: IssuedCertificate, cluster: ClusterInfo): EnrolAnswer {
  return { nodeId, certificate: certificatePem, notAfter, cluster };
}
