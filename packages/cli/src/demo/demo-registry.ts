import {
  createHash,
  generateKeyPairSync,
  type KeyObject,
  randomBytes,
  sign,
  timingSafeEqual,
  verify,
} from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';
import https from 'node:https';
import { setTimeout as delay } from 'node:timers/promises';
import type { RegistryCount } from './demo-result.ts';

/** Bytes written between two looks at the rate limit. */
const SLICE = 128 * 1024;
/** Longest body accepted, in bytes: the demo's images are far smaller. */
const MAX_BODY = 512 * 1024 * 1024;
const TOKEN_LIFE_S = 300;

/**
 * A registry that lives for one demo: HTTPS, Bearer tokens from its own realm, blobs and manifests in memory, uplink
 * limited to a rate. It knows one user. Real deployments have a real registry; this one only makes the demo run where
 * nothing but Node is installed.
 */
export class DemoRegistry {
  /** What really left: bodies begun, and bytes sent. */
  readonly count: { -readonly [Key in keyof RegistryCount]: number } = { blobGets: 0, blobBytes: 0 };
  readonly #server: https.Server;
  readonly #user: { readonly username: string; readonly password: string };
  readonly #bytesPerSecond: number;
  readonly #blobs = new Map<string, Buffer>();
  readonly #manifests = new Map<string, { mediaType: string; bytes: Buffer }>();
  readonly #privateKey: KeyObject;
  readonly #publicKey: KeyObject;
  /** When the uplink is free again, in ms of the monotonic clock. */
  #uplinkFreeAt = 0;

  constructor(options: {
    tls: { readonly cert: string; readonly key: string };
    user: { readonly username: string; readonly password: string };
    bytesPerSecond: number;
  }) {
    ({ privateKey: this.#privateKey, publicKey: this.#publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' }));
    this.#user = options.user;
    this.#bytesPerSecond = options.bytesPerSecond;
    this.#server = https.createServer(options.tls, (request, response) => {
      this.#answer(request, response).catch(() => response.destroy());
    });
  }

  /** Listens and answers with the port. */
  async start({ host, port }: { host: string; port: number }): Promise<number> {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    this.#server.once('error', reject);
    this.#server.listen(port, host, resolve);
    await promise;
    const address = this.#server.address();
    return typeof address === 'object' && address !== null ? address.port : port;
  }

  async stop(): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#server.close(() => resolve());
    this.#server.closeAllConnections();
    await promise;
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const url = new URL(request.url ?? '/', `https://${request.headers.host}`);
    if (url.pathname === '/token') return this.#issueToken(request, response, url);
    const route = /^\/v2\/(?:(?<repository>.+)\/(?<kind>blobs|manifests)\/(?<rest>.*))?$/.exec(url.pathname)?.groups;
    if (route === undefined) return refuse(response, 404, 'NOT_FOUND');
    const { repository, kind, rest = '' } = route;
    const action = request.method === 'GET' || request.method === 'HEAD' ? 'pull' : 'push';
    if (!this.#isAllowed(request.headers.authorization, repository, action))
      return this.#challenge(response, url, repository, action);
    if (repository === undefined) response.end('{}');
    else if (kind === 'manifests') await this.#manifest(request, response, `${repository}:${rest}`);
    else if (request.method === 'GET' || request.method === 'HEAD') await this.#sendBlob(request, response, rest);
    else await this.#takeBlob(request, response, repository, url);
  }

  async #manifest(request: IncomingMessage, response: ServerResponse, name: string): Promise<void> {
    if (request.method === 'PUT') {
      const bytes = await collect(request);
      this.#manifests.set(name, { mediaType: request.headers['content-type'] ?? '', bytes });
      response.writeHead(201, { 'docker-content-digest': digestOf(bytes) }).end();
      return;
    }
    const manifest = this.#manifests.get(name);
    if (manifest === undefined) return refuse(response, 404, 'MANIFEST_UNKNOWN');
    response.writeHead(200, { 'content-type': manifest.mediaType, 'content-length': manifest.bytes.length });
    response.end(request.method === 'HEAD' ? undefined : manifest.bytes);
  }

  async #takeBlob(request: IncomingMessage, response: ServerResponse, repository: string, url: URL): Promise<void> {
    if (request.method === 'POST') {
      request.resume();
      response.writeHead(202, { location: `/v2/${repository}/blobs/uploads/${randomBytes(8).toString('hex')}` }).end();
      return;
    }
    const bytes = await collect(request);
    const digest = digestOf(bytes);
    if (digest !== url.searchParams.get('digest')) return refuse(response, 400, 'DIGEST_INVALID');
    this.#blobs.set(digest, bytes);
    response.writeHead(201, { 'docker-content-digest': digest }).end();
  }

  async #sendBlob(request: IncomingMessage, response: ServerResponse, digest: string): Promise<void> {
    const blob = this.#blobs.get(digest);
    if (blob === undefined) return refuse(response, 404, 'BLOB_UNKNOWN');
    const start = Number(/^bytes=(\d+)-$/.exec(request.headers.range ?? '')?.[1] ?? 0);
    if (start >= blob.length) return refuse(response, 416, 'RANGE_INVALID');
    const range = start === 0 ? {} : { 'content-range': `bytes ${start}-${blob.length - 1}/${blob.length}` };
    response.writeHead(start === 0 ? 200 : 206, {
      'content-type': 'application/octet-stream',
      'content-length': blob.length - start,
      'docker-content-digest': digest,
      ...range,
    });
    if (request.method === 'HEAD') {
      response.end();
      return;
    }
    this.count.blobGets += 1;
    for (let offset = start; offset < blob.length && !response.destroyed; offset += SLICE) {
      const slice = blob.subarray(offset, offset + SLICE);
      await this.#waitForUplink(slice.length);
      this.count.blobBytes += slice.length;
      if (!response.write(slice)) await Promise.race([once(response, 'drain'), once(response, 'close')]);
    }
    response.end();
  }

  /** Shares the uplink among all bodies in the order in which they ask. */
  async #waitForUplink(bytes: number): Promise<void> {
    const now = performance.now();
    const startAt = Math.max(now, this.#uplinkFreeAt);
    this.#uplinkFreeAt = startAt + (bytes / this.#bytesPerSecond) * 1_000;
    if (startAt > now) await delay(startAt - now);
  }

  #issueToken(request: IncomingMessage, response: ServerResponse, url: URL): void {
    const given = Buffer.from((request.headers.authorization ?? '').replace(/^Basic /, ''), 'base64');
    const wanted = Buffer.from(`${this.#user.username}:${this.#user.password}`);
    if (given.length !== wanted.length || !timingSafeEqual(given, wanted)) {
      refuse(response, 401, 'UNAUTHORIZED');
      return;
    }
    const access = url.searchParams.getAll('scope').map((scope) => {
      const [type, name, actions = ''] = scope.split(':');
      return { type, name, actions: actions.split(',') };
    });
    const now = Math.floor(Date.now() / 1_000);
    const token = this.#signToken({
      aud: 'demo-registry',
      sub: this.#user.username,
      iat: now,
      exp: now + TOKEN_LIFE_S,
      access,
    });
    response.setHeader('content-type', 'application/json');
    response.end(JSON.stringify({ token, access_token: token, expires_in: TOKEN_LIFE_S }));
  }

  #signToken(claims: object): string {
    const input = [{ typ: 'JWT', alg: 'ES256' }, claims]
      .map((part) => Buffer.from(JSON.stringify(part)).toString('base64url'))
      .join('.');
    const signature = sign('sha256', Buffer.from(input), { key: this.#privateKey, dsaEncoding: 'ieee-p1363' });
    return `${input}.${signature.toString('base64url')}`;
  }

  #isAllowed(authorization: string | undefined, repository: string | undefined, action: string): boolean {
    const [header, claims, signature] = /^Bearer (.+)$/.exec(authorization ?? '')?.[1]?.split('.') ?? [];
    if (header === undefined || claims === undefined || signature === undefined) return false;
    const key = { key: this.#publicKey, dsaEncoding: 'ieee-p1363' } as const;
    if (!verify('sha256', Buffer.from(`${header}.${claims}`), key, Buffer.from(signature, 'base64url'))) return false;
    const { exp, access } = JSON.parse(Buffer.from(claims, 'base64url').toString('utf8')) as {
      exp: number;
      access: readonly { name: string; actions: readonly string[] }[];
    };
    if (exp * 1_000 < Date.now()) return false;
    return (
      repository === undefined || access.some(({ name, actions }) => name === repository && actions.includes(action))
    );
  }

  #challenge(response: ServerResponse, url: URL, repository: string | undefined, action: string): void {
    const scope = repository === undefined ? '' : `,scope="repository:${repository}:${action}"`;
    response.setHeader('www-authenticate', `Bearer realm="https://${url.host}/token",service="demo-registry"${scope}`);
    refuse(response, 401, 'UNAUTHORIZED');
  }
}

function refuse(response: ServerResponse, status: number, code: string): void {
  response
    .writeHead(status, { 'content-type': 'application/json' })
    .end(JSON.stringify({ errors: [{ code, message: code }] }));
}

async function collect(request: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let length = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    length += chunk.length;
    if (length > MAX_BODY) throw new RangeError('body too long');
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

function digestOf(bytes: Uint8Array): string {
  return `sha256:${createHash('sha256').update(bytes).digest('hex')}`;
}

async function once(response: ServerResponse, event: 'drain' | 'close'): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  response.once(event, resolve);
  await promise;
}
