import type { RegistryHost } from '@sealift/core';
import { readSecretFile } from '@sealift/pki';
import { refuse } from '../failure.ts';
import { defaultDockerConfig, readDockerConfig } from './docker-config.ts';
import { parseCredentials, type RegistryCredential } from './registry-credential.ts';

/** Longest credentials on standard input, in bytes, as in a file. */
const MAX_INPUT_BYTES = 64 * 1024;
/** The file name that stands for standard input. */
const STANDARD_INPUT = '-';

/** Where an operator says that credentials are. */
export interface CredentialOptions {
  readonly credentialsFile: string | undefined;
  readonly dockerConfig: string | undefined;
}

/**
 * The credential for `registry`: of the file or standard input if one is named, else what `docker login` left behind; `undefined`
 * for an anonymous pull. Throws `CONFIG_INVALID` and `KEY_FILE_UNSAFE`.
 */
export async function readCredential(
  { credentialsFile, dockerConfig }: CredentialOptions,
  { registry, signal }: { registry: RegistryHost; signal: AbortSignal },
): Promise<RegistryCredential | undefined> {
  if (credentialsFile === undefined) {
    const directory = dockerConfig ?? defaultDockerConfig(process.env);
    return await readDockerConfig(directory, { registry, setting: '--docker-config', signal });
  }
  if (dockerConfig !== undefined) refuse('--docker-config', 'give this or --credentials-file, not both');
  const text = credentialsFile === STANDARD_INPUT ? await readInput(signal) : await readSecretFile(credentialsFile);
  return parseCredentials(text, '--credentials-file');
}

async function readInput(signal: AbortSignal): Promise<string> {
  const chunks: Buffer[] = [];
  let length = 0;
  const end = (): void => void process.stdin.destroy(signal.reason as Error);
  signal.addEventListener('abort', end, { once: true });
  try {
    for await (const chunk of process.stdin as AsyncIterable<Buffer>) {
      length += chunk.length;
      if (length > MAX_INPUT_BYTES) refuse('--credentials-file', 'standard input is too long');
      chunks.push(chunk);
    }
  } finally {
    signal.removeEventListener('abort', end);
  }
  return Buffer.concat(chunks).toString('utf8');
}
