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

/**
 * Takes no yes to our own client certificate for one to the caller: where `showsCertificate`, the caller's header must be what
 * opens the content, so without it the registry has to say no. Nobody can tell who would be let in otherwise.
 */
export function besideCertificate(
  prover: RegistryProver,
  { showsCertificate }: { showsCertificate: (registry: RegistryHost) => boolean },
): RegistryProver {
  return {
    ...prover,
    head: async (content, { authorization, signal }) => {
      const verdict = await prover.head(content, { authorization, signal });
      if (verdict.kind !== 'yes' || !showsCertificate(content.registry)) return verdict;
      const bare =
        authorization === undefined ? verdict : await prover.head(content, { authorization: undefined, signal });
      if (bare.kind === 'no') return verdict;
      return { kind: 'unavailable', reason: "the tracker's own client certificate opens it" };
    },
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
