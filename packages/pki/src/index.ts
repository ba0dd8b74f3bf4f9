/**
 * Keys, certificates and TLS settings. There are three CAs here, and they never meet: the swarm CA (one per cluster, in the
 * tracker, certifies nodes and seeders), the intercept CA (one per node, in memory, good for the configured registries
 * only) and the Docker CA (the operator's, certifies Docker daemons and those who command them).
 */

export { isKeyOf } from './ca-certificate.ts';
export { isSignedBy, issueTimeOf } from './certificate.ts';
export { isTrustedChain } from './certificate-chain.ts';
export { CheckedCsr, type CsrRule, checkCsr } from './csr-policy.ts';
export { createDockerKey, DockerCa, type DockerSubject } from './docker-ca.ts';
export { type CertificateSummary, describeCertificate, dockerSubjectOf } from './docker-certificate.ts';
export { type ExpectedIdentity, type Identity, identityOfCertificate, identityOfSocket } from './identity.ts';
export { InterceptCa } from './intercept-ca.ts';
export { KEY_TYPES, type KeyType } from './keys.ts';
export { onlookerContext, peerClientContext, peerConnectOptions, peerServerOptions } from './peer-tls.ts';
export { decryptPrivateKey, encryptPrivateKey } from './private-key-encryption.ts';
export { type CertificateProfile, PEER_COMMON_NAME } from './profile.ts';
export { readSecretFile, writePublicFile, writeSecretFile } from './secret-file.ts';
export { createSigningRequest } from './signing-request.ts';
export { formatIdentityUri, type Role } from './spiffe.ts';
export { type IssuedCertificate, SwarmCa } from './swarm-ca.ts';
export type { TlsMaterial } from './tls-material.ts';
export { parseTrackerAddress, type TrackerAddress } from './tracker-address.ts';
export { type TrackerConnectOptions, trackerConnectOptions, trackerServerOptions } from './tracker-tls.ts';
export { fetchTrustAnchor, namesOfAnchors } from './trust-anchor.ts';
export { x509 } from './x509.ts';
