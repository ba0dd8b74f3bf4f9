import type { IncomingMessage } from 'node:http';
import type { RegistryHost } from '@sealift/core';
import { parseBlobPath } from '@sealift/registry';
import { hasBody } from './pass-through.ts';
import type { BlobRequest } from './ports.ts';
import { headerValues } from './raw-headers.ts';

// The registry knows what its validators mean; we do not keep them.
const CONDITIONS = ['if-match', 'if-none-match', 'if-modified-since', 'if-unmodified-since'];
// Two of one of these may be read differently by us and by the registry, which would split the right from the bytes.
const AT_MOST_ONCE = ['authorization', 'range', 'if-range'];

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
  if (parsed === undefined || hasBody(request)) return undefined;
  if (CONDITIONS.some((name) => request.headers[name] !== undefined)) return undefined;
  if (AT_MOST_ONCE.some((name) => headerValues(request.rawHeaders, name).length > 1)) return undefined;
  return {
    blob: { registry, ...parsed },
    authorization: request.headers.authorization,
    intent: request.method === 'HEAD' ? 'check' : 'pull',
  };
}
