import type { ClientRequest } from 'node:http';
import http from 'node:http';
import https from 'node:https';
import { isIP } from 'node:net';
import { createSecureContext, getCACertificates } from 'node:tls';
import type { RegistryHost } from '@sealift/core';
import { type ClientCertificate, type RegistryConfig, upstreamOrigin } from '@sealift/registry';
import type { ProxyLimits } from './limits.ts';

/** A request head as it goes upstream. */
export interface UpstreamRequest {
  readonly method: string;
  readonly path: string;
  /** Names and values by turns, Host included. */
  readonly headers: readonly string[];
}

/** Somebody to pass a request on to. */
export interface Upstream {
  /** Host and port, for messages. */
  readonly name: string;
  /** Begins a request; `isFresh` demands a connection of its own instead of one that was used before. */
  open(request: UpstreamRequest, options: { isFresh: boolean }): ClientRequest;
}

/** How long an idle connection to a registry is kept, in ms: below the minute after which common servers close it. */
const POOL_IDLE_MS = 30_000;
/** Idle connections kept for each registry: what the downloads of two or three pulls leave behind. */
const POOL_SIZE = 16;

/** A registry, over HTTPS that is always verified, by a pool of kept connections. */
export class RegistryUpstream implements Upstream {
  readonly registry: RegistryHost;
  readonly #origin: URL;
  readonly #limits: ProxyLimits;
  readonly #caPem: string | undefined;
  readonly #client: ClientCertificate | undefined;
  #agents: { readonly pool: https.Agent; readonly single: https.Agent } | undefined;

  constructor({ config, limits }: { config: RegistryConfig; limits: ProxyLimits }) {
    this.registry = config.registry;
    this.#origin = new URL(upstreamOrigin(config.registry));
    this.#limits = limits;
    this.#caPem = config.caPem;
    this.#client = config.client;
  }

  /** Reads the trust anchors, if that was not done yet. */
  warmUp(): void {
    this.#agents ??= createAgents(this.#caPem, this.#client);
  }

  get name(): string {
    return this.registry;
  }

  /** What a request to this registry names as Host if its client named somebody else, as a mirror's client does. */
  get hostHeader(): string {
    return this.#origin.host;
  }

  open({ method, path, headers }: UpstreamRequest, { isFresh }: { isFresh: boolean }): ClientRequest {
    this.#agents ??= createAgents(this.#caPem, this.#client);
    const hostname = this.#origin.hostname.replace(/^\[|\]$/g, '');
    return https.request({
      host: hostname,
      port: this.#origin.port === '' ? 443 : this.#origin.port,
      // SNI takes names only (RFC 6066 §3); an address is then compared with the certificate by itself.
      servername: isIP(hostname) === 0 ? hostname : '',
      agent: isFresh ? this.#agents.single : this.#agents.pool,
      method,
      path,
      headers,
      setHost: false,
      timeout: this.#limits.upstreamIdleTimeoutMs,
      maxHeaderSize: this.#limits.maxHeaderBytes,
    });
  }

  /** Cuts all connections; for the end, when no request runs any more. */
  close(): void {
    this.#agents?.pool.destroy();
    this.#agents?.single.destroy();
  }
}

/** Any host, over plain HTTP; for what a client sends to a proxy in absolute form. Keeps no connection. */
export function plainUpstream(
  { hostname, port }: { hostname: string; port: number },
  { limits }: { limits: ProxyLimits },
): Upstream {
  return {
    name: `${hostname}:${port}`,
    open: ({ method, path, headers }) =>
      http.request({
        host: hostname,
        port,
        agent: false,
        method,
        path,
        headers,
        setHost: false,
        timeout: limits.upstreamIdleTimeoutMs,
        maxHeaderSize: limits.maxHeaderBytes,
      }),
  };
}

/**
 * Agents that trust what Node and the machine trust, and `caPem`, and show `client`: who can pull without us must be able to with
 * us.
 */
function createAgents(
  caPem: string | undefined,
  client: ClientCertificate | undefined,
): { pool: https.Agent; single: https.Agent } {
  const roots = new Set([...getCACertificates('default'), ...getCACertificates('system')]);
  // One context for all connections: parsing the roots for each of them costs more than the handshake. Verification is
  // demanded in so many words, so that NODE_TLS_REJECT_UNAUTHORIZED cannot switch it off.
  const trust = {
    secureContext: createSecureContext({
      ca: [...roots, ...(caPem === undefined ? [] : [caPem])],
      ...(client === undefined ? {} : { cert: client.certificatePem, key: client.privateKeyPem }),
    }),
    rejectUnauthorized: true,
  };
  return {
    pool: new https.Agent({ ...trust, keepAlive: true, maxFreeSockets: POOL_SIZE, timeout: POOL_IDLE_MS }),
    single: new https.Agent({ ...trust, keepAlive: false }),
  };
}
