import { createHash } from 'node:crypto';
import { AppError, type BlobRef, type Digest, digestFromSha256, isAppError } from '@sealift/core';
import { formatManifestPath, type ImageReference } from '@sealift/registry';
import { type ImageBlob, isWanted, type Platform, parseImageContent } from './image-content.ts';
import type { PreheatReporter } from './reporter.ts';
import type { PreheatTarget } from './target.ts';

/** Blobs brought to one target at the same time: enough to fill a link, too few to make a seeder busy. */
const AT_ONCE = 6;
/** Manifests read of one image. */
const MAX_MANIFESTS = 500;

/** What to bring, and where. */
export interface PreheatOptions {
  readonly image: Pick<ImageReference, 'registry' | 'repository'> & { readonly digest: Digest };
  /** As it was written. */
  readonly text: string;
  /** Empty for all. */
  readonly platforms: readonly Platform[];
  /** At least one; in their order, so that nodes find the seeder warm. */
  readonly targets: readonly PreheatTarget[];
  /** The manifest as the registry gives it, compared with its digest: where a target cannot keep it. */
  readonly fetchManifest: (ref: BlobRef, options: { signal: AbortSignal }) => Promise<Uint8Array>;
  readonly reporter: PreheatReporter;
  readonly signal: AbortSignal;
}

/**
 * Brings an image to its targets, one after the other: each manifest and each blob once. Throws what the first of them throws
 * that cannot be brought.
 */
export async function preheat(options: PreheatOptions): Promise<void> {
  const { image, text, targets, reporter, signal } = options;
  for (const target of targets) {
    const blobs = await readImage(target, options);
    const bytes = blobs.reduce((sum, { size }) => sum + size, 0);
    reporter.resolved({ image: text, digest: image.digest, target: target.name, blobs: blobs.length, bytes });
    await bringBlobs(target, blobs, options);
    reporter.done({ target: target.name, blobs: blobs.length, bytes });
    signal.throwIfAborted();
  }
}

/** The blobs of the wanted platforms, each once; largest first, so that none is left alone at the end. */
async function readImage(target: PreheatTarget, options: PreheatOptions): Promise<readonly ImageBlob[]> {
  const { image, platforms } = options;
  const blobs = new Map<Digest, ImageBlob>();
  const waiting: Digest[] = [image.digest];
  const seen = new Set<Digest>(waiting);
  for (let digest = waiting.shift(); digest !== undefined; digest = waiting.shift()) {
    const content = parseImageContent(await readManifest(target, { ...image, digest }, options));
    if (content.kind === 'manifest') for (const blob of content.blobs) blobs.set(blob.digest, blob);
    else {
      for (const { digest: next, platform } of content.manifests) {
        if (seen.has(next) || !isWanted(platform, platforms)) continue;
        if (seen.size >= MAX_MANIFESTS) throw new AppError('REGISTRY_UNAVAILABLE', { reason: 'too many manifests' });
        seen.add(next);
        waiting.push(next);
      }
    }
  }
  if (blobs.size === 0) {
    throw new AppError('REFERENCE_INVALID', { reason: 'the image has nothing for these platforms' });
  }
  return [...blobs.values()].sort((one, other) => other.size - one.size);
}

async function readManifest(
  target: PreheatTarget,
  { registry, repository, digest }: BlobRef,
  { fetchManifest, reporter, signal }: PreheatOptions,
): Promise<Uint8Array> {
  const ref = { registry, repository, digest };
  const kept = await target.manifest(ref, { signal });
  if (kept === undefined) reporter.notKept({ target: target.name, path: formatManifestPath(ref) });
  const bytes = kept ?? (await fetchManifest(ref, { signal }));
  if (digestFromSha256(createHash('sha256').update(bytes).digest()) === digest) return bytes;
  throw new AppError('PREHEAT_INCOMPLETE', {
    reason: `a manifest of ${target.name} does not match its digest`,
    digest,
  });
}

async function bringBlobs(
  target: PreheatTarget,
  blobs: readonly ImageBlob[],
  { image: { registry, repository }, reporter, signal }: PreheatOptions,
): Promise<void> {
  const failed = new AbortController();
  const both = AbortSignal.any([signal, failed.signal]);
  const queue = [...blobs];
  const work = async (): Promise<void> => {
    for (let blob = queue.shift(); blob !== undefined; blob = queue.shift()) {
      const { digest, size } = blob;
      const onProgress = (bytes: number): void => reporter.progress({ target: target.name, digest, bytes, size });
      await target.blob({ registry, repository, digest }, blob, { signal: both, onProgress });
      reporter.progress({ target: target.name, digest, bytes: size, size });
    }
  };
  try {
    await Promise.all(Array.from({ length: Math.min(AT_ONCE, blobs.length) }, work));
  } catch (error) {
    // The others would go on for an image that will not be whole.
    failed.abort(error);
    if (signal.aborted || isAppError(error)) throw error;
    throw new AppError('PREHEAT_INCOMPLETE', { reason: `${target.name} failed` }, { cause: error });
  }
}
