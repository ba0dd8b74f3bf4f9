import { X509Certificate } from 'node:crypto';
import { open, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { Logger, RegistryHost } from '@sealift/core';
import { INTERCEPT_CA_FILE } from './trust-files.ts';

/** Largest file that we read, in bytes: a whole system's trust store is smaller. */
const MAX_FILE_BYTES = 1024 * 1024;
/** Files that we read in one directory; people keep one or two there. */
const MAX_FILES = 64;

const CERTIFICATE = /-----BEGIN CERTIFICATE-----[^-]{1,20000}-----END CERTIFICATE-----/g;

/**
 * The trust anchors that the user keeps for a registry in the runtime's directory (`<certsDirectory>/<host[:port]>/*.crt`),
 * as PEM, or `undefined` if there are none: whom the runtime trusts there, the proxy must trust too. Our own file is left
 * out, and so is whatever is not a certificate, which TLS libraries skip as well; a file that cannot be read is logged.
 */
export async function readUpstreamAnchors({
  certsDirectory,
  registry,
  log,
}: {
  certsDirectory: string;
  registry: RegistryHost;
  log: Logger;
}): Promise<string | undefined> {
  const directory = join(certsDirectory, registry);
  const names = await readdir(directory).catch(() => []);
  const files = names.filter((name) => name.endsWith('.crt') && name !== INTERCEPT_CA_FILE).sort();
  const anchors: string[] = [];
  for (const name of files.slice(0, MAX_FILES)) {
    try {
      anchors.push(...certificatesIn(await readStart(join(directory, name))));
    } catch (error) {
      log.warn('trust_skipped', { registry, name, error });
    }
  }
  return anchors.length === 0 ? undefined : `${anchors.join('\n')}\n`;
}

async function readStart(path: string): Promise<string> {
  const file = await open(path, 'r');
  try {
    const { bytesRead, buffer } = await file.read(Buffer.alloc(MAX_FILE_BYTES), 0, MAX_FILE_BYTES, 0);
    return buffer.toString('latin1', 0, bytesRead);
  } finally {
    await file.close();
  }
}

function certificatesIn(text: string): string[] {
  return (text.match(CERTIFICATE) ?? []).filter((pem) => {
    try {
      new X509Certificate(pem);
      return true;
    } catch {
      return false;
    }
  });
}
