import { once } from 'node:events';
import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import { AppError, type Clock, isAppError, type Logger, type RegistryHost } from '@sealift/core';
import type { InterceptCa } from '@sealift/pki';
import { RegistryClient, type RegistryConfig } from '@sealift/registry';
import { type BlobBytes, BlobResponder } from './blob-responder.ts';
import { ClientConnections } from './client-connections.ts';
import { clientGoneSignal } from './client-gone.ts';
import { ConnectHandler } from './connect-handler.ts';
import { answerError, refuseSocket } from './error-answer.ts';
import { createHttpServer } from './http-server.ts';
import { handleIntercepted } from './inner-handler.ts';
import { type ProxyLimits, withDefaultLimits } from './limits.ts';
import { isLoopbackAddress, requireLoopback } from './loopback.ts';
import { OuterHandler } from './outer-handler.ts';
import type { BlobSource } from './ports.ts';
import { RegistryHandler } from './registry-handler.ts';
import { RegistryUpstream } from './upstream.ts';

/** Settings of a {@link ProxyServer}. */
export interface ProxyServerOptions {
  /** Where to listen; port 0 takes a free one. The host is an IP address or `localhost`. */
  readonly listen: { readonly host: string; readonly port: number };
  /**
   * Listens on other addresses too. Whoever reaches the proxy can then use this node's network and its loopback services,
   * and mirror mode sends credentials in clear text. @default false
   */
  readonly allowNonLoopback?: boolean;
  /** The registries that are intercepted and mirrored. All other hosts are tunnelled blind. */
  readonly registries: readonly RegistryConfig[];
  readonly interceptCa: Pick<InterceptCa, 'secureContextFor'>;
  readonly blobs: BlobSource;
  readonly clock: Clock;
  readonly log: Logger;
  readonly limits?: Partial<ProxyLimits>;
  /** Is told of each blob answer, whole or cut short, when it is over. */
  readonly onBlobServed?: (bytes: BlobBytes) => void;
}

/**
 * The proxy between a container runtime and its registries. It is the only way out that the runtime has, so it answers
 * whatever becomes of the rest of Sealift: what it cannot serve itself passes through to the registry.
 */
export class ProxyServer {
  readonly #options: ProxyServerOptions;
  readonly #limits: ProxyLimits;
  readonly #connections = new ClientConnections();
  /** Which registry a TLS socket of an intercepted connection stands in for. */
  readonly #registryOf = new WeakMap<Socket, RegistryHost>();
  readonly #upstreams: ReadonlyMap<RegistryHost, RegistryUpstream>;
  readonly #registryClient: RegistryClient;
  readonly #registryHandler: RegistryHandler;
  readonly #outer: Server;
  #starting: Promise<void> | undefined;
  #stopping: Promise<void> | undefined;

  constructor(options: ProxyServerOptions) {
    const { registries, blobs, clock, log, onBlobServed: onServed = () => {} } = options;
    const limits = withDefaultLimits(options.limits);
    this.#options = options;
    this.#limits = limits;
    this.#upstreams = new Map(
      registries.map((config) => [config.registry, new RegistryUpstream({ config, limits })] as const),
    );
    this.#registryClient = new RegistryClient({ registries, connectTimeoutMs: limits.connectTimeoutMs });
    const responder = new BlobResponder({ blobs, registry: this.#registryClient, limits, clock, log, onServed });
    this.#registryHandler = new RegistryHandler({ upstreams: this.#upstreams, blobs: responder, limits, onServed });
    this.#outer = this.#createOuter(this.#createInner());
  }

  /** The port that it listens on; 0 while it does not. */
  get port(): number {
    return (this.#outer.address() as AddressInfo | null)?.port ?? 0;
  }

  /** Opens the listener. Throws `LISTEN_NOT_LOOPBACK` for an address that other machines may reach. */
  start(): Promise<void> {
    this.#starting ??= this.#start();
    return this.#starting;
  }

  /** Closes the listener, lets running answers finish for a while, then cuts what is left. */
  stop(): Promise<void> {
    this.#stopping ??= this.#stop();
    return this.#stopping;
  }

  async #start(): Promise<void> {
    const { listen, allowNonLoopback = false } = this.#options;
    // A name may lead anywhere: where it led is looked at below.
    if (!allowNonLoopback && listen.host !== 'localhost') requireLoopback(listen.host);
    // Reads the machine's trust anchors, which would hold up the first pull.
    for (const upstream of this.#upstreams.values()) upstream.warmUp();
    this.#outer.listen(listen.port, listen.host);
    await once(this.#outer, 'listening');
    const { address } = this.#outer.address() as AddressInfo;
    if (allowNonLoopback || isLoopbackAddress(address)) return;
    await this.stop();
    requireLoopback(address);
  }

  async #stop(): Promise<void> {
    // A listener that is being opened could not be closed.
    await this.#starting?.catch(() => {});
    this.#outer.close();
    await this.#connections.drain(this.#limits.stopTimeoutMs);
    for (const upstream of this.#upstreams.values()) upstream.close();
    await this.#registryClient.close();
  }

  /** What is said on intercepted connections. Never listens. */
  #createInner(): Server {
    const inner = this.#createServer(async (request, response, signal) => {
      const registry = this.#registryOf.get(request.socket);
      if (registry === undefined) throw new TypeError('a request on a connection that nobody intercepted');
      await handleIntercepted({ request, response, registry }, { registryHandler: this.#registryHandler, signal });
    });
    inner.on('connect', (_request, socket) => {
      refuseSocket(socket as Socket, new AppError('REQUEST_UNSUPPORTED', { reason: 'this is a tunnel already' }));
    });
    return inner;
  }

  #createOuter(inner: Server): Server {
    const { interceptCa, log, registries, allowNonLoopback = false } = this.#options;
    const handler = new OuterHandler({
      upstreams: this.#upstreams,
      registryHandler: this.#registryHandler,
      limits: this.#limits,
      isLoopbackOnly: !allowNonLoopback,
    });
    const connect = new ConnectHandler({
      registries: new Set(registries.map(({ registry }) => registry)),
      interceptCa,
      inner,
      limits: this.#limits,
      log,
      ownPort: () => this.port,
      onIntercepted: (tlsSocket, client, registry) => {
        this.#registryOf.set(tlsSocket, registry);
        this.#connections.alias(tlsSocket, client);
      },
      onTunnel: (client) => this.#connections.becomeTunnel(client),
    });
    const outer = this.#createServer((request, response, signal) => handler.handle(request, response, { signal }));
    outer.maxConnections = this.#limits.maxConnections;
    outer.on('connection', (socket: Socket) => this.#connections.add(socket));
    outer.on('connect', (request, socket, head) => void connect.handle(request, socket as Socket, head));
    return outer;
  }

  #createServer(
    handle: (request: IncomingMessage, response: ServerResponse, signal: AbortSignal) => Promise<void>,
  ): Server {
    return createHttpServer({
      limits: this.#limits,
      runningOn: (socket) => this.#connections.runningOn(socket),
      onRequest: (request, response) => void this.#answer(request, response, handle),
    });
  }

  async #answer(
    request: IncomingMessage,
    response: ServerResponse,
    handle: (request: IncomingMessage, response: ServerResponse, signal: AbortSignal) => Promise<void>,
  ): Promise<void> {
    // Errors of either show as the connection's end, which the signal tells.
    request.on('error', () => {});
    response.on('error', () => {});
    const running = this.#connections.begin(response);
    if (running > this.#limits.maxPipelinedRequests) {
      request.socket.destroy();
      return;
    }
    const signal = clientGoneSignal(request, response);
    try {
      await handle(request, response, signal);
    } catch (error) {
      if (signal.aborted) return;
      this.#fail({ request, response, error });
    }
  }

  #fail({ request, response, error }: { request: IncomingMessage; response: ServerResponse; error: unknown }): void {
    const { log } = this.#options;
    if (!isAppError(error)) log.error('request_failed', { error });
    else if (error.status >= 500) log.warn('pass_through_failed', { error });
    if (response.headersSent) {
      response.destroy();
      return;
    }
    const known = isAppError(error) ? error : new AppError('REQUEST_FAILED', {}, { cause: error });
    answerError(response, known, { path: request.url ?? '/' });
  }
}
