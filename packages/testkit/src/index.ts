/** Fixtures and fakes for tests only: keys and certificates made at run time, a clock that obeys, a hostile cast. */
export { buildCsr, type CsrChange } from './build-csr.ts';
export { createClientCertificate, type TestClientCertificate } from './client-certificate.ts';
export { FakeClock } from './fake-clock.ts';
export type { FakeFault, FakeFaultRule } from './fake-faults.ts';
export { type FakeBlobCounts, FakeRegistry, type FakeRegistryOptions, type FakeRequest } from './fake-registry.ts';
export type { FakeTokenOffice, FakeTokenRequest } from './fake-token-office.ts';
export type { HeldBody } from './held-body.ts';
export { type CertificateKind, HOSTILE_KINDS, HostileCertificates } from './hostile-certificates.ts';
export { type CertifiedNames, createLoopbackCertificate, type LoopbackCertificate } from './loopback-certificate.ts';
export { nodeIdOf } from './node-id-of.ts';
export { openTlsPair, type TlsPair } from './tls-pair.ts';
