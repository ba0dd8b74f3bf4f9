import type { IncomingMessage, ServerResponse } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import { AppError, type BlobRef, type Clock, isAppError, type Logger, type RegistryHost } from '@sealift/core';
import { retryAfterOf } from '@sealift/registry';
import { blobHead, writeBlobHead } from './blob-head.ts';
import { BodySink } from './body-sink.ts';
import type { ProxyLimits } from './limits.ts';
import { isLate, openInTime } from './open-in-time.ts';
import type { BlobRequest, BlobSource, OpenBlob } from './ports.ts';

/** Bytes of progress after which a registry that breaks its answers again and again gets all its tries anew. */
const WORTHWHILE_BYTES = 1024 * 1024;

/** Body bytes of one blob answer, by where they came from. */
export interface BlobBytes {
  readonly registry: number;
  readonly peers: number;
  readonly cache: number;
}

/** What {@link BlobResponder} needs of a registry: a blob from a byte on. `RegistryClient` fits. */
export interface RestReader {
  openBlob(
    blob: BlobRef,
    options: { authorization: string | undefined; offset?: number; signal: AbortSignal },
  ): Promise<{ size: number | undefined; offset: number; body: AsyncIterable<Uint8Array> }>;
}

/** A blob request and where its answer goes; `signal` aborts when the client has gone. */
interface BlobExchange {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  readonly blobRequest: BlobRequest;
  readonly signal: AbortSignal;
}

/**
 * Answers blob requests from a `BlobSource`. When the source fails in mid-body, the registry supplies the rest inside the
 * same answer; when that fails too, the connection is cut: never a well-formed wrong answer.
 */
export class BlobResponder {
  readonly #blobs: BlobSource;
  readonly #registry: RestReader;
  readonly #limits: ProxyLimits;
  readonly #clock: Clock;
  readonly #log: Logger;
  readonly #onServed: (bytes: BlobBytes) => void;
  /** Until when blobs of a registry pass the source by, in ms. Only requests for configured registries get here. */
  readonly #pausedUntil = new Map<RegistryHost, number>();

  constructor(options: {
    blobs: BlobSource;
    registry: RestReader;
    limits: ProxyLimits;
    clock: Clock;
    log: Logger;
    onServed: (bytes: BlobBytes) => void;
  }) {
    this.#blobs = options.blobs;
    this.#registry = options.registry;
    this.#limits = options.limits;
    this.#clock = options.clock;
    this.#log = options.log;
    this.#onServed = options.onServed;
  }

  /** Answers and resolves with `true`; or with `false` and nothing sent, if the request is to be passed through. */
  async respond(exchange: BlobExchange): Promise<boolean> {
    const { request, response, blobRequest, signal } = exchange;
    const open = await this.#open(blobRequest, { signal });
    if (open === undefined) return false;
    try {
      const head = blobHead(request, { digest: blobRequest.blob.digest, size: open.size });
      const hasBody = blobRequest.intent === 'pull' && head.status !== 416;
      if (hasBody) return await this.#sendBody(exchange, open, head);
      writeBlobHead(response, head);
      response.end();
      return true;
    } finally {
      open.close();
    }
  }

  async #open(request: BlobRequest, { signal }: { signal: AbortSignal }): Promise<OpenBlob | undefined> {
    const { openTimeoutMs, openPauseMs } = this.#limits;
    if (this.#isPaused(request.blob.registry)) return undefined;
    try {
      return await openInTime(this.#blobs, request, { timeoutMs: openTimeoutMs, signal });
    } catch (error) {
      if (signal.aborted) return undefined;
      if (isLate(error)) this.#pausedUntil.set(request.blob.registry, this.#clock.now() + openPauseMs);
      this.#log.warn('blob_fallback', { ...request.blob, error });
      return undefined;
    }
  }

  #isPaused(registry: RegistryHost): boolean {
    const isPaused = this.#clock.now() < (this.#pausedUntil.get(registry) ?? Number.NEGATIVE_INFINITY);
    if (!isPaused) this.#pausedUntil.delete(registry);
    return isPaused;
  }

  async #sendBody(
    { response, blobRequest, signal }: BlobExchange,
    open: OpenBlob,
    head: ReturnType<typeof blobHead>,
  ): Promise<boolean> {
    const { blob } = blobRequest;
    const { start, end } = head;
    const startedAt = this.#clock.now();
    const { readTimeoutMs } = this.#limits;
    const sink = new BodySink({
      response,
      start,
      end,
      sendHead: () => writeBlobHead(response, head),
      readTimeoutMs,
      signal,
    });
    let registry = 0;
    try {
      await sink.take((options) => open.read({ start, end }, options));
    } catch (error) {
      if (!signal.aborted) this.#log.warn('blob_fallback', { ...blob, offset: sink.position, error });
      // Nothing was sent: the registry may as well give its own answer, whole.
      if (!response.headersSent && !signal.aborted) return false;
      const takenOverAt = sink.position;
      // What was sent may be false, and with true bytes behind it, it would look like a blob.
      const isFalse = isAppError(error, 'SWARM_WITHDRAWN');
      if (!isFalse) await this.#finish(sink, { response, blobRequest, size: open.size, signal });
      registry = sink.position - takenOverAt;
    }
    sink.end();
    const bytes: BlobBytes = { registry, peers: open.served.peers, cache: open.served.cache };
    this.#onServed(bytes);
    const durationMs = this.#clock.now() - startedAt;
    this.#log.debug('blob_served', { ...blob, ...bytes, start, end, isComplete: sink.isComplete, durationMs });
    return true;
  }

  /**
   * Fills the sink from the registry, as far as that helps. Each try goes on where the one before stopped; one that the
   * registry asks to come later does so, within limits.
   */
  async #finish(
    sink: BodySink,
    {
      response,
      blobRequest: { blob, authorization },
      size,
      signal,
    }: Pick<BlobExchange, 'response' | 'blobRequest' | 'signal'> & { size: number },
  ): Promise<void> {
    const { retryDelaysMs, maxRetryAfterMs } = this.#limits;
    let delays = [...retryDelaysMs];
    let knowsRanges = true;
    while (!signal.aborted && !response.destroyed) {
      const { position } = sink;
      const offset = knowsRanges ? position : 0;
      try {
        await sink.take(async (options) => {
          const rest = await this.#registry.openBlob(blob, { authorization, offset, ...options });
          if (rest.offset === offset && (rest.size === undefined || rest.size === size)) {
            return without(position - offset, rest.body);
          }
          throw new AppError('REGISTRY_UNAVAILABLE', { reason: 'the registry sent another part than asked for' });
        });
        return;
      } catch (error) {
        if (signal.aborted) return;
        this.#log.warn('pass_through_failed', { ...blob, offset: sink.position, error });
        // The next token is the runtime's to bring, with its next request.
        if (isAppError(error, 'REGISTRY_REFUSED')) return;
        if (knowsRanges && ignoresRange(error)) {
          knowsRanges = false;
          continue;
        }
        if (sink.position - position >= WORTHWHILE_BYTES) delays = [...retryDelaysMs];
        const delay = delays.shift();
        if (delay === undefined) return;
        const wanted = Math.min(retryAfterOf(error) ?? 0, maxRetryAfterMs);
        await sleep(Math.max(delay, wanted), undefined, { signal }).catch(() => {
          // The client has gone.
        });
      }
    }
  }
}

/** The chunks of `body` behind its first `bytes`. */
async function* without(bytes: number, body: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  let left = bytes;
  for await (const chunk of body) {
    if (left < chunk.length) yield chunk.subarray(left);
    left = Math.max(0, left - chunk.length);
  }
}

/** Whether the registry gives the blob only as a whole. */
function ignoresRange(error: unknown): boolean {
  return isAppError(error, 'REGISTRY_UNAVAILABLE') && error.details['status'] === 200;
}
