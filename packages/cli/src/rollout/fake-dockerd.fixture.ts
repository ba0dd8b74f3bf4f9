import { once } from 'node:events';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { createServer, type Server } from 'node:https';
import type { AddressInfo } from 'node:net';
import { createSecureContext, type SecureContext } from 'node:tls';
import { createDockerKey, DockerCa } from '@sealift/pki';
import type { ImageName } from './docker-api.ts';
import type { DockerHost } from './hosts-file.ts';

const DAY_MS = 86_400_000;

/** The image that fake daemons know of. */
export const IMAGE = 'registry.example/team/app' as ImageName;

/** A Docker CA with the certificates of one server on loopback and one client. */
export class DockerPki {
  readonly client: SecureContext;
  readonly server: { readonly ca: string; readonly cert: string; readonly key: string };

  private constructor(client: SecureContext, server: DockerPki['server']) {
    this.client = client;
    this.server = server;
  }

  static async create(): Promise<DockerPki> {
    const ca = await DockerCa.create({ keyType: 'p-256', ttlMs: DAY_MS });
    const [serverKey, clientKey] = [await createDockerKey('p-256'), await createDockerKey('p-256')];
    const loopback = { role: 'server', dnsNames: [], ipAddresses: ['127.0.0.1'] } as const;
    const issue = (subject: Parameters<DockerCa['issue']>[0], publicKeyPem: string) =>
      ca.issue(subject, { publicKeyPem, ttlMs: DAY_MS });
    const clientCert = await issue({ role: 'client', name: 'ops' }, clientKey);
    return new DockerPki(
      createSecureContext({ ca: ca.certificatePem, cert: clientCert, key: clientKey, minVersion: 'TLSv1.2' }),
      { ca: ca.certificatePem, cert: await issue(loopback, serverKey), key: serverKey },
    );
  }
}

/** How a fake daemon answers: it writes lines, and ends the response or does not. */
export type PullScript = (response: ServerResponse) => void;

/** What a request to a fake daemon was. */
export interface DockerRequest {
  readonly method: string;
  readonly url: string;
  readonly registryAuth: string | undefined;
}

/** Enough of a dockerd (Engine API) over mutual TLS for a rollout: it resolves a tag, pulls as its script says, and tags. */
export class FakeDockerd {
  readonly requests: DockerRequest[] = [];
  /** Digests that it holds, and what its tags mean. */
  readonly digests = new Set<string>();
  readonly tags = new Map<string, string>();
  /** What the registry says that any tag means. */
  resolvesTo: string;
  /** `undefined`: it pulls at once. */
  script: PullScript | undefined;
  /** `undefined`: it says what it holds. */
  inspection: PullScript | undefined;
  apiVersion = '1.41';
  readonly #server: Server;
  #port = 0;

  /** One that `takesAnybody` looks at no certificate, as somebody would who poses as a dockerd. */
  constructor(pki: DockerPki, { resolvesTo, takesAnybody = false }: { resolvesTo: string; takesAnybody?: boolean }) {
    this.resolvesTo = resolvesTo;
    const tls = { ...pki.server, requestCert: true, rejectUnauthorized: !takesAnybody };
    this.#server = createServer(tls, (request, response) => this.#answer(request, response));
    this.#server.on('tlsClientError', () => {});
  }

  get host(): DockerHost {
    return {
      name: `127.0.0.1:${this.#port}`,
      host: '127.0.0.1',
      port: this.#port,
      certDir: undefined,
      nodeData: undefined,
    };
  }

  /** The pulls that it was asked for. */
  get pulls(): readonly DockerRequest[] {
    return this.requests.filter(({ url }) => url.includes('/images/create'));
  }

  async start(): Promise<this> {
    this.#server.listen(0, '127.0.0.1');
    await once(this.#server, 'listening');
    this.#port = (this.#server.address() as AddressInfo).port;
    return this;
  }

  async stop(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise<void>((resolve) => this.#server.close(() => resolve()));
  }

  #answer(request: IncomingMessage, response: ServerResponse): void {
    const { method = '', url = '' } = request;
    const registryAuth = request.headers['x-registry-auth'];
    this.requests.push({ method, url, registryAuth: typeof registryAuth === 'string' ? registryAuth : undefined });
    response.on('error', () => {});
    if (url === '/_ping') {
      response.setHeader('api-version', this.apiVersion);
      response.end('OK');
      return;
    }
    const { pathname, searchParams } = new URL(url, 'https://dockerd');
    const path = pathname.replace(/^\/v1\.\d+/, '');
    if (path.startsWith('/distribution/')) {
      response.end(JSON.stringify({ Descriptor: { digest: this.resolvesTo } }));
    } else if (path === '/images/create') {
      this.#pull(searchParams.get('tag') ?? '', response);
    } else if (path.endsWith('/tag')) {
      this.tags.set(searchParams.get('tag') ?? '', this.resolvesTo);
      response.writeHead(201).end();
    } else if (this.inspection !== undefined) this.inspection(response);
    else this.#inspect(path.replace(`/images/${IMAGE}`, '').replace(/\/json$/, ''), response);
  }

  #pull(digest: string, response: ServerResponse): void {
    response.writeHead(200);
    if (this.script !== undefined) {
      this.script(response);
      return;
    }
    this.digests.add(digest);
    const lines = [
      { status: 'Pulling fs layer', id: 'a1', progressDetail: {} },
      { status: 'Downloading', id: 'a1', progressDetail: { current: 500, total: 1_000 } },
      { status: 'Download complete', id: 'a1', progressDetail: {} },
      { status: 'Pull complete', id: 'a1', progressDetail: {} },
    ];
    response.end(lines.map((line) => `${JSON.stringify(line)}\r\n`).join(''));
  }

  #inspect(reference: string, response: ServerResponse): void {
    const digest = reference.startsWith('@') ? reference.slice(1) : this.tags.get(reference.slice(1));
    if (digest !== undefined && this.digests.has(digest)) {
      response.end(JSON.stringify({ RepoDigests: [`${IMAGE}@${digest}`] }));
    } else response.writeHead(404).end(JSON.stringify({ message: `No such image: ${IMAGE}${reference}` }));
  }
}
