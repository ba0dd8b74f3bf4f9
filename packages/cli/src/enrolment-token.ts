import { open } from 'node:fs/promises';
import { AppError } from '@sealift/core';
import type { EnrolmentToken } from '@sealift/peer';
import { readSecretFile } from '@sealift/pki';
import { MAX_SERVICE_ACCOUNT_TOKEN_LENGTH } from '@sealift/tracker-api';
import { errnoOf, refuse } from './failure.ts';

/** The files that a node may enrol with; one at most. */
export interface EnrolmentFiles {
  readonly joinTokenFile: string | undefined;
  readonly serviceAccountTokenFile: string | undefined;
}

/**
 * Reads what a node enrols with, anew at each call: a kubelet replaces its file all the time. `undefined` where the node
 * enrols by its first pull. Throws `CONFIG_INVALID` for both files at once.
 */
export function enrolmentTokenOf({
  joinTokenFile,
  serviceAccountTokenFile,
}: EnrolmentFiles): (() => Promise<EnrolmentToken>) | undefined {
  if (joinTokenFile !== undefined && serviceAccountTokenFile !== undefined) {
    refuse('--service-account-token-file', 'give it or --join-token-file, not both');
  }
  if (joinTokenFile !== undefined) {
    return async () => ({ joinToken: (await readSecretFile(joinTokenFile)).trim() });
  }
  if (serviceAccountTokenFile === undefined) return undefined;
  return async () => ({ serviceAccountToken: await readServiceAccountToken(serviceAccountTokenFile) });
}

/** A projected token. Its mode is the kubelet's choice, not ours to judge. Throws `KEY_FILE_UNSAFE`. */
export async function readServiceAccountToken(path: string): Promise<string> {
  const buffer = Buffer.alloc(MAX_SERVICE_ACCOUNT_TOKEN_LENGTH + 2);
  const { bytesRead } = await readInto(path, buffer);
  const token = buffer.toString('latin1', 0, bytesRead).trim();
  if (token === '' || token.length > MAX_SERVICE_ACCOUNT_TOKEN_LENGTH || !/^[\w.-]+$/.test(token)) {
    throw new AppError('KEY_FILE_UNSAFE', { path, reason: 'it holds no service account token' });
  }
  return token;
}

async function readInto(path: string, buffer: Buffer): Promise<{ bytesRead: number }> {
  try {
    await using file = await open(path, 'r');
    return await file.read(buffer);
  } catch (cause) {
    throw new AppError('KEY_FILE_UNSAFE', { path, reason: `it cannot be read (${errnoOf(cause)})` }, { cause });
  }
}
