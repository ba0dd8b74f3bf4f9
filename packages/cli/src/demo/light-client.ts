import { createHash } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import { finished } from 'node:stream/promises';
import {
  AppError,
  type Digest,
  digestFromSha256,
  parseDigest,
  type RegistryHost,
  type Repository,
} from '@sealift/core';
import { parseChallenge } from '@sealift/registry';
import { type Route, readBody, requestOnce } from './proxied-request.ts';

const MANIFEST_TYPE = 'application/vnd.oci.image.manifest.v1+json';
const ACCEPT = `${MANIFEST_TYPE}, application/vnd.docker.distribution.manifest.v2+json`;
/** Longest manifest or token answer, in bytes (the distribution registry's own limit for manifests). */
const MAX_DOCUMENT_BYTES = 4 * 1024 * 1024;
/** Layers in flight, as dockerd's default. */
const CONCURRENT_BLOBS = 3;

/** A blob as a manifest names it. */
export interface Descriptor {
  readonly mediaType: string;
  readonly digest: Digest;
  readonly size: number;
}

/** Is told of the bytes of each blob as they come, in order. */
export type OnBytes = (bytes: number, from: { readonly digest: Digest; readonly chunk: Buffer }) => void;

/** What a pull brought. */
export interface PullResult {
  readonly blobs: readonly Descriptor[];
  readonly bytes: number;
}

/**
 * Pulls and pushes images exactly as a container runtime would, but keeps nothing: CONNECT, TLS, challenge, token,
 * manifest, blobs three at a time, each digest checked. It stands in for dockerd where none is installed.
 */
export class LightClient {
  readonly #route: Route;
  readonly #registry: RegistryHost;
  readonly #repository: Repository;
  readonly #credentials: { readonly username: string; readonly password: string } | undefined;
  #authorization: string | undefined;

  constructor(options: {
    route: Route;
    registry: RegistryHost;
    repository: Repository;
    credentials?: { readonly username: string; readonly password: string };
  }) {
    this.#route = options.route;
    this.#registry = options.registry;
    this.#repository = options.repository;
    this.#credentials = options.credentials;
  }

  /** Pulls `reference`; throws when the registry refuses or a digest does not match. */
  async pull(reference: string, { signal, onBytes }: { signal: AbortSignal; onBytes?: OnBytes }): Promise<PullResult> {
    await this.authorize('pull', signal);
    const response = await this.#request('GET', `manifests/${reference}`, signal, { headers: { accept: ACCEPT } });
    const manifest = JSON.parse((await readBody(expectStatus(response, 200), MAX_DOCUMENT_BYTES)).toString('utf8')) as {
      config: Descriptor;
      layers: readonly Descriptor[];
    };
    const blobs = [manifest.config, ...manifest.layers].map((blob) => ({ ...blob, digest: parseDigest(blob.digest) }));
    const queue = [...new Map(blobs.map((blob) => [blob.digest, blob])).values()];
    const pending = queue.values();
    const work = async (): Promise<void> => {
      for (const blob of pending) await this.#pullBlob(blob, signal, onBytes);
    };
    await Promise.all(Array.from({ length: CONCURRENT_BLOBS }, work));
    return { blobs: queue, bytes: queue.reduce((sum, { size }) => sum + size, 0) };
  }

  /** Pushes blobs and a manifest that names them, config first; answers with the manifest's digest. */
  async push(
    tag: string,
    { config, layers }: { config: Uint8Array; layers: readonly { mediaType: string; bytes: Uint8Array }[] },
    { signal }: { signal: AbortSignal },
  ): Promise<Digest> {
    await this.authorize('pull,push', signal);
    const describe = (mediaType: string, bytes: Uint8Array): Descriptor => ({
      mediaType,
      digest: digestOf(bytes),
      size: bytes.length,
    });
    for (const bytes of [config, ...layers.map((layer) => layer.bytes)]) await this.#pushBlob(bytes, signal);
    const manifest = Buffer.from(
      JSON.stringify({
        schemaVersion: 2,
        mediaType: MANIFEST_TYPE,
        config: describe('application/vnd.oci.image.config.v1+json', config),
        layers: layers.map(({ mediaType, bytes }) => describe(mediaType, bytes)),
      }),
    );
    const response = await this.#request('PUT', `manifests/${tag}`, signal, {
      headers: { 'content-type': MANIFEST_TYPE },
      body: manifest,
    });
    expectStatus(response, 201).resume();
    return digestOf(manifest);
  }

  /** The token dance: an unauthenticated request, its challenge, a token for this repository. Answers with the header. */
  async authorize(actions: string, signal: AbortSignal): Promise<string | undefined> {
    const ping = await requestOnce(this.#route, this.#registry, { method: 'GET', path: '/v2/', signal });
    ping.resume();
    if (ping.statusCode !== 401) return undefined;
    const challenge = parseChallenge(ping.headers['www-authenticate'] ?? '');
    if (challenge?.scheme !== 'bearer')
      throw new AppError('REGISTRY_UNAVAILABLE', { reason: 'it offers no Bearer challenge' });
    const realm = new URL(challenge.realm);
    if (challenge.service !== undefined) realm.searchParams.set('service', challenge.service);
    realm.searchParams.set('scope', `repository:${this.#repository}:${actions}`);
    const response = await requestOnce(this.#route, realm.host as RegistryHost, {
      method: 'GET',
      path: `${realm.pathname}${realm.search}`,
      headers: this.#credentials === undefined ? {} : { authorization: basic(this.#credentials) },
      signal,
    });
    const body = await readBody(expectStatus(response, 200), MAX_DOCUMENT_BYTES);
    this.#authorization = `Bearer ${(JSON.parse(body.toString('utf8')) as { token: string }).token}`;
    return this.#authorization;
  }

  async #pullBlob({ digest, size }: Descriptor, signal: AbortSignal, onBytes?: OnBytes): Promise<void> {
    const response = expectStatus(await this.#request('GET', `blobs/${digest}`, signal), 200);
    const hash = createHash('sha256');
    let length = 0;
    // Not `for await`: it costs several times the rest, and there may be many clients on one machine.
    response.on('data', (chunk: Buffer) => {
      hash.update(chunk);
      length += chunk.length;
      onBytes?.(chunk.length, { digest, chunk });
    });
    await finished(response);
    if (length !== size || digestFromSha256(hash.digest()) !== digest) {
      throw new AppError('PIECE_REJECTED', { reason: 'the blob does not match its digest', digest, length, size });
    }
  }

  async #pushBlob(bytes: Uint8Array, signal: AbortSignal): Promise<void> {
    const start = expectStatus(await this.#request('POST', 'blobs/uploads/', signal), 202);
    start.resume();
    const location = new URL(start.headers.location ?? '', `https://${this.#registry}/`);
    location.searchParams.set('digest', digestOf(bytes));
    const response = await requestOnce(this.#route, this.#registry, {
      method: 'PUT',
      path: `${location.pathname}${location.search}`,
      headers: this.#headers({ 'content-type': 'application/octet-stream' }),
      body: bytes,
      signal,
    });
    expectStatus(response, 201).resume();
  }

  async #request(
    method: string,
    path: string,
    signal: AbortSignal,
    { headers = {}, body }: { headers?: Record<string, string>; body?: Uint8Array } = {},
  ): Promise<IncomingMessage> {
    return await requestOnce(this.#route, this.#registry, {
      method,
      path: `/v2/${this.#repository}/${path}`,
      headers: this.#headers(headers),
      ...(body === undefined ? {} : { body }),
      signal,
    });
  }

  #headers(headers: Record<string, string>): Record<string, string> {
    return this.#authorization === undefined ? headers : { ...headers, authorization: this.#authorization };
  }
}

function expectStatus(response: IncomingMessage, status: number): IncomingMessage {
  if (response.statusCode === status) return response;
  response.destroy();
  throw new AppError('REGISTRY_REFUSED', { status: response.statusCode });
}

function digestOf(bytes: Uint8Array): Digest {
  return digestFromSha256(createHash('sha256').update(bytes).digest());
}

function basic({ username, password }: { username: string; password: string }): string {
  return `Basic ${Buffer.from(`${username}:${password}`).toString('base64')}`;
}
