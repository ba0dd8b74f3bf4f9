import type { IncomingMessage, ServerResponse } from 'node:http';
import { AppError, DOCKER_HUB, type RegistryHost, splitHostPort } from '@sealift/core';
import { tryParseRegistryHost } from './connect-target.ts';
import type { ProxyLimits } from './limits.ts';
import { isLoopbackAddress } from './loopback.ts';
import { passThrough } from './pass-through.ts';
import type { RegistryHandler } from './registry-handler.ts';
import { parseRequestTarget, splitNamespace } from './request-target.ts';
import { plainUpstream, type RegistryUpstream } from './upstream.ts';

const NOTHING_HERE =
  'This is a Sealift proxy. Use it as HTTPS_PROXY, or as a registry mirror that names its registry with ?ns=';

/** Answers plain requests to the listener itself: the mirror endpoint, requests to forward, and a health check. */
export class OuterHandler {
  readonly #upstreams: ReadonlyMap<RegistryHost, RegistryUpstream>;
  readonly #registryHandler: RegistryHandler;
  readonly #limits: ProxyLimits;
  readonly #isLoopbackOnly: boolean;

  constructor(options: {
    upstreams: ReadonlyMap<RegistryHost, RegistryUpstream>;
    registryHandler: RegistryHandler;
    limits: ProxyLimits;
    isLoopbackOnly: boolean;
  }) {
    this.#upstreams = options.upstreams;
    this.#registryHandler = options.registryHandler;
    this.#limits = options.limits;
    this.#isLoopbackOnly = options.isLoopbackOnly;
  }

  /** Answers one request; `signal` aborts when the client has gone. Throws an `AppError` for what it refuses. */
  async handle(request: IncomingMessage, response: ServerResponse, { signal }: { signal: AbortSignal }): Promise<void> {
    const target = parseRequestTarget(request.url ?? '');
    if (target.kind === 'absolute' && target.scheme === 'http') {
      const { authority: hostHeader, path } = target;
      const upstream = plainUpstream(target, { limits: this.#limits });
      await passThrough({ request, response, upstream, path, hostHeader, limits: this.#limits, signal });
      return;
    }
    if (target.kind !== 'origin') {
      throw new AppError('REQUEST_UNSUPPORTED', {
        advice: 'Use CONNECT for HTTPS, and http:// addresses without credentials.',
      });
    }
    if (target.path === '/healthz') {
      request.resume();
      response.writeHead(200, { 'content-type': 'text/plain', 'content-length': 3 }).end('ok\n');
      return;
    }
    if (!/^\/v2(?:[/?]|$)/.test(target.path)) throw new AppError('NOT_FOUND', { advice: NOTHING_HERE });
    await this.#mirror(request, response, { path: target.path, signal });
  }

  async #mirror(
    request: IncomingMessage,
    response: ServerResponse,
    { path, signal }: { path: string; signal: AbortSignal },
  ): Promise<void> {
    // A page in a browser on this machine may reach us by a name that its owner points here, and read the answer.
    if (this.#isLoopbackOnly && !namesLoopback(request.headers.host)) {
      throw new AppError('HOST_MISDIRECTED', { advice: 'Reach the mirror as localhost or by its loopback address.' });
    }
    const named = splitNamespace(path);
    // Without a name: dockerd's registry-mirrors, which it uses for Docker Hub only.
    const registry = named && tryParseRegistryHost(named.ns ?? DOCKER_HUB);
    const upstream = registry && this.#upstreams.get(registry);
    if (named === undefined || registry === undefined || upstream === undefined) {
      throw new AppError('NOT_FOUND', {
        reason: 'the mirror is not configured for this registry',
        advice: 'Add it to the registries of this node, or take this mirror out of the runtime’s settings for it.',
      });
    }
    const { hostHeader } = upstream;
    await this.#registryHandler.handle({ request, response, registry, path: named.path, hostHeader }, { signal });
  }
}

function namesLoopback(hostHeader: string | undefined): boolean {
  const host = splitHostPort(hostHeader ?? '')?.host.replace(/^\[|\]$/g, '');
  return host !== undefined && (host.toLowerCase() === 'localhost' || isLoopbackAddress(host));
}
