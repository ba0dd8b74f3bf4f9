import { parseClusterId, parseNodeId } from '@sealift/core';
import { checkCsr, createSigningRequest, SwarmCa } from '@sealift/pki';

/** A throw-away CA and a server certificate of it, for loopback unless other names are asked for, all in PEM. */
export interface LoopbackCertificate {
  readonly caPem: string;
  readonly certificatePem: string;
  readonly privateKeyPem: string;
}

/** The names that a certificate is made for. */
export interface CertifiedNames {
  readonly dnsNames: readonly string[];
  readonly ipAddresses: readonly string[];
}

const LOOPBACK: CertifiedNames = { dnsNames: ['localhost'], ipAddresses: ['127.0.0.1'] };

/**
 * Makes a {@link LoopbackCertificate} with keys of its own, which counts for an hour from `issuedAt` on, in ms since the
 * epoch. Nothing else trusts it.
 */
export async function createLoopbackCertificate(
  names: CertifiedNames = LOOPBACK,
  { issuedAt = Date.now() } = {},
): Promise<LoopbackCertificate> {
  const ca = await SwarmCa.create({ clusterId: parseClusterId('fake-registry'), clock: { now: () => issuedAt } });
  const { privateKeyPem, csrPem } = await createSigningRequest();
  const { certificatePem } = await ca.issue(
    {
      // The one role that may carry host names.
      role: 'tracker',
      id: parseNodeId('fake-registry'),
      ttlMs: 3_600_000,
      ...names,
    },
    await checkCsr(csrPem),
  );
  return { caPem: ca.certificatePem, certificatePem, privateKeyPem };
}
