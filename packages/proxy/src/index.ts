/**
 * The proxy on each node, between the container runtime and its registries: CONNECT, interception of the configured
 * registries, the mirror endpoint, and blobs and manifests from their sources, with the registry as the way out of every failure.
 */
export type { BlobBytes } from './blob-responder.ts';
export { isIntercepted } from './interception.ts';
export { DEFAULT_LIMITS, type ProxyLimits } from './limits.ts';
export { isLoopbackAddress } from './loopback.ts';
export type {
  AcceptedRequest,
  BlobRequest,
  BlobSource,
  ManifestSource,
  OpenBlob,
  UnverifiedManifest,
} from './ports.ts';
export { ProxyServer, type ProxyServerOptions } from './proxy-server.ts';
export { INTERCEPT_CA_FILE, TrustFiles, type TrustFilesOptions } from './trust-files.ts';
