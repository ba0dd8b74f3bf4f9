import type { IncomingMessage } from 'node:http';
import type { RegistryHost, Repository } from '@sealift/core';
import { MANIFEST_TYPES, type ManifestReference, parseManifestPath } from '@sealift/registry';
import { isPlainRead } from './plain-read.ts';
import { headerValues } from './raw-headers.ts';

/** A manifest that the runtime asks for by GET. */
export interface ManifestQuestion {
  readonly registry: RegistryHost;
  readonly repository: Repository;
  readonly reference: ManifestReference;
  /** The media types that the runtime names, of those that clusters keep. */
  readonly accepted: ReadonlySet<string>;
  /** Never logged. */
  readonly authorization: string | undefined;
}

/**
 * The manifest that a request asks for, if it is a plain GET of one. `undefined` for all else, and for a client that names
 * none of the types that clusters keep: registries turn manifests into older types for those.
 */
export function parseManifestRequest(
  request: IncomingMessage,
  { registry, path }: { registry: RegistryHost; path: string },
): ManifestQuestion | undefined {
  if (request.method !== 'GET') return undefined;
  const parsed = parseManifestPath(path);
  if (parsed === undefined || !isPlainRead(request) || request.headers.range !== undefined) return undefined;
  const accepted = acceptedTypes(headerValues(request.rawHeaders, 'accept'));
  if (accepted.size === 0) return undefined;
  return { registry, ...parsed, accepted, authorization: request.headers.authorization };
}

/** By name only: registries do not take a wildcard for a word on manifest types. */
function acceptedTypes(values: readonly string[]): ReadonlySet<string> {
  const named = values
    .flatMap((value) => value.split(','))
    // With parameters, a weight among them, it is for the registry to choose.
    .map((part) => part.trim().toLowerCase());
  return new Set(MANIFEST_TYPES.filter((type) => named.includes(type)));
}
