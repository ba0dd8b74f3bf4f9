import { readFile } from 'node:fs/promises';
import { AppError, type RegistryHost } from '@sealift/core';
import type { RegistryConfig } from '@sealift/registry';

/**
 * The registries of a configuration with their trust anchors: the files of `--registry-ca`, and for a node the user's own
 * certificates in the runtime's trust directory. Throws `CONFIG_INVALID` that names every problem.
 */
export async function loadRegistries(
  registries: readonly RegistryHost[],
  caFiles: readonly { readonly registry: RegistryHost; readonly path: string }[],
  readAnchors: (registry: RegistryHost) => Promise<string | undefined> = async () => undefined,
): Promise<readonly RegistryConfig[]> {
  const problems = caFiles
    .filter(({ registry }) => !registries.includes(registry))
    .map(({ registry }) => `--registry-ca: ${registry} is not among the registries; give --registry ${registry} too`);
  const configs = await Promise.all(
    [...new Set(registries)].map(async (registry) => {
      const pems: string[] = [];
      for (const file of caFiles.filter((candidate) => candidate.registry === registry)) {
        try {
          pems.push(await readFile(file.path, 'utf8'));
        } catch (error) {
          problems.push(`--registry-ca: cannot read ${file.path} (${(error as NodeJS.ErrnoException).code})`);
        }
      }
      const own = await readAnchors(registry);
      if (own !== undefined) pems.push(own);
      return pems.length === 0 ? { registry } : { registry, caPem: pems.join('\n') };
    }),
  );
  if (problems.length > 0) throw new AppError('CONFIG_INVALID', { reason: `\n  ${problems.join('\n  ')}` });
  return configs;
}
