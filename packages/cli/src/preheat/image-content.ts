import { AppError, type Digest, isDigest } from '@sealift/core';

/** Entries that we read of one manifest or index: the largest images have some hundred. */
const MAX_ENTRIES = 2_000;

/** A platform as image indexes name it (OCI image-spec, image index, `platform`). */
export interface Platform {
  readonly os: string;
  readonly architecture: string;
  readonly variant?: string | undefined;
}

/** A blob of an image. */
export interface ImageBlob {
  readonly digest: Digest;
  readonly size: number;
}

/** What an index leads to, or what a manifest consists of. */
export type ImageContent =
  | {
      readonly kind: 'index';
      readonly manifests: readonly { readonly digest: Digest; readonly platform: Platform | undefined }[];
    }
  | { readonly kind: 'manifest'; readonly blobs: readonly ImageBlob[] };

/** Reads a manifest or an index that matches its digest. Throws `REGISTRY_UNAVAILABLE` for what is neither. */
export function parseImageContent(bytes: Uint8Array): ImageContent {
  const { manifests, config, layers } = fieldsOf(parse(bytes));
  if (Array.isArray(manifests)) {
    return {
      kind: 'index',
      manifests: bounded(manifests).map((entry) => ({
        digest: digestOf(entry),
        platform: platformOf(fieldsOf(entry)['platform']),
      })),
    };
  }
  if (!Array.isArray(layers) || config === undefined) throw unfit('neither a manifest nor an index');
  // Layers that lie elsewhere are nobody's to hand on (OCI image-spec, non-distributable layers).
  const own = bounded(layers).filter((layer) => fieldsOf(layer)['urls'] === undefined);
  return {
    kind: 'manifest',
    blobs: [config, ...own].map((entry) => ({ digest: digestOf(entry), size: sizeOf(entry) })),
  };
}

/** Parses `os/architecture` or `os/architecture/variant`. Throws `CONFIG_INVALID`. */
export function parsePlatform(text: string): Platform {
  const [os, architecture, variant, ...more] = text.split('/');
  const isPart = (part: string | undefined): boolean => part === undefined || /^[a-z0-9._-]{1,32}$/.test(part);
  if (os === undefined || architecture === undefined || ![os, architecture, variant].every(isPart) || more.length > 0) {
    throw new AppError('CONFIG_INVALID', { reason: 'write a platform as linux/amd64 or linux/arm/v7' });
  }
  return { os, architecture, ...(variant === undefined ? {} : { variant }) };
}

/**
 * Whether an entry of an index is meant: of one of `wanted`, or of any platform where none is wanted. What is for no platform is
 * not an image: attestations say `unknown`.
 */
export function isWanted(platform: Platform | undefined, wanted: readonly Platform[]): boolean {
  if (platform?.os === 'unknown' || platform?.architecture === 'unknown') return false;
  if (wanted.length === 0) return true;
  return wanted.some(
    ({ os, architecture, variant }) =>
      platform?.os === os &&
      platform.architecture === architecture &&
      (variant === undefined || variant === platform.variant),
  );
}

function parse(bytes: Uint8Array): unknown {
  try {
    return JSON.parse(Buffer.from(bytes).toString('utf8'));
  } catch (cause) {
    throw unfit('no JSON', cause);
  }
}

function bounded(entries: readonly unknown[]): readonly unknown[] {
  if (entries.length > MAX_ENTRIES) throw unfit('too many entries');
  return entries;
}

function platformOf(value: unknown): Platform | undefined {
  const { os, architecture, variant } = fieldsOf(value);
  if (typeof os !== 'string' || typeof architecture !== 'string') return undefined;
  return { os, architecture, variant: typeof variant === 'string' ? variant : undefined };
}

function digestOf(entry: unknown): Digest {
  const { digest } = fieldsOf(entry);
  if (typeof digest === 'string' && isDigest(digest)) return digest;
  throw unfit('an entry without a SHA-256 digest');
}

function sizeOf(entry: unknown): number {
  const { size } = fieldsOf(entry);
  if (Number.isSafeInteger(size) && (size as number) >= 0) return size as number;
  throw unfit('an entry without a size');
}

function fieldsOf(value: unknown): Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {};
}

function unfit(reason: string, cause?: unknown): AppError {
  return new AppError('REGISTRY_UNAVAILABLE', { reason: `a manifest that cannot be read: ${reason}` }, { cause });
}
