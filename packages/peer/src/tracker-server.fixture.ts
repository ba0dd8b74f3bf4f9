import { X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import type { IncomingMessage } from 'node:http';
import { createServer, type Server } from 'node:https';
import type { AddressInfo } from 'node:net';
import type { TestContext } from 'node:test';
import type { TLSSocket } from 'node:tls';
import { type NodeId, parseNodeId } from '@sealift/core';
import { checkCsr, createSigningRequest, identityOfCertificate, type Role, trackerServerOptions } from '@sealift/pki';
import { type EnrolAnswer, TRACKER_PATHS } from '@sealift/tracker-api';
import type { TestCluster } from './cluster.fixture.ts';

/** A call as the server saw it. */
export interface TrackerCall {
  readonly path: string;
  readonly body: Record<string, unknown>;
  /** The node whose certificate the connection shows. */
  readonly nodeId: NodeId | undefined;
}

/** What the server does with a call; without a body it cuts the connection. */
export interface Answer {
  readonly status?: number;
  readonly body?: unknown;
}

type Handler = (call: TrackerCall) => Answer | Promise<Answer>;

/** A tracker that answers what the test says, over real TLS with a certificate of the cluster. */
export class TrackerServer {
  readonly calls: TrackerCall[] = [];
  readonly #cluster: TestCluster;
  readonly #server: Server;
  readonly #handlers = new Map<string, Handler>();
  readonly #sockets = new Set<unknown>();
  #nodes = 0;

  private constructor(cluster: TestCluster, server: Server) {
    this.#cluster = cluster;
    this.#server = server;
    server.on('secureConnection', (socket: TLSSocket) => {
      this.#sockets.add(socket);
      socket.on('close', () => this.#sockets.delete(socket));
    });
    server.on('request', (request, response) => {
      this.#answer(request).then(
        ({ status = 200, body }) => {
          if (body === undefined) request.socket.destroy();
          else response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body));
        },
        () => request.socket.destroy(),
      );
    });
  }

  /** A running server, which ends with the test. It enrols and renews whoever asks until told otherwise. */
  static async create(t: TestContext, cluster: TestCluster): Promise<TrackerServer> {
    const { csrPem, privateKeyPem } = await createSigningRequest();
    const profile = {
      role: 'tracker',
      id: parseNodeId('tracker'),
      ttlMs: 3_600_000,
      ipAddresses: ['127.0.0.1'],
    } as const;
    const { certificatePem } = await cluster.ca.issue(profile, await checkCsr(csrPem));
    const tls = { trustAnchors: cluster.ca.certificatePem, certificatePem, privateKeyPem };
    const server = createServer(trackerServerOptions(tls)).listen(0, '127.0.0.1');
    await once(server, 'listening');
    const tracker = new TrackerServer(cluster, server);
    tracker.on('enrol', async ({ body }) => ({ body: await tracker.enrol(String(body['csr'])) }));
    tracker.on('renew', async ({ body, nodeId }) => ({
      body: await tracker.enrol(String(body['csr']), nodeId === undefined ? {} : { id: nodeId }),
    }));
    t.after(() => {
      server.close();
      server.closeAllConnections();
    });
    return tracker;
  }

  get origin(): string {
    return `https://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  get connectionCount(): number {
    return this.#sockets.size;
  }

  on(call: keyof typeof TRACKER_PATHS, handler: Handler): void {
    this.#handlers.set(TRACKER_PATHS[call], handler);
  }

  /** Calls to one path so far. */
  callsTo(call: keyof typeof TRACKER_PATHS): TrackerCall[] {
    return this.calls.filter(({ path }) => path === TRACKER_PATHS[call]);
  }

  /** The answer that gives a node its certificate. */
  async enrol(
    csrPem: string,
    { id, ttlMs = 3_600_000, role = 'node' }: { id?: NodeId; ttlMs?: number; role?: Role } = {},
  ): Promise<EnrolAnswer> {
    this.#nodes += 1;
    const nodeId = id ?? parseNodeId(`node-${this.#nodes}`);
    const { certificatePem, notAfter } = await this.#cluster.ca.issue(
      { role, id: nodeId, ttlMs },
      await checkCsr(csrPem),
    );
    return { nodeId, certificate: certificatePem, notAfter, cluster: this.#cluster.info };
  }

  async #answer(request: IncomingMessage): Promise<Answer> {
    const path = request.url ?? '/';
    let text = '';
    for await (const chunk of request) text += chunk;
    const certificate = (request.socket as TLSSocket).getPeerX509Certificate();
    const nodeId =
      certificate === undefined ? undefined : identityOfCertificate(new X509Certificate(certificate.raw)).id;
    const call = { path, body: text === '' ? {} : JSON.parse(text), nodeId };
    this.calls.push(call);
    return (await this.#handlers.get(path)?.(call)) ?? { status: 404, body: { code: 'NOT_FOUND', message: '' } };
  }
}
