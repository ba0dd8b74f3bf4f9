import { once } from 'node:events';
import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import { setImmediate } from 'node:timers/promises';
import {
  type Admission,
  Admissions,
  AppError,
  type Clock,
  isAppError,
  type Logger,
  type RegistryHost,
} from '@sealift/core';
import type { InterceptCa } from '@sealift/pki';
import { RegistryClient, type RegistryConfig } from '@sealift/registry';
import { type BlobBytes, BlobResponder } from './blob-responder.ts';
import { ClientConnections } from './client-connections.ts';
import { clientGoneSignal } from './client-gone.ts';
import { ConnectHandler } from './connect-handler.ts';
import { answerError, refuseSocket } from './error-answer.ts';
import { createHttpServer } from './http-server.ts';
import { handleIntercepted } from './inner-handler.ts';
import { isIntercepted } from './interception.ts';
import { type ProxyLimits, withDefaultLimits } from './limits.ts';
import { isLoopbackAddress, requireLoopback } from './loopback.ts';
import { ManifestResponder } from './manifest-responder.ts';
import { OuterHandler } from './outer-handler.ts';
import type { AcceptedRequest, BlobSource, ManifestSource } from './ports.ts';
import { RegistryHandler } from './registry-handler.ts';
import { type ReadRegistry, RegistryUpstream } from './upstream.ts';

/** Settings of a {@link ProxyServer}. */
export interface ProxyServerOptions {
  /** Where to listen; port 0 takes a free one. The host is an IP address or `localhost`. */
  readonly listen: { readonly host: string; readonly port: number };
  /** The descriptor of a socket that listens already, in place of `listen`. */
  readonly fd?: number | undefined;
  /**
   * Whether runtimes believe `interceptCa` by now. Connections that were made before are not intercepted, nor are those that
   * follow within `distrustMs`: a runtime reads its trust files at the beginning of a pull. @default always
   */
  readonly isTrusted?: () => boolean;
  /**
   * Listens on other addresses too. Whoever reaches the proxy can then use this node's network and its loopback services,
   * and mirror mode sends credentials in clear text. @default false
   */
  readonly allowNonLoopback?: boolean;
  /** The registries that are mirrored and, but for Docker Hub, intercepted. All other hosts are tunnelled blind. */
  readonly registries: readonly RegistryConfig[];
  /** Asked where the certificate of a registry, or ours, is refused. Without it, what was given at the start holds for good. */
  readonly reread?: ReadRegistry;
  /** `undefined` if none of them is intercepted. */
  readonly interceptCa: Pick<InterceptCa, 'secureContextFor'> | undefined;
  readonly blobs: BlobSource;
  /** Without it manifests pass through. */
  readonly manifests?: ManifestSource;
  readonly clock: Clock;
  readonly log: Logger;
  readonly limits?: Partial<ProxyLimits>;
  /** Is told of each blob answer, whole or cut short, when it is over. */
  readonly onBlobServed?: (bytes: BlobBytes) => void;
  /**
   * Is told of each read with credentials that the registry itself has answered with 200. With it the registry is asked for
   * the head of each manifest, also of those that come from the cluster.
   */
  readonly onAccepted?: (accepted: AcceptedRequest) => void;
}

/**
 * The proxy between a container runtime and its registries. It is the only way out that the runtime has, so it answers
 * whatever becomes of the rest of Sealift: what it cannot serve itself passes through to the registry.
 */
export class ProxyServer {
  readonly #options: ProxyServerOptions;
  readonly #limits: ProxyLimits;
  readonly #connections = new ClientConnections();
  readonly #admissions: Admissions;
  readonly #admitted = new WeakMap<Socket, Admission>();
  /** Which registry a TLS socket of an intercepted connection stands in for. */
  readonly #registryOf = new WeakMap<Socket, RegistryHost>();
  /** Connections that were made before runtimes could believe us. */
  readonly #early = new WeakSet<Socket>();
  readonly #upstreams: ReadonlyMap<RegistryHost, RegistryUpstream>;
  readonly #registryClient: RegistryClient;
  readonly #registryHandler: RegistryHandler;
  readonly #outer: OuterHandler;
  readonly #server: Server;
  #starting: Promise<void> | undefined;
  #stopping: Promise<void> | undefined;

  constructor(options: ProxyServerOptions) {
    const { registries, blobs, clock, log, manifests, onBlobServed: onServed = () => {}, onAccepted } = options;
    const limits = withDefaultLimits(options.limits);
    this.#options = options;
    this.#limits = limits;
    this.#admissions = new Admissions({
      limits: {
        connections: limits.maxConnections,
        connectionsPerAddress: limits.maxConnectionsPerAddress,
        strangers: limits.maxSilentConnections,
        strangersPerAddress: limits.maxSilentConnections,
        replacesOldest: true,
      },
      clock,
    });
    this.#upstreams = new Map(
      registries.map((config) => [
        config.registry,
        new RegistryUpstream({ config, limits, reread: options.reread, onChanged: (next) => this.#changed(next) }),
      ]),
    );
    this.#registryClient = new RegistryClient({
      registries,
      connectTimeoutMs: limits.connectTimeoutMs,
      headersTimeoutMs: limits.restIdleTimeoutMs,
      bodyTimeoutMs: limits.restIdleTimeoutMs,
    });
    const responder = new BlobResponder({ blobs, registry: this.#registryClient, limits, clock, log, onServed });
    const upstreams = this.#upstreams;
    const registryHandler = new RegistryHandler({
      upstreams,
      blobs: responder,
      manifests: manifests && new ManifestResponder({ manifests, limits, log, onAccepted }),
      limits,
      onServed,
      onAccepted,
    });
    const isLoopbackOnly = options.allowNonLoopback !== true;
    this.#registryHandler = registryHandler;
    this.#outer = new OuterHandler({ upstreams, registryHandler, limits, isLoopbackOnly });
    this.#server = this.#createServer();
  }

  /** The port that it listens on; 0 while it does not. */
  get port(): number {
    return (this.#server.address() as AddressInfo | null)?.port ?? 0;
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
    const { listen, fd, allowNonLoopback = false } = this.#options;
    // A name or a descriptor may lead anywhere: where it led is looked at below.
    if (!allowNonLoopback && listen.host !== 'localhost' && fd === undefined) requireLoopback(listen.host);
    // Reads the machine's trust anchors, which would hold up the first pull.
    for (const upstream of this.#upstreams.values()) upstream.warmUp();
    this.#server.listen(fd === undefined ? { ...listen } : { fd });
    await once(this.#server, 'listening');
    // Who has waited in the backlog is accepted here, and so before anything can follow from our being there.
    if (fd !== undefined) await nextTurns();
    const { address } = this.#server.address() as AddressInfo;
    if (allowNonLoopback || isLoopbackAddress(address)) return;
    await this.stop();
    requireLoopback(address);
  }

  async #stop(): Promise<void> {
    // A listener that is being opened could not be closed.
    await this.#starting?.catch(() => {});
    this.#server.close();
    await this.#connections.drain(this.#limits.stopTimeoutMs);
    for (const upstream of this.#upstreams.values()) upstream.close();
    await this.#registryClient.close();
  }

  #changed(config: RegistryConfig): void {
    this.#registryClient.replace(config);
    this.#options.log.info('trust_changed', { registry: config.registry });
  }

  #createServer(): Server {
    const { interceptCa, clock, log, registries } = this.#options;
    const connect = new ConnectHandler({
      registries: new Set(registries.map(({ registry }) => registry).filter(isIntercepted)),
      interceptCa,
      limits: this.#limits,
      clock,
      log,
      ownPort: () => this.port,
      onIntercepted: (tlsSocket, client, registry) => {
        this.#registryOf.set(tlsSocket, registry);
        this.#connections.alias(tlsSocket, client);
        // One server reads both kinds of connection, so that one set of limits holds for both.
        server.emit('connection', tlsSocket);
      },
      isEarly: (client) => this.#early.has(client),
      onTunnel: (client) => this.#connections.becomeTunnel(client),
    });
    const server = createHttpServer({
      limits: this.#limits,
      runningOn: (socket) => this.#connections.runningOn(socket),
      onRequest: (request, response) => void this.#answer(request, response),
    });
    server.on('connection', (socket: Socket) => {
      if (!this.#registryOf.has(socket)) this.#admit(socket);
    });
    server.on('connect', (request: IncomingMessage, socket: Socket, head: Buffer) => {
      this.#admitted.get(socket)?.settle();
      const isNested = this.#registryOf.has(socket);
      if (isNested) refuseSocket(socket, new AppError('REQUEST_UNSUPPORTED', { reason: 'this is a tunnel already' }));
      else void connect.handle(request, socket, head);
    });
    return server;
  }

  #admit(socket: Socket): void {
    if (this.#options.isTrusted?.() === false) this.#early.add(socket);
    this.#connections.add(socket);
    const admission = this.#admissions.admit(socket.remoteAddress, { cut: () => socket.destroy() });
    if (admission === undefined) {
      socket.destroy();
      return;
    }
    this.#admitted.set(socket, admission);
    socket.once('close', () => admission.leave());
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    this.#admitted.get(request.socket)?.settle();
    // Errors of either show as the connection's end, which the signal tells.
    request.on('error', () => {});
    response.on('error', () => {});
    if (this.#connections.begin(response) > this.#limits.maxPipelinedRequests) {
      request.socket.destroy();
      return;
    }
    const signal = clientGoneSignal(request, response);
    const registry = this.#registryOf.get(request.socket);
    try {
      if (registry === undefined) await this.#outer.handle(request, response, { signal });
      else await handleIntercepted({ request, response, registry }, { registryHandler: this.#registryHandler, signal });
    } catch (error) {
      if (!signal.aborted) this.#fail({ request, response, error });
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

/** Lets the event loop go round: once for what is ready now, once for what that has made ready. */
async function nextTurns(): Promise<void> {
  await setImmediate();
  await setImmediate();
}
