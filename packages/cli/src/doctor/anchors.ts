import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { getCACertificates } from 'node:tls';
import type { RegistryHost } from '@sealift/core';
import { certificatesIn } from '../certificate-file.ts';

/** What the machine trusts without being told, in PEM: Node's roots and the system's, as the node itself has it. */
export function systemAnchors(): string {
  return [...new Set([...getCACertificates('default'), ...getCACertificates('system')])].join('\n');
}

/** The names in a registry's trust directory; none where there is no such directory. */
export async function listAnchors(certsDirectory: string, registry: RegistryHost): Promise<readonly string[]> {
  return await readdir(join(certsDirectory, registry)).catch(() => []);
}

/** The certificates of a registry's trust directory as the runtime reads them (`*.crt`), in PEM. */
export async function readAnchors(certsDirectory: string, registry: RegistryHost): Promise<string> {
  const names = (await listAnchors(certsDirectory, registry)).filter((name) => name.endsWith('.crt'));
  const texts = await Promise.all(
    // One that cannot be read is none to the runtime either.
    names.map((name) => readFile(join(certsDirectory, registry, name), 'utf8').catch(() => '')),
  );
  return texts.flatMap(certificatesIn).join('\n');
}
