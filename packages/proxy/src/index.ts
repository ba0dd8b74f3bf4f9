/**
 * The proxy on each node, between the container runtime and its registries: CONNECT, interception of the configured
 * registries, the mirror endpoint, and blobs from a `BlobSource`, with the registry as the way out of every failure.
 */
export type { BlobBytes } from './blob-responder.ts';
export { isIntercepted } from './interception.ts';
export { DEFAULT_LIMITS, type ProxyLimits } from './limits.ts';
export type { BlobRequest, BlobSource, OpenBlob } from './ports.ts';
export { ProxyServer, type ProxyServerOptions } from './proxy-server.ts';
export type { AcceptedRequest } from './registry-handler.ts';
export { TrustFiles, type TrustFilesOptions } from './trust-files.ts';
export { readUpstreamAnchors } from './upstream-anchors.ts';
