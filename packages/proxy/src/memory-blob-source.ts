import { createHash } from 'node:crypto';
import { AppError, type BlobRef, type Digest, digestFromSha256 } from '@sealift/core';
import type { BlobRequest, BlobSource, OpenBlob } from './ports.ts';

/** Bytes of a chunk, small and odd so that no boundary falls together with another. */
const CHUNK_BYTES = 10_007;

/** What a {@link MemoryBlobSource} does instead of giving all bytes. */
export interface MemoryBlobFault {
  /** Bytes of the blob that are given before. */
  readonly afterBytes: number;
  /** Throws `SWARM_STALLED` or, withdrawn, `SWARM_WITHDRAWN`, ends as if all was given, or never says anything again, not even when it is aborted. */
  readonly kind: 'throw' | 'withdraw' | 'end' | 'hang';
}

/**
 * The in-memory twin of the peer engine: what a `BlobSource` is, in a hundred lines. It gives its blobs to whoever shows
 * the header that goes with them, from one buffer that it uses again and again.
 */
export class MemoryBlobSource implements BlobSource {
  readonly #blobs = new Map<string, { bytes: Uint8Array; authorization: string | undefined }>();
  readonly #faults = new Map<Digest, MemoryBlobFault>();
  /** Requests so far, in order. */
  readonly requests: BlobRequest[] = [];
  /** Blobs that are open now. */
  openCount = 0;
  /** Reads whose signal was aborted or whose iterator was ended before the last byte. */
  cancelledCount = 0;
  /** Called in `open`; throws or waits for tests. */
  onOpen: (options: { signal: AbortSignal }) => Promise<void> | void = () => {};

  /** Puts in a blob that `authorization` may read; returns its digest. */
  add(place: Omit<BlobRef, 'digest'>, bytes: Uint8Array, { authorization }: { authorization?: string } = {}): Digest {
    const digest = digestFromSha256(createHash('sha256').update(bytes).digest());
    this.#blobs.set(keyOf({ ...place, digest }), { bytes, authorization });
    return digest;
  }

  /** Makes reads of a blob go wrong. */
  fail(digest: Digest, fault: MemoryBlobFault): void {
    this.#faults.set(digest, fault);
  }

  async open(request: BlobRequest, { signal }: { signal: AbortSignal }): Promise<OpenBlob | undefined> {
    this.requests.push(request);
    await this.onOpen({ signal });
    signal.throwIfAborted();
    const held = this.#blobs.get(keyOf(request.blob));
    if (held === undefined || held.authorization !== request.authorization) return undefined;
    const { bytes } = held;
    const served = { peers: 0, cache: 0 };
    let isOpen = true;
    this.openCount += 1;
    return {
      size: bytes.length,
      served,
      read: (range, options) => this.#read({ digest: request.blob.digest, bytes, served, ...range }, options),
      close: () => {
        if (isOpen) this.openCount -= 1;
        isOpen = false;
      },
    };
  }

  async *#read(
    blob: { digest: Digest; bytes: Uint8Array; served: { peers: number; cache: number }; start: number; end: number },
    { signal }: { signal: AbortSignal },
  ): AsyncGenerator<Uint8Array> {
    const { digest, bytes, served, start, end } = blob;
    const fault = this.#faults.get(digest);
    const buffer = new Uint8Array(CHUNK_BYTES);
    let isDone = false;
    try {
      for (let at = start; at < end; ) {
        signal.throwIfAborted();
        const limit = fault === undefined ? end : Math.min(end, fault.afterBytes);
        const length = Math.min(CHUNK_BYTES, limit - at);
        if (length <= 0 && (await strike(fault?.kind))) return;
        const chunk = buffer.subarray(0, length);
        chunk.set(bytes.subarray(at, at + length));
        served.cache += length;
        yield chunk;
        // Whoever kept the chunk longer than it is valid sees it spoiled.
        buffer.fill(0xff);
        at += length;
      }
      isDone = true;
    } finally {
      if (!isDone) this.cancelledCount += 1;
    }
  }
}

async function strike(kind: MemoryBlobFault['kind'] | undefined): Promise<true> {
  if (kind === 'hang') await new Promise(() => {});
  if (kind === 'throw') throw new AppError('SWARM_STALLED', { reason: 'told to' });
  if (kind === 'withdraw') throw new AppError('SWARM_WITHDRAWN', { reason: 'told to' });
  return true;
}

function keyOf({ registry, repository, digest }: BlobRef): string {
  return `${registry}/${repository}@${digest}`;
}
