/**
 * The client half of the OCI distribution-spec: references, blob paths, challenges and tokens, and reading blobs and
 * manifests from configured registries over verified HTTPS. What it reads is not verified, except manifests by digest.
 * Beside it, the judge of registry tokens, which learns whom a registry believes.
 */
export { type BasicChallenge, type BearerChallenge, parseChallenge } from './auth-challenge.ts';
export { authorizationExpiry, basicAuthorization } from './authorization.ts';
export { formatBlobPath, parseBlobPath, repositoryOfPath } from './blob-path.ts';
export {
  MANIFEST_TYPES,
  type ManifestAnswer,
  type ReferenceAnswer,
  type RegistryBlob,
  RegistryClient,
  type RegistryClientOptions,
} from './client.ts';
export type { HeadVerdict } from './head-verdict.ts';
export { formatManifestPath, type ManifestReference, parseManifestPath } from './manifest-path.ts';
export type { ProbeAnswer } from './probe.ts';
export { type ImageReference, parseImageReference } from './reference.ts';
export type { ClientCertificate, RegistryConfig } from './registry-config.ts';
export type { TokenRights } from './registry-token/claims.ts';
export { bearerJwt } from './registry-token/compact-token.ts';
export { KeyFile } from './registry-token/key-file.ts';
export { type KeySet, parseKeySet } from './registry-token/key-set.ts';
export { type RegistryTokenConfig, RegistryTokens, type TokenUse } from './registry-token/registry-tokens.ts';
export { RemoteKeys } from './registry-token/remote-keys.ts';
export { type SigningKey, suits } from './registry-token/signing-key.ts';
export { retryAfterOf } from './retry-after.ts';
export { fetchToken } from './token.ts';
export { checkClientCertificate } from './trust.ts';
export { upstreamOrigin } from './upstream.ts';
