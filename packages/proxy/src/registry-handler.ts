import type { IncomingMessage, ServerResponse } from 'node:http';
import type { RegistryHost } from '@sealift/core';
import { parseBlobRequest } from './blob-request.ts';
import type { BlobBytes, BlobResponder } from './blob-responder.ts';
import type { ProxyLimits } from './limits.ts';
import { parseManifestRequest } from './manifest-request.ts';
import type { ManifestResponder } from './manifest-responder.ts';
import { passThrough } from './pass-through.ts';
import type { AcceptedRequest } from './ports.ts';
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

/** Sorts requests for a registry: blobs and manifests to their sources, all else to the registry as it came. */
export class RegistryHandler {
  readonly #upstreams: ReadonlyMap<RegistryHost, RegistryUpstream>;
  readonly #blobs: BlobResponder;
  readonly #manifests: ManifestResponder | undefined;
  readonly #limits: ProxyLimits;
  readonly #onServed: (bytes: BlobBytes) => void;
  readonly #onAccepted: ((accepted: AcceptedRequest) => void) | undefined;

  constructor(options: {
    upstreams: ReadonlyMap<RegistryHost, RegistryUpstream>;
    blobs: BlobResponder;
    manifests: ManifestResponder | undefined;
    limits: ProxyLimits;
    onServed: (bytes: BlobBytes) => void;
    onAccepted: ((accepted: AcceptedRequest) => void) | undefined;
  }) {
    this.#upstreams = options.upstreams;
    this.#blobs = options.blobs;
    this.#manifests = options.manifests;
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
    const host = hostHeader === undefined ? {} : { hostHeader };
    const question = parseManifestRequest(request, { registry, path });
    const manifest = question && { request, response, question, upstream, path, ...host, signal };
    if (manifest !== undefined && (await this.#manifests?.respond(manifest)) === true) return;
    if (signal.aborted) return;
    const outcome = await passThrough({
      request,
      response,
      upstream,
      path,
      ...host,
      limits: this.#limits,
      signal,
    });
    const { authorization } = request.headers;
    const isAccepted = (request.method === 'GET' || request.method === 'HEAD') && outcome.status === 200;
    if (isAccepted && authorization !== undefined) this.#onAccepted?.({ registry, path, authorization });
    const isBlob = blobRequest?.intent === 'pull' && (outcome.status === 200 || outcome.status === 206);
    if (isBlob) this.#onServed({ registry: outcome.bytes, peers: 0, cache: 0 });
  }
}
