import { type BlobRef, type Digest, isDigest, parseRepository, type Repository } from '@sealift/core';

/** Longest path we look at, in characters: the longest repository name, the digest and what stands around them. */
const MAX_PATH_LENGTH = 350;
const BLOB_PATH = /^\/v2\/(?<name>[a-z0-9._/-]+)\/blobs\/(?<digest>sha256:[0-9a-f]{64})$/;

/**
 * The blob that a path names (OCI distribution-spec, end-2: `/v2/<name>/blobs/<digest>`); `undefined` for any other
 * path. Percent-encoding, doubled slashes and other digest algorithms are no blob path here, so such a request passes
 * through to the registry.
 */
export function parseBlobPath(pathname: string): { repository: Repository; digest: Digest } | undefined {
  if (pathname.length > MAX_PATH_LENGTH) return undefined;
  const { name = '', digest = '' } = BLOB_PATH.exec(pathname)?.groups ?? {};
  if (!isDigest(digest)) return undefined;
  try {
    return { repository: parseRepository(name), digest };
  } catch {
    // Not an error: the registry itself knows best how to answer a path with a wrong name.
    return undefined;
  }
}

const CONTENT_PATH = /^\/v2\/(?<name>[a-z0-9._/-]+)\/(?:blobs|manifests)\/[A-Za-z0-9_][A-Za-z0-9_.:-]{0,140}$/;

/** The repository that a path reads from: one of a blob or a manifest, without a query; `undefined` for any other path. */
export function repositoryOfPath(pathname: string): Repository | undefined {
  const name = pathname.length > MAX_PATH_LENGTH ? undefined : CONTENT_PATH.exec(pathname)?.groups?.['name'];
  try {
    return name === undefined ? undefined : parseRepository(name);
  } catch {
    // Not an error: the registry itself knows best how to answer a path with a wrong name.
    return undefined;
  }
}

/** The path of a blob, which {@link parseBlobPath} reads. */
export function formatBlobPath({ repository, digest }: Pick<BlobRef, 'repository' | 'digest'>): string {
  return `/v2/${repository}/blobs/${digest}`;
}
