import type { BlobRef, RegistryHost } from '@sealift/core';

/** One blob GET or HEAD of the runtime. */
export interface BlobRequest {
  readonly blob: BlobRef;
  /** The runtime's own header: the proof of its right, asked for on a cache hit too. Never logged. */
  readonly authorization: string | undefined;
  /** `check` for a HEAD: answer from what is known, start no transfer. */
  readonly intent: 'pull' | 'check';
}

/** A blob that this requester may read. Nothing is transferred before the first `read`. */
export interface OpenBlob {
  /** Bytes of the whole blob. */
  readonly size: number;
  /**
   * Verified bytes of `[start, end)`, in order. A chunk is valid until the next one is asked for, so that buffers can be
   * reused. Throws `SWARM_STALLED` when the swarm makes no progress: the bytes yielded before are good. Throws
   * `SWARM_WITHDRAWN` when the blob proved false: some of the bytes yielded before may be, too. The last piece comes only after the whole blob is signed as complete.
   */
  read(range: { start: number; end: number }, options: { signal: AbortSignal }): AsyncIterable<Uint8Array>;
  /** Bytes read through this object so far, by where they came from. */
  readonly served: { readonly peers: number; readonly cache: number };
  /** Lets go of the blob; safe to call twice. */
  close(): void;
}

/** Where a blob may come from besides the registry. The peer engine fits this shape; only the CLI knows both. */
export interface BlobSource {
  /** `undefined`: no right, not known, or nobody to get it from; pass the request through to the registry. */
  open(request: BlobRequest, options: { signal: AbortSignal }): Promise<OpenBlob | undefined>;
}

/** A manifest as others gave it: the bytes are still to be compared with the digest. */
export interface UnverifiedManifest {
  readonly bytes: Uint8Array;
  readonly mediaType: string;
}

/** Where a manifest may come from besides the registry. */
export interface ManifestSource {
  /** `undefined`: no right, not known, or nobody to get it from; pass the request through to the registry. */
  fetch(
    request: {
      /** By its digest. */
      readonly manifest: BlobRef;
      /** The runtime's own header: the proof of its right, asked for each time. Never logged. */
      readonly authorization: string | undefined;
    },
    options: { signal: AbortSignal },
  ): Promise<UnverifiedManifest | undefined>;
}

/** A request with credentials that the registry itself has answered well. */
export interface AcceptedRequest {
  readonly registry: RegistryHost;
  /** Path and query as the registry saw them. */
  readonly path: string;
  /** Never logged. */
  readonly authorization: string;
}
