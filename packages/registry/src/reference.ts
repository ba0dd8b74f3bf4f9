import {
  AppError,
  type Digest,
  DOCKER_HUB,
  parseDigest,
  parseRegistryHost,
  parseRepository,
  type RegistryHost,
  type Repository,
} from '@sealift/core';

/** What `docker pull` takes, spelled out. */
export interface ImageReference {
  readonly registry: RegistryHost;
  readonly repository: Repository;
  /** `latest` where neither tag nor digest is written. */
  readonly tag?: string;
  readonly digest?: Digest;
}

/** Longest reference, in characters: host, name, tag and digest at their longest. */
const MAX_REFERENCE_LENGTH = 800;
/** OCI distribution-spec § pulling manifests, `<reference>` as a tag. */
const TAG = /^[A-Za-z0-9_][A-Za-z0-9._-]{0,127}$/;
const IMAGE_ID = /^[0-9a-f]{64}$/;

/** Whether `text` is a tag of the OCI distribution-spec. */
export function isTag(text: string): boolean {
  return TAG.test(text);
}

/**
 * Reads an image reference as Docker does: the first part is a registry only if it has a dot, a port or an upper-case
 * letter or is `localhost`; otherwise the image is Docker Hub's, and a name of one part is in `library/`. Throws
 * `REFERENCE_INVALID`.
 */
export function parseImageReference(text: string): ImageReference {
  try {
    return parse(text);
  } catch (cause) {
    throw new AppError(
      'REFERENCE_INVALID',
      { length: text.length, advice: 'write it as docker pull takes it, for example registry.example/team/app:1.2' },
      { cause },
    );
  }
}

function parse(text: string): ImageReference {
  if (text.length > MAX_REFERENCE_LENGTH) throw new AppError('REFERENCE_INVALID', { reason: 'too long' });
  const [named = '', digestText, ...rest] = text.split('@');
  if (rest.length > 0) throw new AppError('REFERENCE_INVALID', { reason: 'more than one digest' });
  const digest = digestText === undefined ? undefined : parseDigest(digestText);

  const slash = named.indexOf('/');
  const first = slash < 0 ? undefined : named.slice(0, slash);
  const hasRegistry = first !== undefined && (/[.:A-Z]/.test(first) || first === 'localhost');
  const registry = hasRegistry ? parseRegistryHost(first) : DOCKER_HUB;
  const path = hasRegistry ? named.slice(slash + 1) : named;

  const colon = path.indexOf(':');
  const name = colon < 0 ? path : path.slice(0, colon);
  const tag = colon < 0 ? undefined : path.slice(colon + 1);
  if (tag !== undefined && !isTag(tag)) throw new AppError('REFERENCE_INVALID', { reason: 'not a tag' });
  // Docker refuses this too: it would be taken for an image id.
  if (IMAGE_ID.test(named)) throw new AppError('REFERENCE_INVALID', { reason: 'an image id is no reference' });

  const isOfficial = registry === DOCKER_HUB && !name.includes('/');
  return {
    registry,
    repository: parseRepository(isOfficial ? `library/${name}` : name),
    ...(tag !== undefined ? { tag } : digest === undefined ? { tag: 'latest' } : {}),
    ...(digest === undefined ? {} : { digest }),
  };
}
