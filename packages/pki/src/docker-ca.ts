import { createPublicKey, randomBytes } from 'node:crypto';
import { isIP } from 'node:net';
import { AppError, type Clock, systemClock } from '@sealift/core';
import { readSigningCa } from './ca-certificate.ts';
import { certificatePem, fingerprintOf, type Issuer, selfSignCa, signLeaf, validityFrom } from './certificate.ts';
import {
  exportPrivateKeyPem,
  importSigningKey,
  type KeyType,
  keyTypeOf,
  newKeyPair,
  SIGNING_ALGORITHM,
} from './keys.ts';
import { DNS_NAME } from './profile.ts';
import { x509 } from './x509.ts';

/** Longest common name, in characters (X.520, ub-common-name). */
const MAX_COMMON_NAME_LENGTH = 64;
/** What we let stand in the common name of a client, which authorization plugins of Docker take for a user's name. */
const CLIENT_NAME = /^[A-Za-z0-9][A-Za-z0-9 ._@-]{0,63}$/;
/** Longest life of a certificate, in ms: a century, so that no date is beyond the year 9999. */
const MAX_TTL_MS = 100 * 365 * 86_400_000;

/** Whom a certificate of a {@link DockerCa} is for: a daemon with the names it is dialled by, or one who may command it. */
export type DockerSubject =
  | { readonly role: 'server'; readonly dnsNames: readonly string[]; readonly ipAddresses: readonly string[] }
  | { readonly role: 'client'; readonly name: string };

/**
 * The CA by which Docker daemons and those who may command them know each other (`dockerd --tlsverify`). Whoever holds a
 * client certificate of it is root on every daemon that trusts it, so it shares nothing with the swarm CA. It issues leaves for
 * one use each: a server's certificate opens no daemon. Does no I/O.
 */
export class DockerCa {
  readonly certificatePem: string;
  /** `sha256:<hex>` of the DER. */
  readonly fingerprint: string;
  readonly #issuer: Issuer;
  readonly #clock: Clock;

  private constructor(issuer: Issuer, clock: Clock) {
    this.certificatePem = certificatePem(issuer.certificate);
    this.fingerprint = fingerprintOf(issuer.certificate.rawData);
    this.#issuer = issuer;
    this.#clock = clock;
  }

  /** A new CA, good for `ttlMs` from now. Throws `CERTIFICATE_REJECTED` for a life that is none. */
  static async create({
    keyType,
    ttlMs,
    clock = systemClock,
  }: {
    keyType: KeyType;
    ttlMs: number;
    clock?: Clock;
  }): Promise<DockerCa> {
    checkTtl(ttlMs);
    const keys = await newKeyPair({ isExtractable: true, keyType });
    const certificate = await selfSignCa({
      keys,
      // Two CAs with one name could not be told apart while one takes the other's place.
      commonName: `Sealift Docker CA ${randomBytes(4).toString('hex')}`,
      validity: validityFrom(clock.now(), ttlMs),
      extensions: [],
    });
    return new DockerCa({ certificate, privateKey: keys.privateKey }, clock);
  }

  /** A CA from its certificate and its key in plain PKCS #8. Throws `CERTIFICATE_REJECTED` if they do not belong together. */
  static async load({
    certificatePem: pem,
    privateKeyPem,
    clock = systemClock,
  }: {
    certificatePem: string;
    privateKeyPem: string;
    clock?: Clock;
  }): Promise<DockerCa> {
    const certificate = readSigningCa({ certificatePem: pem, privateKeyPem }, clock.now());
    const keyType = keyTypeOf(certificate.publicKey) ?? refuse('the CA key is neither P-256 nor RSA-4096');
    const privateKey = await importSigningKey(privateKeyPem, keyType);
    return new DockerCa({ certificate: new x509.X509Certificate(certificate.raw), privateKey }, clock);
  }

  /** PKCS #8 PEM of the CA's key. The caller encrypts it before it touches a disk. */
  exportPrivateKey(): string {
    return exportPrivateKeyPem(this.#issuer.privateKey);
  }

  /**
   * A certificate in PEM for `subject` and the key of `publicKeyPem` (or of a private key), good for `ttlMs`, never longer than
   * the CA. Throws `CERTIFICATE_REJECTED` for names that must not be signed, another kind of key and an expired CA.
   */
  async issue(
    subject: DockerSubject,
    { publicKeyPem, ttlMs }: { publicKeyPem: string; ttlMs: number },
  ): Promise<string> {
    checkTtl(ttlMs);
    const now = this.#clock.now();
    if (this.#issuer.certificate.notAfter.getTime() <= now) refuse('the CA has expired');
    const key = createPublicKey(publicKeyPem);
    const keyType = keyTypeOf(key) ?? refuse('its key is neither P-256 nor RSA with 4096 bits');
    const { serverAuth, clientAuth } = x509.ExtendedKeyUsage;
    const leaf = await signLeaf({
      issuer: this.#issuer,
      publicKey: await key.toCryptoKey(SIGNING_ALGORITHM[keyType], true, ['verify']),
      commonName: commonNameOf(subject),
      validity: validityFrom(now, ttlMs, this.#issuer.certificate),
      extendedKeyUsages: [subject.role === 'server' ? serverAuth : clientAuth],
      names: namesOf(subject),
    });
    return certificatePem(leaf);
  }
}

/** A new key for a {@link DockerCa} to certify, as PKCS #8 PEM. Touches no disk. */
export async function createDockerKey(keyType: KeyType): Promise<string> {
  return exportPrivateKeyPem((await newKeyPair({ isExtractable: true, keyType })).privateKey);
}

function commonNameOf(subject: DockerSubject): string {
  if (subject.role === 'client') {
    if (!CLIENT_NAME.test(subject.name)) refuse('the name of a client is not well-formed');
    return subject.name;
  }
  // For people alone: clients look at the SANs, and a name that is too long has its place there.
  const [first = ''] = [...subject.dnsNames, ...subject.ipAddresses];
  return first.length > MAX_COMMON_NAME_LENGTH ? 'dockerd' : first;
}

function namesOf(subject: DockerSubject): x509.JsonGeneralNames {
  if (subject.role === 'client') return [];
  const { dnsNames, ipAddresses } = subject;
  if (dnsNames.length + ipAddresses.length === 0) refuse('a server needs a name or an address');
  if (!dnsNames.every((name) => DNS_NAME.test(name))) refuse('a DNS name is not well-formed');
  if (!ipAddresses.every((address) => isIP(address) !== 0)) refuse('an IP address is not well-formed');
  return [
    ...dnsNames.map((value) => ({ type: 'dns' as const, value })),
    ...ipAddresses.map((value) => ({ type: 'ip' as const, value })),
  ];
}

function checkTtl(ttlMs: number): void {
  if (!Number.isSafeInteger(ttlMs) || ttlMs <= 0 || ttlMs > MAX_TTL_MS)
    refuse('its life is not between 1 ms and 100 years');
}

function refuse(reason: string): never {
  throw new AppError('CERTIFICATE_REJECTED', { reason });
}
