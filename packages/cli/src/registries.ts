import type { RegistryHost } from '@sealift/core';
import type { RegistryConfig } from '@sealift/registry';
import { readCertificateFile } from './certificate-file.ts';
import { refuse } from './failure.ts';

/**
 * The registries of a configuration with their trust anchors: the files of `--registry-ca`, and for a node the user's own
 * certificates in the runtime's trust directory. Throws `CONFIG_INVALID` that names the file at fault.
 */
export async function loadRegistries(
  registries: readonly RegistryHost[],
  caFiles: readonly { readonly registry: RegistryHost; readonly path: string }[],
  readAnchors: (registry: RegistryHost) => Promise<string | undefined> = async () => undefined,
): Promise<readonly RegistryConfig[]> {
  for (const { registry } of caFiles) {
    if (registries.includes(registry)) continue;
    refuse('--registry-ca', `${registry} is not among the registries; give --registry ${registry} too`);
  }
  return await Promise.all(
    [...new Set(registries)].map(async (registry) => {
      const pems: string[] = [];
      for (const file of caFiles.filter((candidate) => candidate.registry === registry)) {
        pems.push(await readCertificateFile('--registry-ca', file.path));
      }
      const own = await readAnchors(registry);
      if (own !== undefined) pems.push(own);
      return pems.length === 0 ? { registry } : { registry, caPem: pems.join('\n') };
    }),
  );
}
