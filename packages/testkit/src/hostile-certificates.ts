import { createPrivateKey, KeyObject, randomBytes, type webcrypto } from 'node:crypto';
import type { NodeId } from '@sealift/core';
import { formatIdentityUri, type Role, SwarmCa, type TlsMaterial, x509 } from '@sealift/pki';
import { nodeIdOf } from './node-id-of.ts';

/** Each is a certificate that differs from a valid one in one point only, so it can be refused for one reason only. */
export const HOSTILE_KINDS = [
  'expired',
  'not-yet-valid',
  /** Of a CA with the same subject and cluster but another key. */
  'other-ca',
  /** Names our CA and its key as issuer, but is signed with another key. */
  'forged',
  /** Signed by our CA, with a URI of another cluster: what the CA's name constraint is for. */
  'other-cluster',
  /** Good for signing code only. */
  'wrong-eku',
  /** Good for anything, which TLS allows and we do not. */
  'no-eku',
  /** Good for one end of a connection only. */
  'client-only',
  'server-only',
  /** An identity URI with a role that does not exist. */
  'wrong-san',
  'no-uri',
  'two-uris',
  'dns-only',
  /** A leaf that may sign. */
  'is-ca',
] as const;

/** A kind of certificate that {@link HostileCertificates} makes. */
export type CertificateKind = 'valid' | (typeof HOSTILE_KINDS)[number];

const ALGORITHM = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' } as const;
const HOUR_MS = 3_600_000;

interface Draft {
  notBefore: number;
  notAfter: number;
  extendedKeyUsages: readonly string[];
  names: x509.JsonGeneralNames;
  isCa: boolean;
}

/**
 * The hostile cast of TLS tests: certificates of a swarm CA that it would never issue, each with its key, ready for the TLS
 * options of `pki`. Their dates are real ones, since TLS has no other clock.
 */
export class HostileCertificates {
  readonly #ca: SwarmCa;

  /** `ca` is the CA that the other side trusts; it signs all kinds but `other-ca` and `forged`. */
  constructor({ ca }: { ca: SwarmCa }) {
    this.#ca = ca;
  }

  /** A certificate of that kind with its key; `trustAnchors` is always the right CA's. */
  async material(
    kind: CertificateKind,
    { role = 'node', id = nodeIdOf('mallory') }: { role?: Role; id?: NodeId } = {},
  ): Promise<TlsMaterial> {
    const stranger = await SwarmCa.create({ clusterId: this.#ca.clusterId });
    const issuer = kind === 'other-ca' ? stranger : this.#ca;
    const signer = kind === 'other-ca' || kind === 'forged' ? stranger : this.#ca;
    const keys = (await crypto.subtle.generateKey(ALGORITHM, true, ['sign', 'verify'])) as webcrypto.CryptoKeyPair;
    const certificate = await sign({ issuer, signer, publicKey: keys.publicKey, draft: this.#draft(kind, role, id) });
    return {
      trustAnchors: this.#ca.certificatePem,
      certificatePem: `${certificate.toString('pem')}\n`,
      privateKeyPem: KeyObject.from(keys.privateKey).export({ type: 'pkcs8', format: 'pem' }) as string,
    };
  }

  #draft(kind: CertificateKind, role: Role, id: NodeId): Draft {
    const now = Date.now();
    const { serverAuth, clientAuth, codeSigning } = x509.ExtendedKeyUsage;
    const { clusterId } = this.#ca;
    const uri = (value: string) => ({ type: 'url' as const, value });
    const valid: Draft = {
      notBefore: now - 60_000,
      notAfter: now + HOUR_MS,
      extendedKeyUsages: role === 'tracker' ? [serverAuth] : [serverAuth, clientAuth],
      names: [uri(formatIdentityUri({ clusterId, role, id }))],
      isCa: false,
    };
    const changes: Record<CertificateKind, Partial<Draft>> = {
      valid: {},
      expired: { notBefore: now - 2 * HOUR_MS, notAfter: now - HOUR_MS },
      'not-yet-valid': { notBefore: now + HOUR_MS, notAfter: now + 2 * HOUR_MS },
      'other-ca': {},
      forged: {},
      'other-cluster': { names: [uri(`spiffe://not-${clusterId}/${role}/${id}`)] },
      'wrong-eku': { extendedKeyUsages: [codeSigning] },
      'no-eku': { extendedKeyUsages: [] },
      'client-only': { extendedKeyUsages: [clientAuth] },
      'server-only': { extendedKeyUsages: [serverAuth] },
      'wrong-san': { names: [uri(`spiffe://${clusterId}/admin/${id}`)] },
      'no-uri': { names: [] },
      'two-uris': { names: ['mallory', 'alice'].map((name) => uri(`spiffe://${clusterId}/${role}/${name}`)) },
      'dns-only': { names: [{ type: 'dns', value: 'localhost' }] },
      'is-ca': { isCa: true },
    };
    return { ...valid, ...changes[kind] };
  }
}

async function sign(o: {
  issuer: SwarmCa;
  signer: SwarmCa;
  publicKey: webcrypto.CryptoKey;
  draft: Draft;
}): Promise<x509.X509Certificate> {
  const { publicKey, draft } = o;
  const caCertificate = new x509.X509Certificate(o.issuer.certificatePem);
  const caKey = createPrivateKey(await o.signer.exportPrivateKey()).export({ type: 'pkcs8', format: 'der' });
  const { extendedKeyUsages, names } = draft;
  return await x509.X509CertificateGenerator.create({
    serialNumber: `40${randomBytes(15).toString('hex')}`,
    subject: [{ CN: ['mallory'] }],
    issuer: caCertificate.subjectName,
    publicKey,
    signingKey: await crypto.subtle.importKey('pkcs8', caKey, ALGORITHM, false, ['sign']),
    signingAlgorithm: ALGORITHM,
    notBefore: new Date(draft.notBefore),
    notAfter: new Date(draft.notAfter),
    extensions: [
      new x509.BasicConstraintsExtension(draft.isCa, undefined, true),
      new x509.KeyUsagesExtension(
        x509.KeyUsageFlags.digitalSignature | (draft.isCa ? x509.KeyUsageFlags.keyCertSign : 0),
        true,
      ),
      ...(extendedKeyUsages.length === 0 ? [] : [new x509.ExtendedKeyUsageExtension([...extendedKeyUsages], true)]),
      ...(names.length === 0 ? [] : [new x509.SubjectAlternativeNameExtension(names)]),
      await x509.AuthorityKeyIdentifierExtension.create(caCertificate),
    ],
  });
}
