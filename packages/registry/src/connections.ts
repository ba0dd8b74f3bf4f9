import type { SecureContext } from 'node:tls';
import { AppError, type RegistryHost } from '@sealift/core';
import { Agent, type Dispatcher, Pool } from 'undici';
import type { RegistryConfig } from './registry-config.ts';
import { checkClientCertificate, checkTrustAnchors, createTrust } from './trust.ts';
import { upstreamOrigin } from './upstream.ts';

/**
 * Connections to one host for each purpose. Two pools, so that long blob transfers cannot keep the short calls waiting on
 * which rights depend. What does not fit waits, for as long as its own deadline allows.
 */
const MAX_CONNECTIONS = { calls: 32, blobs: 96 } as const;
/** Hosts connected to at once: a registry, its CDN hosts, and room. It keeps a registry from leading us everywhere. */
const MAX_ORIGINS = 32;
/** Longest set of headers, in bytes: a signed Location and the usual ones fit many times. */
const MAX_HEADER_BYTES = 32 * 1024;

/** What connections are for: short calls, or bodies that take long. */
export type Purpose = keyof typeof MAX_CONNECTIONS;

/** Where the client gets its connections from. */
export interface Connections {
  has(registry: RegistryHost): boolean;
  /** Whether a certificate of ours is shown to it. */
  showsCertificate(registry: RegistryHost): boolean;
  /** Throws `REGISTRY_UNKNOWN`. */
  dispatcher(registry: RegistryHost, purpose: Purpose): Dispatcher;
  /** Throws `CONFIG_INVALID`. */
  replace(config: RegistryConfig): void;
  close(): Promise<void>;
}

/**
 * A pool of verified TLS connections. `trust` is shared by all of them: parsing it for each costs 25 ms a time. `own` has its
 * own, for the one origin that gets to see a certificate of ours.
 */
export function createAgent({
  trust,
  own,
  connectTimeoutMs,
  maxConnections,
}: {
  trust: SecureContext;
  own?: { readonly origin: string; readonly trust: SecureContext } | undefined;
  connectTimeoutMs: number;
  maxConnections: number;
}): Agent {
  // Set, so that NODE_TLS_REJECT_UNAUTHORIZED cannot switch verification off.
  const verified = { rejectUnauthorized: true, timeout: connectTimeoutMs };
  return new Agent({
    connections: maxConnections,
    maxOrigins: MAX_ORIGINS,
    maxHeaderSize: MAX_HEADER_BYTES,
    // HTTP/1.1 is what registries and their clients speak to each other everywhere, one blob for each connection.
    allowH2: false,
    connect: { secureContext: trust, ...verified },
    ...(own === undefined
      ? {}
      : {
          factory: (origin: string | URL, options: object) => {
            const isOwn = new URL(origin).origin === own.origin;
            return new Pool(origin, {
              ...options,
              connect: { secureContext: isOwn ? own.trust : trust, ...verified },
            });
          },
        }),
  });
}

/** The connections to the configured registries, made when first needed. */
export class ConnectionPools implements Connections {
  readonly #configs: Map<RegistryHost, RegistryConfig>;
  readonly #connectTimeoutMs: number;
  readonly #agents = new Map<RegistryHost, Readonly<Record<Purpose, Agent>>>();
  #isClosed = false;

  /** Throws `CONFIG_INVALID` for trust anchors and client certificates that cannot be read. */
  constructor(options: { registries: readonly RegistryConfig[]; connectTimeoutMs: number }) {
    for (const config of options.registries) check(config);
    this.#configs = new Map(options.registries.map((config) => [config.registry, { ...config }]));
    this.#connectTimeoutMs = options.connectTimeoutMs;
  }

  has(registry: RegistryHost): boolean {
    return this.#configs.has(registry);
  }

  showsCertificate(registry: RegistryHost): boolean {
    return this.#configs.get(registry)?.client !== undefined;
  }

  dispatcher(registry: RegistryHost, purpose: Purpose): Dispatcher {
    const config = this.#configs.get(registry);
    if (config === undefined) throw new AppError('REGISTRY_UNKNOWN', { registry });
    if (this.#isClosed) throw new AppError('REGISTRY_UNAVAILABLE', { reason: 'the client is closed' });
    let agents = this.#agents.get(registry);
    if (agents === undefined) {
      agents = this.#open(config);
      this.#agents.set(registry, agents);
    }
    return agents[purpose];
  }

  replace(config: RegistryConfig): void {
    check(config);
    this.#configs.set(config.registry, { ...config });
    const { calls, blobs } = this.#agents.get(config.registry) ?? {};
    this.#agents.delete(config.registry);
    // What runs goes on to its end.
    for (const agent of [calls, blobs]) agent?.close().catch(() => {});
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    const agents = [...this.#agents.values()].flatMap(({ calls, blobs }) => [calls, blobs]);
    this.#agents.clear();
    await Promise.all(agents.map((agent) => agent.destroy()));
  }

  #open({ registry, caPem, client }: RegistryConfig): Readonly<Record<Purpose, Agent>> {
    const common = {
      trust: createTrust(caPem),
      own: client && { origin: upstreamOrigin(registry), trust: createTrust(caPem, client) },
      connectTimeoutMs: this.#connectTimeoutMs,
    };
    return {
      calls: createAgent({ ...common, maxConnections: MAX_CONNECTIONS.calls }),
      blobs: createAgent({ ...common, maxConnections: MAX_CONNECTIONS.blobs }),
    };
  }
}

function check({ caPem, client }: RegistryConfig): void {
  if (caPem !== undefined) checkTrustAnchors(caPem);
  if (client !== undefined) checkClientCertificate(client);
}
