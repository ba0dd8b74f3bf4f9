import type { IncomingMessage } from 'node:http';
import type { RegistryHost } from '@sealift/core';
import { parseBlobPath } from '@sealift/registry';
import { isPlainRead } from './plain-read.ts';
import type { BlobRequest } from './ports.ts';

/**
 * The blob that a request asks for, if it is a plain GET or HEAD of one. `undefined` for all else: another method, a query,
 * a condition, a body, a digest that is not SHA-256. Such a request is the registry's to answer.
 */
export function parseBlobRequest(
  request: IncomingMessage,
  { registry, path }: { registry: RegistryHost; path: string },
): BlobRequest | undefined {
  if (request.method !== 'GET' && request.method !== 'HEAD') return undefined;
  const parsed = parseBlobPath(path);
  if (parsed === undefined || !isPlainRead(request)) return undefined;
  return {
    blob: { registry, ...parsed },
    authorization: request.headers.authorization,
    intent: request.method === 'HEAD' ? 'check' : 'pull',
  };
}
