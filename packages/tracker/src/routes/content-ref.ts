import { AppError, type BlobRef, parseDigest, parseRegistryHost, parseRepository } from '@sealift/core';

/**
 * What a call about one blob or manifest asks for. Throws `INVALID_REQUEST` for an `authorization` that is not one line of
 * visible text, since it goes into a request header as it is (RFC 9110 §5.5), and what the parsers throw.
 */
export function parseContentRef({
  registry,
  repository,
  digest,
  authorization,
}: {
  registry: string;
  repository: string;
  digest: string;
  authorization?: string | undefined;
}): BlobRef {
  if (authorization !== undefined && !/^[\x20-\x7e]+$/.test(authorization))
    throw new AppError('INVALID_REQUEST', { reason: 'malformed authorization' });
  return {
    registry: parseRegistryHost(registry),
    repository: parseRepository(repository),
    digest: parseDigest(digest),
  };
}
