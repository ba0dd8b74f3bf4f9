import type { IncomingMessage, ServerResponse } from 'node:http';
import type { RegistryHost } from '@sealift/core';
import { parseBlobRequest } from './blob-request.ts';
import type { BlobBytes, BlobResponder } from './blob-responder.ts';
import type { ProxyLimits } from './limits.ts';
import { passThrough } from './pass-through.ts';
import type { RegistryUpstream } from './upstream.ts';

/** A request for a configured registry, by interception or by the mirror endpoint. */
export interface RegistryRequest {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  readonly registry: RegistryHost;
  /** Path and query as the registry shall see them. */
  readonly path: string;
  /** Set where the client's Host named us. */
  readonly hostHeader?: string;
}

/** A request with credentials that the registry itself has answered well. */
export interface AcceptedRequest {
  readonly registry: RegistryHost;
  /** Path and query as the registry saw them. */
  readonly path: string;
  /** Never logged. */
  readonly authorization: string;
}

/** Sorts requests for a registry: blobs to the `BlobSource`, all else to the registry as it came. */
export class RegistryHandler {
  readonly #upstreams: ReadonlyMap<RegistryHost, RegistryUpstream>;
  readonly #blobs: BlobResponder;
  readonly #limits: ProxyLimits;
  readonly #onServed: (bytes: BlobBytes) => void;
  readonly #onAccepted: (accepted: AcceptedRequest) => void;

  constructor(options: {
    upstreams: ReadonlyMap<RegistryHost, RegistryUpstream>;
    blobs: BlobResponder;
    limits: ProxyLimits;
    onServed: (bytes: BlobBytes) => void;
    onAccepted: (accepted: AcceptedRequest) => void;
  }) {
    this.#upstreams = options.upstreams;
    this.#blobs = options.blobs;
    this.#limits = options.limits;
    this.#onServed = options.onServed;
    this.#onAccepted = options.onAccepted;
  }

  /** Answers one request; `signal` aborts when the client has gone. Throws what {@link passThrough} throws. */
  async handle(
    { request, response, registry, path, hostHeader }: RegistryRequest,
    { signal }: { signal: AbortSignal },
  ): Promise<void> {
    const upstream = this.#upstreams.get(registry);
    if (upstream === undefined) throw new TypeError(`no upstream for ${registry}`);
    const blobRequest = parseBlobRequest(request, { registry, path });
    if (blobRequest !== undefined && (await this.#blobs.respond({ request, response, blobRequest, signal }))) return;
    if (signal.aborted) return;
    const outcome = await passThrough({
      request,
      response,
      upstream,
      path,
      ...(hostHeader === undefined ? {} : { hostHeader }),
      limits: this.#limits,
      signal,
    });
    const { authorization } = request.headers;
    const isAccepted = (request.method === 'GET' || request.method === 'HEAD') && outcome.status === 200;
    if (isAccepted && authorization !== undefined) this.#onAccepted({ registry, path, authorization });
    const isBlob = blobRequest?.intent === 'pull' && (outcome.status === 200 || outcome.status === 206);
    if (isBlob) this.#onServed({ registry: outcome.bytes, peers: 0, cache: 0 });
  }
}
