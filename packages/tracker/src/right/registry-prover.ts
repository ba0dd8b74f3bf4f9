import type { BlobRef, RegistryHost } from '@sealift/core';
import { formatBlobPath, formatManifestPath, type HeadVerdict, type RegistryClient } from '@sealift/registry';

/** How a registry is asked for a right: to blobs, or to manifests. */
export interface RegistryProver {
  isConfigured(registry: RegistryHost): boolean;
  /** Asks for the head of that very content with that very header. */
  head(content: BlobRef, options: { authorization: string | undefined; signal: AbortSignal }): Promise<HeadVerdict>;
  /** Where it asks. */
  pathOf(content: BlobRef): string;
}

/** Asks for blobs. */
export function blobProver(client: Pick<RegistryClient, 'isConfigured' | 'headBlob'>): RegistryProver {
  return {
    isConfigured: (registry) => client.isConfigured(registry),
    head: (blob, options) => client.headBlob(blob, options),
    pathOf: formatBlobPath,
  };
}

/** Asks for manifests by their digest. */
export function manifestProver(client: Pick<RegistryClient, 'isConfigured' | 'headManifest'>): RegistryProver {
  return {
    isConfigured: (registry) => client.isConfigured(registry),
    head: (manifest, options) => client.headManifest(manifest, options),
    pathOf: formatManifestPath,
  };
}
