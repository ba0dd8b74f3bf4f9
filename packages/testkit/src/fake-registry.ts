import { createHash } from 'node:crypto';
import { EventEmitter, once } from 'node:events';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { type Digest, digestFromSha256, parseRegistryHost, parseRepository, type RegistryHost } from '@sealift/core';
import { sendFakeBody } from './fake-blob-response.ts';
import { type FakeFault, type FakeFaultRule, FakeFaults } from './fake-faults.ts';
import { FakeTokenOffice, sendJson } from './fake-token-office.ts';
import { HeldBody } from './held-body.ts';
import { type CertifiedNames, createLoopbackCertificate, type LoopbackCertificate } from './loopback-certificate.ts';
import { LoopbackServer } from './loopback-server.ts';

/** How a fake registry is set up. */
export interface FakeRegistryOptions {
  /** Who may pull: everybody, users with Basic, or holders of a token of its realm. @default 'anonymous' */
  readonly auth?: 'anonymous' | 'basic' | 'bearer';
  /** Blob requests are sent on to a CDN on another port, with a signed URL, as Docker Hub does. @default false */
  readonly isRedirecting?: boolean;
  /** Names in its certificate, for a registry that is not what it says. @default loopback */
  readonly certifiedFor?: CertifiedNames;
  /** When its certificate was issued, for an hour, in ms since the epoch. @default now */
  readonly certifiedAt?: number;
  /** The registry itself hears only those who show a certificate of this CA. CDN and realm ask for none. */
  readonly clientCaPem?: string;
}

/** What was asked about one blob, at the registry or its CDN. */
export interface FakeBlobCounts {
  /** GETs that reached the registry, refused ones included; those at the CDN are not counted again. */
  readonly gets: number;
  readonly heads: number;
  /** Body bytes given to clients, by registry and CDN together. */
  readonly bytesSent: number;
}

/** One request as a server of the fake saw it. */
export interface FakeRequest {
  readonly at: 'registry' | 'cdn' | 'realm';
  readonly method: string;
  /** Path and query. */
  readonly path: string;
  readonly headers: IncomingMessage['headers'];
}

interface Manifest {
  readonly bytes: Uint8Array;
  readonly mediaType: string;
}

const BLOB = /^\/v2\/(?<repository>.+)\/blobs\/(?<digest>sha256:[0-9a-f]{64})$/;
const MANIFEST = /^\/v2\/(?<repository>.+)\/manifests\/(?<reference>[^/]+)$/;
const CDN_SIGNATURE = 'fake-cdn-signature';

/**
 * An OCI registry on loopback, over HTTPS with a CA of its own that lives as long as it does: per-repository blobs and
 * manifests, the three kinds of authentication, a CDN, and faults and delays under the control of the test. What it does
 * follows `distribution` 2.8 as far as clients see it.
 */
export class FakeRegistry {
  /** Users and tokens; `tokens.issue` makes one without asking the realm. */
  readonly tokens = new FakeTokenOffice();
  /** Every request so far, in order. */
  readonly requests: FakeRequest[] = [];
  readonly #auth: 'anonymous' | 'basic' | 'bearer';
  readonly #certifiedFor: CertifiedNames | undefined;
  readonly #certifiedAt: number | undefined;
  readonly #clientCaPem: string | undefined;
  readonly #faults = new FakeFaults();
  readonly #held = new Map<Digest, HeldBody>();
  readonly #blobs = new Map<Digest, Uint8Array>();
  readonly #repositories = new Map<string, { blobs: Set<Digest>; manifests: Map<string, Manifest> }>();
  readonly #counts = new Map<string, { gets: number; heads: number; bytesSent: number }>();
  readonly #events = new EventEmitter();
  #servers: { registry: LoopbackServer; cdn: LoopbackServer; realm: LoopbackServer } | undefined;
  #certificate: LoopbackCertificate | undefined;
  /** Blob requests are sent on to the CDN. Can be switched at any time. */
  isRedirecting: boolean;

  constructor({
    auth = 'anonymous',
    isRedirecting = false,
    certifiedFor,
    certifiedAt,
    clientCaPem,
  }: FakeRegistryOptions = {}) {
    this.#clientCaPem = clientCaPem;
    this.#certifiedFor = certifiedFor;
    this.#certifiedAt = certifiedAt;
    this.#auth = auth;
    this.isRedirecting = isRedirecting;
  }

  /** Makes the certificates and opens three ports: registry, CDN and token realm. */
  async start(): Promise<void> {
    if (this.#servers !== undefined) return;
    this.#certificate ??= await createLoopbackCertificate(this.#certifiedFor, { issuedAt: this.#certifiedAt });
    const serve = (at: FakeRequest['at'], handle: (request: IncomingMessage, response: ServerResponse) => void) =>
      new LoopbackServer(
        this.#theCertificate(),
        (request, response) => {
          const { method = 'GET', url = '/', headers } = request;
          this.requests.push({ at, method, path: url, headers });
          handle(request, response);
          this.#events.emit('request');
        },
        { clientCaPem: at === 'registry' ? this.#clientCaPem : undefined },
      );
    this.#servers = {
      registry: serve('registry', (request, response) => this.#serveRegistry(request, response)),
      cdn: serve('cdn', (request, response) => this.#serveCdn(request, response)),
      realm: serve('realm', (request, response) => {
        this.tokens.handle(request, response).catch(() => response.destroy());
      }),
    };
    await Promise.all(Object.values(this.#servers).map((server) => server.start()));
  }

  /** Cuts all connections and closes the ports. */
  async stop(): Promise<void> {
    const servers = this.#servers;
    this.#servers = undefined;
    if (servers !== undefined) await Promise.all(Object.values(servers).map((server) => server.stop()));
    for (const held of this.#held.values()) held.releaseAll();
  }

  /** The registry as image names spell it: `127.0.0.1:<port>`. */
  get host(): RegistryHost {
    return parseRegistryHost(this.#running().registry.host);
  }

  /** The CA that all three servers show a certificate of. */
  get caPem(): string {
    return this.#theCertificate().caPem;
  }

  /** What a `RegistryClient` wants to know of it. */
  get config(): { registry: RegistryHost; caPem: string } {
    return { registry: this.host, caPem: this.caPem };
  }

  /** The URL of the token realm. */
  get realm(): string {
    return `https://${this.#running().realm.host}/token`;
  }

  /** `127.0.0.1:<port>` of the CDN. */
  get cdnHost(): string {
    return this.#running().cdn.host;
  }

  /** Connections open at registry and CDN. */
  get connectionCount(): number {
    const { registry, cdn } = this.#running();
    return registry.connectionCount + cdn.connectionCount;
  }

  /** Cuts all connections to registry and CDN, and goes on serving. */
  cutConnections(): void {
    const { registry, cdn } = this.#running();
    registry.cut();
    cdn.cut();
  }

  /** Resolves when registry and CDN have no connection open. */
  async idle(): Promise<void> {
    const { registry, cdn } = this.#running();
    while (this.connectionCount > 0) await Promise.all([registry.idle(), cdn.idle()]);
  }

  /** Puts a blob into a repository. Equal bytes in two repositories are two rights to one digest. */
  addBlob(repository: string, bytes: Uint8Array): Digest {
    const digest = digestOf(bytes);
    this.#blobs.set(digest, bytes);
    this.#repository(repository).blobs.add(digest);
    return digest;
  }

  /** Puts a manifest into a repository, under its digest and a tag. An object is written as JSON. */
  addManifest(
    repository: string,
    tag: string,
    manifest: object | Uint8Array,
    mediaType = 'application/vnd.oci.image.manifest.v1+json',
  ): Digest {
    const bytes = manifest instanceof Uint8Array ? manifest : Buffer.from(JSON.stringify(manifest), 'utf8');
    const digest = digestOf(bytes);
    for (const reference of [tag, digest]) this.#repository(repository).manifests.set(reference, { bytes, mediaType });
    return digest;
  }

  /** Makes the next requests for `key`, a digest or a tag, go wrong. */
  fail(key: string, fault: FakeFault, rule: FakeFaultRule = {}): void {
    this.#faults.add(key, fault, rule);
  }

  /** Holds back the bodies of a blob, running and future ones, until the test releases them. */
  hold(digest: Digest): HeldBody {
    const held = this.#held.get(digest) ?? new HeldBody();
    this.#held.set(digest, held);
    return held;
  }

  /** The counters of a digest or tag. */
  counts(key: string): FakeBlobCounts {
    return { ...this.#countsOf(key) };
  }

  /** Resolves once `key` has been asked for with `method` at least `count` times. */
  async received(method: 'GET' | 'HEAD', key: string, count = 1): Promise<void> {
    const enough = (): boolean => this.#countsOf(key)[method === 'GET' ? 'gets' : 'heads'] >= count;
    while (!enough()) await once(this.#events, 'request');
  }

  #serveRegistry(request: IncomingMessage, response: ServerResponse): void {
    const { pathname } = new URL(request.url ?? '/', 'https://registry.invalid');
    const blob = BLOB.exec(pathname)?.groups;
    const manifest = MANIFEST.exec(pathname)?.groups;
    const repository = blob?.['repository'] ?? manifest?.['repository'];
    const key = blob?.['digest'] ?? manifest?.['reference'];
    if (request.method !== 'GET' && request.method !== 'HEAD') {
      sendError(response, 405, 'UNSUPPORTED');
      return;
    }
    if (key !== undefined) this.#countsOf(key)[request.method === 'HEAD' ? 'heads' : 'gets'] += 1;
    const fault = key === undefined ? undefined : this.#faults.take(key, 'registry', request.method);
    // A struck request need not have a right: a broken registry asks nobody.
    if (fault?.kind !== 'status' && !this.#authorize(request, response, repository)) return;
    if (repository === undefined || key === undefined) sendJson(response, pathname === '/v2/' ? 200 : 404, {});
    else if (manifest !== undefined) this.#sendManifest(request, response, { repository, key, fault });
    else this.#sendBlob(request, response, { repository, digest: key as Digest, fault });
  }

  #authorize(request: IncomingMessage, response: ServerResponse, repository: string | undefined): boolean {
    if (this.#auth === 'anonymous') return true;
    const right = this.tokens.rightOf(request.headers.authorization, this.#auth);
    if (right !== undefined && (repository === undefined || right.repositories.has(repository))) return true;
    if (this.#auth === 'basic') {
      if (right === undefined) sendError(response, 401, 'UNAUTHORIZED', { 'www-authenticate': 'Basic realm="fake"' });
      else sendError(response, 403, 'DENIED');
      return false;
    }
    const scope = repository === undefined ? '' : `,scope="repository:${repository}:pull"`;
    const reason = right === undefined ? '' : ',error="insufficient_scope"';
    const challenge = `Bearer realm="${this.realm}",service="${this.tokens.service}"${scope}${reason}`;
    sendError(response, 401, 'UNAUTHORIZED', { 'www-authenticate': challenge });
    return false;
  }

  #sendBlob(
    request: IncomingMessage,
    response: ServerResponse,
    { repository, digest, fault }: { repository: string; digest: Digest; fault: FakeFault | undefined },
  ): void {
    const bytes = this.#blobs.get(digest);
    if (fault === undefined && (bytes === undefined || !this.#repositories.get(repository)?.blobs.has(digest))) {
      sendError(response, 404, 'BLOB_UNKNOWN');
    } else if (fault === undefined && this.isRedirecting) {
      const location = `https://${this.cdnHost}/${digest}?signature=${CDN_SIGNATURE}`;
      response.writeHead(307, { location, 'docker-content-digest': digest }).end();
    } else this.#sendBytes(request, response, digest, fault);
  }

  #sendManifest(
    request: IncomingMessage,
    response: ServerResponse,
    { repository, key, fault }: { repository: string; key: string; fault: FakeFault | undefined },
  ): void {
    const manifest = this.#repositories.get(repository)?.manifests.get(key);
    if (manifest === undefined && fault === undefined) {
      sendError(response, 404, 'MANIFEST_UNKNOWN');
      return;
    }
    const { bytes, mediaType } = manifest ?? { bytes: new Uint8Array(), mediaType: 'text/plain' };
    const headers = { 'content-type': mediaType, 'docker-content-digest': digestOf(bytes) };
    this.#send(request, response, { key, bytes, headers, fault, held: undefined });
  }

  #serveCdn(request: IncomingMessage, response: ServerResponse): void {
    const url = new URL(request.url ?? '/', 'https://cdn.invalid');
    const digest = url.pathname.slice(1) as Digest;
    const isSigned = url.searchParams.get('signature') === CDN_SIGNATURE;
    // As S3 does: a second way of authentication beside the signature is refused.
    if (request.headers.authorization !== undefined) sendError(response, 400, 'InvalidArgument');
    else if (!isSigned || !this.#blobs.has(digest)) sendError(response, 403, 'AccessDenied');
    else this.#sendBytes(request, response, digest, this.#faults.take(digest, 'cdn', request.method));
  }

  #sendBytes(request: IncomingMessage, response: ServerResponse, digest: Digest, fault: FakeFault | undefined): void {
    const headers = { 'content-type': 'application/octet-stream', 'docker-content-digest': digest };
    const bytes = this.#blobs.get(digest) ?? new Uint8Array();
    this.#send(request, response, { key: digest, bytes, headers, fault, held: this.#held.get(digest) });
  }

  #send(
    request: IncomingMessage,
    response: ServerResponse,
    { key, ...body }: Omit<Parameters<typeof sendFakeBody>[2], 'onSent'> & { key: string },
  ): void {
    const onSent = (bytes: number): void => {
      this.#countsOf(key).bytesSent += bytes;
    };
    sendFakeBody(request, response, { ...body, onSent }).catch(() => response.destroy());
  }

  #countsOf(key: string): { gets: number; heads: number; bytesSent: number } {
    const counts = this.#counts.get(key) ?? { gets: 0, heads: 0, bytesSent: 0 };
    this.#counts.set(key, counts);
    return counts;
  }

  #repository(name: string): { blobs: Set<Digest>; manifests: Map<string, Manifest> } {
    const repository = this.#repositories.get(parseRepository(name)) ?? { blobs: new Set(), manifests: new Map() };
    this.#repositories.set(name, repository);
    return repository;
  }

  #running(): { registry: LoopbackServer; cdn: LoopbackServer; realm: LoopbackServer } {
    if (this.#servers === undefined) throw new Error('the fake registry is not running');
    return this.#servers;
  }

  #theCertificate(): LoopbackCertificate {
    if (this.#certificate === undefined) throw new Error('the fake registry has not been started');
    return this.#certificate;
  }
}

function digestOf(bytes: Uint8Array): Digest {
  return digestFromSha256(createHash('sha256').update(bytes).digest());
}

function sendError(response: ServerResponse, status: number, code: string, headers: Record<string, string> = {}): void {
  sendJson(response, status, { errors: [{ code, message: code.toLowerCase() }] }, headers);
}
