import type { webcrypto } from 'node:crypto';
import { isIP, isIPv6, SocketAddress } from 'node:net';
import { createSecureContext, type SecureContext } from 'node:tls';
import { AppError, type Clock, type RegistryHost, registryEndpoint, systemClock } from '@sealift/core';
import { certificatePem, type Issuer, selfSignCa, signLeaf, type Validity, validityFrom } from './certificate.ts';
import { exportPrivateKeyPem, newKeyPair } from './keys.ts';
import { type Leaf, LeafCache } from './leaf-cache.ts';
import { hostNameConstraints } from './name-constraints.ts';
import { x509 } from './x509.ts';

/**
 * Life of an intercept CA: no well-defined end (RFC 5280 §4.1.2.5), for its key dies with the process, and no beginning that
 * matters. A machine may come up with a clock that is years off and be set right while the process runs.
 */
const CA_VALIDITY: Validity = { notBefore: Date.UTC(2000, 0, 1), notAfter: Date.UTC(9999, 11, 31, 23, 59, 59) };
/** Life of an intercept leaf, in ms: a week. */
const LEAF_TTL_MS = 7 * 86_400_000;
/** When a leaf is replaced, in ms after it was made: no connection outlives the remaining days. */
const LEAF_RENEW_AFTER_MS = LEAF_TTL_MS / 2;

/**
 * The CA by which a node answers its own runtime in the name of the configured registries. Its key is in memory only; its
 * certificate is held to those registries by critical name constraints, so that a leaked key opens nothing else.
 */
export class InterceptCa {
  readonly certificatePem: string;
  readonly #leaves: LeafCache<SecureContext>;

  private constructor(issuer: Issuer, hosts: ReadonlySet<string>, clock: Clock) {
    this.certificatePem = certificatePem(issuer.certificate);
    this.#leaves = new LeafCache({ hosts, clock, mint: (host) => mintLeaf(issuer, host, clock.now()) });
  }

  /** A new CA for these registries, with a subject that says whose it is. Throws `CONFIG_INVALID` if there are none. */
  static async create({
    registries,
    nodeName,
    clock = systemClock,
  }: {
    registries: readonly RegistryHost[];
    nodeName: string;
    clock?: Clock;
  }): Promise<InterceptCa> {
    // Nobody but us ever needs to sign with it.
    const keys = await newKeyPair({ isExtractable: false });
    const hosts = new Set(registries.map((registry) => canonicalHost(registryEndpoint(registry).hostname)));
    const certificate = await signInterceptCa({ keys, hosts: [...hosts], nodeName });
    return new InterceptCa({ certificate, privateKey: keys.privateKey }, hosts, clock);
  }

  /**
   * The TLS context that shows a leaf for `hostname` (a DNS name or an address, without port). Cached, and renewed before
   * the leaf ends. Throws `CERTIFICATE_REJECTED` for a host that is not a configured registry's.
   */
  async secureContextFor(hostname: string): Promise<SecureContext> {
    const context = await this.#leaves.get(canonicalHost(hostname));
    if (context === undefined) {
      throw new AppError('CERTIFICATE_REJECTED', { reason: 'the host is not one of a configured registry' });
    }
    return context;
  }
}

/** The certificate of an intercept CA for `hosts`. Exported for tests that try to sign beyond its limits. */
export async function signInterceptCa({
  keys,
  hosts,
  nodeName,
}: {
  keys: webcrypto.CryptoKeyPair;
  hosts: readonly string[];
  nodeName: string;
}): Promise<x509.X509Certificate> {
  if (hosts.length === 0) throw new AppError('CONFIG_INVALID', { reason: 'no registry to intercept' });
  return await selfSignCa({
    keys,
    // X.520 ends a common name at 64 characters; some verifiers refuse longer ones.
    commonName: `Sealift intercept CA ${nodeName}`.slice(0, 64),
    validity: CA_VALIDITY,
    extensions: [hostNameConstraints(hosts)],
  });
}

async function mintLeaf(issuer: Issuer, host: string, now: number): Promise<Leaf<SecureContext>> {
  const keys = await newKeyPair({ isExtractable: true });
  const validity = validityFrom(now, LEAF_TTL_MS, issuer.certificate);
  const leaf = await signLeaf({
    issuer,
    publicKey: keys.publicKey,
    // Not the host: a name of 64 characters or more would not fit, and nobody reads it beside a SAN.
    commonName: 'Sealift intercepted registry',
    validity,
    extendedKeyUsages: [x509.ExtendedKeyUsage.serverAuth],
    names: [{ type: isIP(host) === 0 ? 'dns' : 'ip', value: host }],
  });
  const context = createSecureContext({
    // The leaf alone: the runtime has the CA as a trust anchor.
    cert: certificatePem(leaf),
    key: exportPrivateKeyPem(keys.privateKey),
    minVersion: 'TLSv1.2',
  });
  return { value: context, notBefore: validity.notBefore, renewAt: now + LEAF_RENEW_AFTER_MS };
}

// One spelling for each host: names in lower case, IPv6 without brackets and in the shortest form.
function canonicalHost(hostname: string): string {
  const host = hostname.toLowerCase().replace(/^\[|\]$/g, '');
  return isIPv6(host) ? new SocketAddress({ address: host, family: 'ipv6' }).address : host;
}
