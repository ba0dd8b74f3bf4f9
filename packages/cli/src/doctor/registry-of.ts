import { silentLogger } from '@sealift/core';
import type { RegistryConfig } from '@sealift/registry';
import { loadNodeRegistries } from '../registries.ts';
import { nodeOf, type Subject } from './subject.ts';

/** The registry with the trust anchors and the client certificate that the node has for it. Throws `CONFIG_INVALID`. */
export async function registryOf(subject: Subject): Promise<RegistryConfig> {
  const { registry } = subject.image;
  const { registryCa, registryCerts, certsDirectory } = nodeOf(subject).settings;
  const [config] = await loadNodeRegistries(
    {
      registry: [registry],
      registryCa: registryCa.filter((file) => file.registry === registry),
      registryCerts: registryCerts ?? undefined,
      certsDirectory: certsDirectory ?? undefined,
    },
    { log: silentLogger },
  );
  return config ?? { registry };
}
