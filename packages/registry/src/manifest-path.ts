import { type BlobRef, type Digest, isDigest, parseRepository, type Repository } from '@sealift/core';
import { isTag } from './reference.ts';

/** Longest path we look at, in characters: the longest repository name, a tag and what stands around them. */
const MAX_PATH_LENGTH = 420;
const MANIFEST_PATH = /^\/v2\/(?<name>[a-z0-9._/-]+)\/manifests\/(?<reference>[A-Za-z0-9_:.-]{1,128})$/;

/** What names a manifest in its repository. */
export type ManifestReference =
  | { readonly kind: 'digest'; readonly digest: Digest }
  | { readonly kind: 'tag'; readonly tag: string };

/**
 * The manifest that a path names (OCI distribution-spec, end-3: `/v2/<name>/manifests/<reference>`); `undefined` for any
 * other path, and for digests that are not SHA-256.
 */
export function parseManifestPath(
  pathname: string,
): { readonly repository: Repository; readonly reference: ManifestReference } | undefined {
  if (pathname.length > MAX_PATH_LENGTH) return undefined;
  const { name = '', reference = '' } = MANIFEST_PATH.exec(pathname)?.groups ?? {};
  if (!isDigest(reference) && !isTag(reference)) return undefined;
  try {
    const repository = parseRepository(name);
    return {
      repository,
      reference: isDigest(reference) ? { kind: 'digest', digest: reference } : { kind: 'tag', tag: reference },
    };
  } catch {
    // Not an error: the registry itself knows best how to answer a path with a wrong name.
    return undefined;
  }
}

/** The path of a manifest by its digest, which {@link parseManifestPath} reads. */
export function formatManifestPath({ repository, digest }: Pick<BlobRef, 'repository' | 'digest'>): string {
  return `/v2/${repository}/manifests/${digest}`;
}
