import type { ClientRequest } from 'node:http';
import http from 'node:http';
import https from 'node:https';
import { isIP } from 'node:net';
import { createSecureContext, getCACertificates } from 'node:tls';
import type { RegistryHost } from '@sealift/core';
import { type RegistryConfig, upstreamOrigin } from '@sealift/registry';
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
  /** Does what can be done about an error of `outgoing`; resolves with whether another try may do better. */
  mend?(outgoing: ClientRequest, error: unknown): Promise<boolean>;
}

/** Reads what is configured for a registry anew, files included; `undefined` if it cannot be read now. */
export type ReadRegistry = (registry: RegistryHost) => Promise<RegistryConfig | undefined>;

/** How a certificate that we do not trust shows (OpenSSL's names, X509_V_ERR), and one of ours that the registry does not. */
const TRUST_FAULT = /^(?:UNABLE_TO_|SELF_SIGNED_CERT_|DEPTH_ZERO_|CERT_|ERR_SSL_.+_ALERT_)/;

/** How long an idle connection to a registry is kept, in ms: below the minute after which common servers close it. */
const POOL_IDLE_MS = 30_000;
/** Idle connections kept for each registry: what the downloads of two or three pulls leave behind. */
const POOL_SIZE = 16;

/** A registry, over HTTPS that is always verified, by a pool of kept connections. */
export class RegistryUpstream implements Upstream {
  readonly registry: RegistryHost;
  readonly #origin: URL;
  readonly #limits: ProxyLimits;
  readonly #reread: ReadRegistry | undefined;
  readonly #onChanged: (config: RegistryConfig) => void;
  readonly #openedWith = new WeakMap<ClientRequest, Agents>();
  #config: RegistryConfig;
  #agents: Agents | undefined;
  #mending: Promise<boolean> | undefined;

  constructor(options: {
    config: RegistryConfig;
    limits: ProxyLimits;
    reread?: ReadRegistry | undefined;
    /** Is told of what was found there, where it differs. */
    onChanged?: (config: RegistryConfig) => void;
  }) {
    this.registry = options.config.registry;
    this.#origin = new URL(upstreamOrigin(this.registry));
    this.#limits = options.limits;
    this.#reread = options.reread;
    this.#onChanged = options.onChanged ?? (() => {});
    this.#config = options.config;
  }

  /** Reads the trust anchors, if that was not done yet. */
  warmUp(): void {
    this.#agents ??= createAgents(this.#config);
  }

  get name(): string {
    return this.registry;
  }

  /** What a request to this registry names as Host if its client named somebody else, as a mirror's client does. */
  get hostHeader(): string {
    return this.#origin.host;
  }

  open({ method, path, headers }: UpstreamRequest, { isFresh }: { isFresh: boolean }): ClientRequest {
    this.#agents ??= createAgents(this.#config);
    const hostname = this.#origin.hostname.replace(/^\[|\]$/g, '');
    const outgoing = https.request({
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
    this.#openedWith.set(outgoing, this.#agents);
    return outgoing;
  }

  /**
   * Where a certificate was refused, looks whether the files have been replaced since they were read: the runtime reads its
   * own with each pull, so with a new CA of the registry it would go on without us.
   */
  async mend(outgoing: ClientRequest, error: unknown): Promise<boolean> {
    if (!TRUST_FAULT.test((error as NodeJS.ErrnoException).code ?? '')) return false;
    // Somebody else's request has met it before.
    if (this.#openedWith.get(outgoing) !== this.#agents) return true;
    this.#mending ??= this.#readAgain().finally(() => {
      this.#mending = undefined;
    });
    return await this.#mending;
  }

  async #readAgain(): Promise<boolean> {
    const config = await this.#reread?.(this.registry);
    if (config === undefined || isSame(config, this.#config)) return false;
    // What runs over the connections of before goes on, and they end when they are idle.
    this.#agents = createAgents(config);
    this.#config = config;
    this.#onChanged(config);
    return true;
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

interface Agents {
  readonly pool: https.Agent;
  readonly single: https.Agent;
}

/**
 * Agents that trust what Node and the machine trust, and `caPem`, and show `client`: who can pull without us must be able to with
 * us.
 */
function createAgents({ caPem, client }: RegistryConfig): Agents {
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

function isSame(one: RegistryConfig, other: RegistryConfig): boolean {
  const [ours, theirs] = [one.client, other.client];
  const isSameClient = ours?.certificatePem === theirs?.certificatePem && ours?.privateKeyPem === theirs?.privateKeyPem;
  return one.caPem === other.caPem && isSameClient;
}
