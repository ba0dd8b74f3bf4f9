import { createHash } from 'node:crypto';
import type { Readable } from 'node:stream';
import {
  AppError,
  type BlobRef,
  type Digest,
  digestFromSha256,
  isAppError,
  isDigest,
  type RegistryHost,
  systemClock,
} from '@sealift/core';
import { type BasicChallenge, type BearerChallenge, parseChallenge } from './auth-challenge.ts';
import { checkAuthorization } from './authorization.ts';
import { BlobBody } from './blob-body.ts';
import { formatBlobPath } from './blob-path.ts';
import { ConnectionPools, type Connections } from './connections.ts';
import { parseContentLength, parseContentRange } from './content-range.ts';
import { type Answer, discard, type ExchangeOptions, exchange, readBody } from './exchange.ts';
import { byteVerdict, FIRST_BYTE, type HeadVerdict, headVerdict, leadsElsewhere } from './head-verdict.ts';
import { formatManifestPath } from './manifest-path.ts';
import type { ProbeAnswer } from './probe.ts';
import { isRedirect, MAX_REDIRECTS, redirectTarget } from './redirect.ts';
import { isTag } from './reference.ts';
import type { RegistryConfig } from './registry-config.ts';
import { parseRetryAfter } from './retry-after.ts';
import { upstreamOrigin } from './upstream.ts';

/** Longest manifest, in bytes: what the OCI distribution-spec asks registries to accept. */
const MAX_MANIFEST_BYTES = 4 * 1024 * 1024;
/** The types of manifests that clients of today ask for (OCI image-spec, Docker image manifest v2.2). */
export const MANIFEST_TYPES: readonly string[] = [
  'application/vnd.oci.image.index.v1+json',
  'application/vnd.oci.image.manifest.v1+json',
  'application/vnd.docker.distribution.manifest.list.v2+json',
  'application/vnd.docker.distribution.manifest.v2+json',
];
const ACCEPTED_MANIFESTS = MANIFEST_TYPES.join(', ');

/** Settings of a {@link RegistryClient}. */
export interface RegistryClientOptions {
  /** The only registries that are ever asked. */
  readonly registries: readonly RegistryConfig[];
  /** Longest wait for the headers of one answer, in ms, connecting included. @default 30_000 */
  readonly headersTimeoutMs?: number;
  /** Longest pause inside a body, in ms, while the reader keeps up; for a manifest, its whole transfer. @default 30_000 */
  readonly bodyTimeoutMs?: number;
  /** Longest wait for TCP and TLS, in ms. @default 10_000 */
  readonly connectTimeoutMs?: number;
}

/** A blob that the registry sends. `body` starts at `offset` and is **not verified**. */
export interface RegistryBlob {
  /** Bytes of the whole blob; `undefined` if the registry does not say. */
  readonly size: number | undefined;
  readonly offset: number;
  /** Where the body ends, exclusive, if the registry says so. */
  readonly end: number | undefined;
  readonly body: Readable;
}

/** A registry's answer to a manifest request, whatever its status. A manifest asked for by digest is verified. */
export interface ManifestAnswer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly body: Buffer;
}

/** What a registry says to a HEAD of a manifest, whatever its status. */
export interface ReferenceAnswer {
  readonly status: number;
  /** What a tag stands for, if it says so. */
  readonly digest: Digest | undefined;
  /** What it wants to be shown. */
  readonly challenge: BearerChallenge | BasicChallenge | undefined;
}

/**
 * The client half of the OCI distribution-spec, for reading. It asks configured registries only, over verified HTTPS, with
 * the header that the caller passes, and keeps no credential. All methods throw `REGISTRY_UNKNOWN` for another registry and
 * `AUTHORIZATION_INVALID` for a header that cannot be sent; after an abort, the signal's reason. No error names a URL
 * or a credential.
 */
export class RegistryClient {
  readonly #connections: Connections;
  readonly #timeouts: { readonly headersTimeoutMs: number; readonly bodyTimeoutMs: number };

  constructor({
    registries,
    headersTimeoutMs = 30_000,
    bodyTimeoutMs = 30_000,
    connectTimeoutMs = 10_000,
  }: RegistryClientOptions) {
    this.#connections = new ConnectionPools({ registries, connectTimeoutMs });
    this.#timeouts = { headersTimeoutMs, bodyTimeoutMs };
  }

  /** Takes the place of what is configured for this registry, from the next request on. Throws `CONFIG_INVALID`. */
  replace(config: RegistryConfig): void {
    this.#connections.replace(config);
  }

  /** Whether `registry` is one of the configured ones. */
  isConfigured(registry: RegistryHost): boolean {
    return this.#connections.has(registry);
  }

  /** Whether it is shown a client certificate of this process, so that its yes may be one to that. */
  showsCertificate(registry: RegistryHost): boolean {
    return this.#connections.showsCertificate(registry);
  }

  /**
   * Asks whether whoever holds `authorization` may pull `blob`, by a HEAD of that very blob. A redirect alone proves nothing:
   * the blob's first byte is asked for where it leads, and if nothing comes from there, at the registry, as a client that pulls
   * would ask: a presigned URL may be good for a HEAD only. See {@link HeadVerdict}.
   */
  async headBlob(
    blob: BlobRef,
    { authorization, signal }: { authorization: string | undefined; signal: AbortSignal },
  ): Promise<HeadVerdict> {
    const { bodyTimeoutMs } = this.#timeouts;
    const from = blobUrl(blob);
    try {
      const options = this.#options('HEAD', 'calls', { registry: blob.registry, authorization, signal });
      const answer = await exchange(from, options);
      discard(answer, bodyTimeoutMs);
      if (!leadsElsewhere(answer)) return headVerdict(answer, blob.digest);
      const question = { ...options, method: 'GET', headers: { ...options.headers, range: FIRST_BYTE } } as const;
      const target = redirectTarget(answer.headers['location'], from);
      const verdict = await this.#askForByte(blob.digest, { from, target, question });
      return verdict.kind === 'yes' ? verdict : await this.#askForByte(blob.digest, { from, target: from, question });
    } catch (error) {
      signal.throwIfAborted();
      if (!isAppError(error, 'REGISTRY_UNAVAILABLE')) throw error;
      return { kind: 'unavailable', reason: String(error.details['reason']) };
    }
  }

  /**
   * Asks whether whoever holds `authorization` may pull the manifest `digest` from its repository, by a HEAD of that very
   * manifest. A redirect says nothing. See {@link HeadVerdict}.
   */
  async headManifest(
    { registry, repository, digest }: BlobRef,
    { authorization, signal }: { authorization: string | undefined; signal: AbortSignal },
  ): Promise<HeadVerdict> {
    const options = this.#options('HEAD', 'calls', { registry, authorization, signal });
    const url = new URL(formatManifestPath({ repository, digest }), upstreamOrigin(registry));
    try {
      const answer = await exchange(url, { ...options, headers: { ...options.headers, accept: ACCEPTED_MANIFESTS } });
      discard(answer, this.#timeouts.bodyTimeoutMs);
      return headVerdict(answer, digest);
    } catch (error) {
      signal.throwIfAborted();
      if (!isAppError(error, 'REGISTRY_UNAVAILABLE')) throw error;
      return { kind: 'unavailable', reason: String(error.details['reason']) };
    }
  }

  /**
   * Asks what a tag stands for, by a HEAD, which no registry counts as a pull. Throws `REFERENCE_INVALID` for what is neither
   * tag nor digest, and `REGISTRY_UNAVAILABLE`.
   */
  async headReference({
    registry,
    repository,
    reference,
    authorization,
    signal,
  }: Omit<BlobRef, 'digest'> & {
    reference: string;
    authorization: string | undefined;
    signal: AbortSignal;
  }): Promise<ReferenceAnswer> {
    const options = this.#options('HEAD', 'calls', { registry, authorization, signal });
    const url = manifestUrl({ registry, repository, reference });
    const answer = await exchange(url, { ...options, headers: { ...options.headers, accept: ACCEPTED_MANIFESTS } });
    discard(answer, this.#timeouts.bodyTimeoutMs);
    const { 'www-authenticate': wanted, 'docker-content-digest': said } = answer.headers;
    return {
      status: answer.statusCode,
      digest: typeof said === 'string' && isDigest(said) ? said : undefined,
      challenge: wanted === undefined ? undefined : parseChallenge([wanted].flat().join(', ')),
    };
  }

  /**
   * What the registry says to one request at `path`, a HEAD, or a GET of `/v2/`, where not all take a HEAD. Nothing is
   * followed. Throws `REGISTRY_UNAVAILABLE`.
   */
  async probe(
    { registry, path }: { registry: RegistryHost; path: string },
    { authorization, signal }: { authorization: string | undefined; signal: AbortSignal },
  ): Promise<ProbeAnswer> {
    // Anything else could name another host (RFC 3986 §4.2).
    if (!path.startsWith('/v2/')) throw new TypeError('not a path of the distribution API');
    const options = this.#options(path === '/v2/' ? 'GET' : 'HEAD', 'calls', { registry, authorization, signal });
    // Without it some registries know no manifest of today's types.
    const accept = path.includes('/manifests/') ? { accept: ACCEPTED_MANIFESTS } : {};
    const url = new URL(path, upstreamOrigin(registry));
    const answer = await exchange(url, { ...options, headers: { ...options.headers, ...accept } });
    discard(answer, this.#timeouts.bodyTimeoutMs);
    const header = answer.headers['www-authenticate'];
    const challenge = header === undefined ? undefined : parseChallenge([header].flat().join(', '));
    const service = challenge?.scheme === 'bearer' ? challenge.service : undefined;
    return { status: answer.statusCode, service, challenge };
  }

  /**
   * Opens `blob` from byte `offset` on. Throws `REGISTRY_REFUSED` with the status where the registry says no (401, 403,
   * 404), and `REGISTRY_UNAVAILABLE` for anything else but the bytes asked for: a 200 to a request for a range too, unless
   * that begins with the blob. With `end` it asks for the bytes before that only.
   */
  async openBlob(
    blob: BlobRef,
    {
      authorization,
      offset = 0,
      end,
      signal,
    }: { authorization: string | undefined; offset?: number; end?: number; signal: AbortSignal },
  ): Promise<RegistryBlob> {
    const options = this.#options('GET', 'blobs', { registry: blob.registry, authorization, signal });
    const isPart = offset > 0 || end !== undefined;
    const range = isPart ? { range: `bytes=${offset}-${end === undefined ? '' : end - 1}` } : {};
    const from = blobUrl(blob);
    const { answer, url } = await this.#follow(from, { ...options, headers: { ...options.headers, ...range } });
    try {
      // A no of a host that we were sent to, such as a signed URL that has ended, is not the registry's no.
      if (url.origin !== from.origin && answer.statusCode >= 400) {
        throw outOfOrder('the host that the registry redirects to refuses', answer.statusCode, answer.headers);
      }
      const isWhole = !isPart || (offset === 0 && answer.statusCode === 200);
      const extent = isWhole ? extentOfWhole(answer) : extentOfPart(answer, { offset, end });
      return { ...extent, offset, body: new BlobBody(answer.body, { signal }) };
    } catch (error) {
      discard(answer, this.#timeouts.bodyTimeoutMs);
      throw error;
    }
  }

  /**
   * Fetches a manifest by tag or digest. Any status but a redirect is an answer. Throws `REFERENCE_INVALID` for what is
   * neither tag nor digest, `REGISTRY_UNAVAILABLE` for a body above `maxBytes` or one that does not match its digest.
   */
  async fetchManifest({
    registry,
    repository,
    reference,
    authorization,
    accept = MANIFEST_TYPES,
    maxBytes = MAX_MANIFEST_BYTES,
    signal,
  }: Omit<BlobRef, 'digest'> & {
    reference: string;
    authorization: string | undefined;
    accept?: readonly string[];
    /** @default 4 MiB */
    maxBytes?: number;
    signal: AbortSignal;
  }): Promise<ManifestAnswer> {
    const options = this.#options('GET', 'calls', { registry, authorization, signal });
    const url = manifestUrl({ registry, repository, reference });
    const { answer } = await this.#follow(url, {
      ...options,
      headers: { ...options.headers, accept: accept.join(', ') },
    });
    const timeoutMs = this.#timeouts.bodyTimeoutMs;
    const body = await readBody(answer, { maxBytes, timeoutMs, signal });
    if (answer.statusCode === 200 && isDigest(reference)) {
      const digest = digestFromSha256(createHash('sha256').update(body).digest());
      if (digest !== reference) throw outOfOrder('a manifest that does not match its digest');
    }
    return { status: answer.statusCode, headers: answer.headers, body };
  }

  /** Cuts all connections; what is under way fails with `REGISTRY_UNAVAILABLE`. Safe to call twice. */
  async close(): Promise<void> {
    await this.#connections.close();
  }

  #options(
    method: ExchangeOptions['method'],
    purpose: 'calls' | 'blobs',
    {
      registry,
      authorization,
      signal,
    }: { registry: RegistryHost; authorization: string | undefined; signal: AbortSignal },
  ): ExchangeOptions {
    const credential = authorization === undefined ? {} : { authorization: checkAuthorization(authorization) };
    return {
      method,
      // Digests and Content-Length are about the bytes as they are stored.
      headers: { 'accept-encoding': 'identity', 'user-agent': 'sealift', ...credential },
      dispatcher: this.#connections.dispatcher(registry, purpose),
      ...this.#timeouts,
      signal,
    };
  }

  /** Asks `target`, which is the registry or where it led, for the first byte of a blob. */
  async #askForByte(
    digest: Digest,
    { from, target, question }: { from: URL; target: URL; question: ExchangeOptions },
  ): Promise<HeadVerdict> {
    try {
      const headers = target.origin === from.origin ? question.headers : withoutCredential(question.headers);
      const { answer, url } = await this.#follow(target, { ...question, headers });
      discard(answer, question.bodyTimeoutMs);
      return byteVerdict(answer, digest, { isElsewhere: url.origin !== from.origin });
    } catch (error) {
      question.signal.throwIfAborted();
      if (!isAppError(error, 'REGISTRY_UNAVAILABLE')) throw error;
      return { kind: 'unavailable', reason: String(error.details['reason']) };
    }
  }

  /** The answer at the end of the redirects, and where that is. */
  async #follow(from: URL, options: ExchangeOptions): Promise<{ answer: Answer; url: URL }> {
    let url = from;
    let { headers } = options;
    for (let hops = 0; ; hops += 1) {
      const answer = await exchange(url, { ...options, headers });
      if (!isRedirect(answer.statusCode)) return { answer, url };
      discard(answer, options.bodyTimeoutMs);
      if (hops === MAX_REDIRECTS) throw outOfOrder('too many redirects');
      const target = redirectTarget(answer.headers['location'], url);
      if (target.origin !== url.origin) {
        // Once off, for good: the next host could otherwise send it back with a path of its choosing.
        headers = withoutCredential(headers);
      }
      url = target;
    }
  }
}

function withoutCredential({ authorization: _, ...others }: ExchangeOptions['headers']): ExchangeOptions['headers'] {
  return others;
}

function blobUrl(blob: BlobRef): URL {
  return new URL(formatBlobPath(blob), upstreamOrigin(blob.registry));
}

/** Throws `REFERENCE_INVALID`: anything else could lead elsewhere. */
function manifestUrl({ registry, repository, reference }: Omit<BlobRef, 'digest'> & { reference: string }): URL {
  if (!isTag(reference) && !isDigest(reference)) {
    throw new AppError('REFERENCE_INVALID', { reason: 'neither a tag nor a digest' });
  }
  return new URL(`/v2/${repository}/manifests/${reference}`, upstreamOrigin(registry));
}

type Extent = Pick<RegistryBlob, 'size' | 'end'>;

/** Checks an answer with the whole blob. */
function extentOfWhole({ statusCode, headers }: Answer): Extent {
  refuseUnless(200, statusCode, headers);
  refuseEncoded(headers);
  const size = parseContentLength(headers['content-length']);
  return { size, end: size };
}

/** Checks an answer to a request for all from `offset` on, or up to `end` (RFC 9110 §15.3.7). */
function extentOfPart(
  { statusCode, headers }: Answer,
  { offset, end }: { offset: number; end: number | undefined },
): Extent {
  if (statusCode === 200) throw outOfOrder('the registry ignores Range', statusCode);
  refuseUnless(206, statusCode, headers);
  refuseEncoded(headers);
  const range = parseContentRange(headers['content-range']);
  const last = end === undefined || (range?.size ?? end) < end ? range?.size : end;
  const isAskedFor = range?.first === offset && (last === undefined || range.last === last - 1);
  if (range === undefined || !isAskedFor) throw outOfOrder('another range than asked for', statusCode);
  // The parser holds the body to Content-Length; without one, nobody would notice a short body.
  if (parseContentLength(headers['content-length']) !== range.last - range.first + 1) {
    throw outOfOrder('a range whose length is not its Content-Length', statusCode);
  }
  return { size: range.size, end: range.last + 1 };
}

function refuseUnless(expected: number, status: number, headers: Answer['headers']): void {
  if (status === expected) return;
  if (status === 401 || status === 403 || status === 404) throw new AppError('REGISTRY_REFUSED', { status });
  throw outOfOrder('an unexpected status', status, headers);
}

function refuseEncoded(headers: Answer['headers']): void {
  const encoding = headers['content-encoding'];
  if (encoding !== undefined && encoding !== 'identity') throw outOfOrder('an encoded body that was not asked for');
}

function outOfOrder(reason: string, status?: number, headers?: Answer['headers']): AppError {
  const { 'retry-after': retryAfter, date } = headers ?? {};
  const retryAfterMs = parseRetryAfter(retryAfter, { date, now: systemClock.now() });
  return new AppError('REGISTRY_UNAVAILABLE', { reason, status, retryAfterMs });
}
