import { AppError } from './errors.ts';

/** The content address of a blob: `sha256:` and 64 lower-case hex digits (OCI image-spec, descriptor § digests). */
export type Digest = string & { readonly __brand: 'Digest' };

const DIGEST = /^sha256:[0-9a-f]{64}$/;

/** Whether `text` is a digest that Sealift handles. Other algorithms are legal in OCI; their blobs pass through. */
export function isDigest(text: string): text is Digest {
  return DIGEST.test(text);
}

/** Parses a digest; throws `DIGEST_INVALID`. */
export function parseDigest(text: string): Digest {
  if (!isDigest(text)) throw new AppError('DIGEST_INVALID', { length: text.length });
  return text;
}

/** The digest of a finished SHA-256, given its 32 bytes. */
export function digestFromSha256(sha256: Uint8Array): Digest {
  if (sha256.length !== 32) throw new AppError('DIGEST_INVALID', { length: sha256.length });
  return `sha256:${Buffer.from(sha256).toString('hex')}` as Digest;
}

/** The 32 bytes that `digest` names. */
export function digestBytes(digest: Digest): Buffer {
  return Buffer.from(digest.slice('sha256:'.length), 'hex');
}
