import { stat } from 'node:fs/promises';
import type { AppError, Logger, RegistryHost } from '@sealift/core';
import type { ClientCertificate, RegistryConfig } from '@sealift/registry';
import { readCertificateFile } from './certificate-file.ts';
import { refuse } from './failure.ts';
import { readRegistryCertificates } from './registry-certificates.ts';

/** What both kinds of process are told of their registries. */
interface RegistryOptions {
  readonly registry: readonly RegistryHost[];
  readonly registryCa: readonly { readonly registry: RegistryHost; readonly path: string }[];
  readonly registryCerts: string | undefined;
}

/**
 * The registries of a node, with the runtime's trust directory and `--registry-certs`. What is wrong there is logged and left
 * out: the runtime would not have refused to start for it either. Throws `CONFIG_INVALID` for the files of `--registry-ca`.
 */
export async function loadNodeRegistries(
  {
    registry,
    registryCa,
    certsDirectory,
    registryCerts,
  }: RegistryOptions & { readonly certsDirectory: string | undefined },
  { log }: { log: Logger },
): Promise<readonly RegistryConfig[]> {
  return await loadRegistries(registry, registryCa, {
    directories: [certsDirectory, registryCerts],
    onProblem: (host, error) => log.warn('trust_skipped', { registry: host, error }),
  });
}

/**
 * The registries of a tracker, whose directory of certificates is its operator's own: what is wrong there is refused. Throws
 * `CONFIG_INVALID`, and `KEY_FILE_UNSAFE` for a key that others may read.
 */
export async function loadTrackerRegistries({
  registry,
  registryCa,
  registryCerts,
}: RegistryOptions): Promise<readonly RegistryConfig[]> {
  if (registryCerts !== undefined && !(await isDirectory(registryCerts))) {
    refuse('--registry-certs', `${registryCerts} is not a directory`);
  }
  return await loadRegistries(registry, registryCa, {
    directories: [registryCerts],
    onProblem: (_, error) => {
      throw error;
    },
  });
}

/**
 * The registries of a configuration with their trust anchors, the files of `--registry-ca`, and what a directory of
 * certificates holds for them beside. Throws `CONFIG_INVALID` that names the file at fault.
 */
async function loadRegistries(
  registries: readonly RegistryHost[],
  caFiles: readonly { readonly registry: RegistryHost; readonly path: string }[],
  certs: {
    readonly directories: readonly (string | undefined)[];
    readonly onProblem: (registry: RegistryHost, error: AppError) => void;
  },
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
      let client: ClientCertificate | undefined;
      for (const directory of certs.directories) {
        if (directory === undefined) continue;
        const onProblem = (error: AppError): void => certs.onProblem(registry, error);
        const found = await readRegistryCertificates(directory, registry, { onProblem });
        if (found.anchors !== undefined) pems.push(found.anchors);
        client ??= found.client;
      }
      return {
        registry,
        ...(pems.length === 0 ? {} : { caPem: pems.join('\n') }),
        ...(client === undefined ? {} : { client }),
      };
    }),
  );
}

async function isDirectory(path: string): Promise<boolean> {
  return await stat(path).then(
    (stats) => stats.isDirectory(),
    // Not there, or behind what this user may not look into: both make it useless.
    () => false,
  );
}
