import { parseClusterId, parseNodeId } from '@sealift/core';
import { checkCsr, createSigningRequest, SwarmCa } from '@sealift/pki';

/** A throw-away CA and a client certificate of it, all in PEM. */
export interface TestClientCertificate {
  readonly caPem: string;
  readonly certificatePem: string;
  readonly privateKeyPem: string;
}

/** Makes a {@link TestClientCertificate} with keys of its own. */
export async function createClientCertificate(): Promise<TestClientCertificate> {
  const ca = await SwarmCa.create({ clusterId: parseClusterId('clients') });
  const { privateKeyPem, csrPem } = await createSigningRequest();
  const profile = { role: 'node', id: parseNodeId('client'), ttlMs: 3_600_000 } as const;
  const { certificatePem } = await ca.issue(profile, await checkCsr(csrPem));
  return { caPem: ca.certificatePem, certificatePem, privateKeyPem };
}
