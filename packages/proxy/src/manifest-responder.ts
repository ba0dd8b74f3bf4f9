import { createHash } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { AppError, type Digest, digestFromSha256, isDigest, type Logger } from '@sealift/core';
import { exchange } from './exchange.ts';
import type { ProxyLimits } from './limits.ts';
import type { ManifestQuestion } from './manifest-request.ts';
import { requestHeaders } from './pass-through.ts';
import type { AcceptedRequest, ManifestSource, UnverifiedManifest } from './ports.ts';
import type { Upstream } from './upstream.ts';

/** A GET of a manifest, and where its answer goes; `signal` aborts when the client has gone. */
interface ManifestExchange {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  readonly question: ManifestQuestion;
  readonly upstream: Upstream;
  /** As the registry shall see it. */
  readonly path: string;
  /** Replaces the client's Host where that named us, not the upstream. */
  readonly hostHeader?: string;
  readonly signal: AbortSignal;
}

/** What the registry says that a reference stands for. */
interface Named {
  readonly digest: Digest;
  /** Absent where nobody was asked. */
  readonly mediaType?: string;
}

/**
 * Answers GETs of manifests from the cluster. What a tag stands for is asked of the registry each time, by a HEAD with the
 * runtime's own head over this node's own connection. Only the bytes come from elsewhere, and only those that match the
 * digest. Whatever does not work out is passed through.
 */
export class ManifestResponder {
  readonly #manifests: ManifestSource;
  readonly #limits: ProxyLimits;
  readonly #log: Logger;
  readonly #onAccepted: ((accepted: AcceptedRequest) => void) | undefined;

  /** With `onAccepted` the registry is asked by this node itself about digests too, so that there is something to tell of. */
  constructor(options: {
    manifests: ManifestSource;
    limits: ProxyLimits;
    log: Logger;
    onAccepted?: ((accepted: AcceptedRequest) => void) | undefined;
  }) {
    this.#manifests = options.manifests;
    this.#limits = options.limits;
    this.#log = options.log;
    this.#onAccepted = options.onAccepted;
  }

  /** Answers and resolves with `true`; or with `false` and nothing sent, if the request is to be passed through. */
  async respond(exchanged: ManifestExchange): Promise<boolean> {
    const { response, question, signal } = exchanged;
    const { registry, repository } = question;
    const inTime = AbortSignal.any([signal, AbortSignal.timeout(this.#limits.manifestTimeoutMs)]);
    try {
      const named = await this.#nameOf(exchanged, inTime);
      if (named === undefined) return false;
      const manifest = await this.#fetch(question, named, inTime);
      if (manifest === undefined || signal.aborted) return false;
      send(response, named.digest, manifest);
      this.#log.debug('manifest_served', { registry, repository, digest: named.digest, size: manifest.bytes.length });
      return true;
    } catch (error) {
      if (!signal.aborted) this.#log.warn('manifest_fallback', { registry, repository, error });
      return false;
    }
  }

  /** `undefined` if the registry does not say what we could go by. */
  async #nameOf(exchanged: ManifestExchange, signal: AbortSignal): Promise<Named | undefined> {
    const { reference, accepted, registry, authorization } = exchanged.question;
    if (reference.kind === 'digest' && this.#onAccepted === undefined) return { digest: reference.digest };
    const { request, upstream, path, hostHeader } = exchanged;
    const answer = await exchange({
      upstream,
      request: { method: 'HEAD', path, headers: requestHeaders(request, hostHeader) },
      isRepeatable: true,
      send: (outgoing) => outgoing.end(),
      isClientSlow: () => false,
      limits: this.#limits,
      signal,
    });
    answer.resume();
    const { 'content-type': mediaType, 'docker-content-digest': said } = answer.headers;
    if (answer.statusCode !== 200) return undefined;
    if (authorization !== undefined) this.#onAccepted?.({ registry, path, authorization });
    const digest = reference.kind === 'digest' ? reference.digest : said;
    const isClear = typeof digest === 'string' && isDigest(digest) && (said === undefined || said === digest);
    return isClear && mediaType !== undefined && accepted.has(mediaType) ? { digest, mediaType } : undefined;
  }

  async #fetch(
    { registry, repository, accepted, authorization }: ManifestQuestion,
    { digest, mediaType }: Named,
    signal: AbortSignal,
  ): Promise<UnverifiedManifest | undefined> {
    const request = { manifest: { registry, repository, digest }, authorization };
    const manifest = await unlessAborted(this.#manifests.fetch(request, { signal }), signal);
    if (manifest === undefined) return undefined;
    if (digestFromSha256(createHash('sha256').update(manifest.bytes).digest()) !== digest)
      throw new AppError('PIECE_REJECTED', { reason: 'a manifest of the cluster does not match its digest', digest });
    // Another type is another reading of the same bytes.
    const isMeant = accepted.has(manifest.mediaType) && (mediaType ?? manifest.mediaType) === manifest.mediaType;
    return isMeant ? manifest : undefined;
  }
}

function send(response: ServerResponse, digest: Digest, { bytes, mediaType }: UnverifiedManifest): void {
  response.writeHead(200, {
    'Content-Type': mediaType,
    'Content-Length': bytes.length,
    'Docker-Content-Digest': digest,
    'Docker-Distribution-Api-Version': 'registry/2.0',
    ETag: `"${digest}"`,
  });
  response.end(bytes);
}

async function unlessAborted<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  const { promise: aborted, reject } = Promise.withResolvers<never>();
  const onAbort = (): void => reject(signal.reason);
  signal.addEventListener('abort', onAbort, { once: true });
  if (signal.aborted) onAbort();
  try {
    return await Promise.race([work, aborted]);
  } finally {
    signal.removeEventListener('abort', onAbort);
  }
}
