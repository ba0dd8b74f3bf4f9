import { KeyObject, type webcrypto, X509Certificate } from 'node:crypto';
import { AppError, type Clock, type ClusterId, systemClock } from '@sealift/core';
import { readSigningCa } from './ca-certificate.ts';
import {
  certificatePem,
  fingerprintOf,
  type Issuer,
  selfSignCa,
  signCa,
  thumbprintOf,
  validityFrom,
} from './certificate.ts';
import type { CheckedCsr } from './csr-policy.ts';
import { exportPrivateKeyPem, importSigningKey, KEY_ALGORITHM, newKeyPair } from './keys.ts';
import { type LeafIssuer, leafIssuerOf, pemOfDer, signLeafFast } from './leaf.ts';
import { clusterNameConstraints } from './name-constraints.ts';
import { type CertificateProfile, commonNameOf, extendedKeyUsagesOf, namesOf } from './profile.ts';
import { formatClusterUri, parseClusterUri } from './spiffe.ts';
import { soleUriName } from './subject-names.ts';
import { x509 } from './x509.ts';

/** Life of a swarm CA, in ms: ten years. It is replaced by rotation, not by running out. */
const CA_TTL_MS = 10 * 365 * 86_400_000;

/** A leaf of the swarm CA. Times in ms since the epoch. */
export interface IssuedCertificate {
  readonly certificatePem: string;
  /** Hex. */
  readonly serial: string;
  /** base64url SHA-256 of the DER, as in a grant's `cnf` (RFC 8705 §3.1). */
  readonly x5tS256: string;
  readonly notBefore: number;
  readonly notAfter: number;
}

/** The CA of one cluster. It issues leaves for nodes, seeders and trackers of that cluster, and nothing else. */
export class SwarmCa {
  readonly clusterId: ClusterId;
  readonly certificatePem: string;
  /** `sha256:<hex>` of the DER: what a join token carries. */
  readonly fingerprint: string;
  /** Its subject as text, which is the `issuer` of its leaves' identities. Differs between the CAs of one cluster. */
  readonly name: string;
  readonly #issuer: Issuer;
  readonly #leafIssuer: LeafIssuer;
  readonly #clock: Clock;

  private constructor(clusterId: ClusterId, issuer: Issuer, leafIssuer: LeafIssuer, clock: Clock) {
    this.clusterId = clusterId;
    this.certificatePem = certificatePem(issuer.certificate);
    this.fingerprint = fingerprintOf(issuer.certificate.rawData);
    this.name = new X509Certificate(this.certificatePem).subject;
    this.#issuer = issuer;
    this.#leafIssuer = leafIssuer;
    this.#clock = clock;
  }

  static async #of(clusterId: ClusterId, issuer: Issuer, clock: Clock): Promise<SwarmCa> {
    const leafIssuer = await leafIssuerOf(issuer.certificate, KeyObject.from(issuer.privateKey));
    return new SwarmCa(clusterId, issuer, leafIssuer, clock);
  }

  /**
   * A new CA with a new key, held to URIs of this cluster by a name constraint. `generation` tells the CAs of one cluster
   * apart: two of one name would be tried for each other's leaves.
   */
  static async create({
    clusterId,
    generation = 1,
    clock = systemClock,
  }: {
    clusterId: ClusterId;
    generation?: number;
    clock?: Clock;
  }): Promise<SwarmCa> {
    const keys = await newKeyPair({ isExtractable: true });
    const certificate = await selfSignCa({
      keys,
      commonName: `Sealift swarm CA ${clusterId}${generation === 1 ? '' : ` ${generation}`}`,
      validity: validityFrom(clock.now(), CA_TTL_MS),
      extensions: [
        new x509.SubjectAlternativeNameExtension([{ type: 'url', value: formatClusterUri(clusterId) }]),
        clusterNameConstraints(clusterId),
      ],
    });
    return await SwarmCa.#of(clusterId, { certificate, privateKey: keys.privateKey }, clock);
  }

  /** The CA that {@link create} made. Throws `CERTIFICATE_REJECTED` if certificate and key are not one whole, live CA. */
  static async load({
    certificatePem: pem,
    privateKeyPem,
    clock = systemClock,
  }: {
    certificatePem: string;
    privateKeyPem: string;
    clock?: Clock;
  }): Promise<SwarmCa> {
    const certificate = readSigningCa({ certificatePem: pem, privateKeyPem }, clock.now());
    const clusterId = parseClusterUri(soleUriName(certificate) ?? '') ?? refuse('it names no cluster');
    const privateKey = await importKey(privateKeyPem);
    return await SwarmCa.#of(clusterId, { certificate: new x509.X509Certificate(certificate.raw), privateKey }, clock);
  }

  /**
   * A certificate of this CA for the key of `other`, in PEM, good for `ttlMs`: during a rotation it tells who knows only
   * this CA that the other one counts too. For `fetchTrustAnchor` alone: to TLS it proves nothing, since our CAs may sign
   * leaves only.
   */
  async vouchFor(other: SwarmCa, { ttlMs }: { ttlMs: number }): Promise<string> {
    const { certificate } = other.#issuer;
    const crossed = await signCa({
      issuer: this.#issuer,
      subject: certificate.subjectName,
      publicKey: await certificate.publicKey.export(KEY_ALGORITHM, ['verify']),
      validity: validityFrom(this.#clock.now(), ttlMs, this.#issuer.certificate),
    });
    return certificatePem(crossed);
  }

  /** PKCS #8 PEM of the CA's key. The caller keeps it 0600. */
  async exportPrivateKey(): Promise<string> {
    return exportPrivateKeyPem(this.#issuer.privateKey);
  }

  /**
   * Certifies the key of `csr`, once, as `profile` says. Starts six minutes ago and never outlives the CA. Throws
   * `CERTIFICATE_REJECTED` for a profile that must not be signed or an expired CA, `CSR_REJECTED` for a used `csr`.
   */
  async issue(profile: CertificateProfile, csr: CheckedCsr): Promise<IssuedCertificate> {
    const now = this.#clock.now();
    const names = namesOf(this.clusterId, profile);
    const validity = validityFrom(now, profile.ttlMs, this.#issuer.certificate);
    if (this.#issuer.certificate.notAfter.getTime() <= now) refuse('the CA has expired');
    const publicKey = KeyObject.from(csr.takePublicKey());
    const { der, serial } = signLeafFast(this.#leafIssuer, {
      publicKey,
      commonName: commonNameOf(profile),
      validity,
      extendedKeyUsages: extendedKeyUsagesOf(profile.role),
      names,
    });
    return { certificatePem: pemOfDer(der), serial, x5tS256: thumbprintOf(der), ...validity };
  }
}

async function importKey(pem: string): Promise<webcrypto.CryptoKey> {
  try {
    return await importSigningKey(pem);
  } catch (cause) {
    return refuse('the CA key is not a P-256 key', cause);
  }
}

function refuse(reason: string, cause?: unknown): never {
  throw new AppError('CERTIFICATE_REJECTED', { reason }, { cause });
}
