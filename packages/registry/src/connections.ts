import type { SecureContext } from 'node:tls';
import { AppError, type RegistryHost } from '@sealift/core';
import { Agent, type Dispatcher } from 'undici';
import type { RegistryConfig } from './registry-config.ts';
import { checkTrustAnchors, createTrust } from './trust.ts';

/**
 * Connections to one host for each purpose. Two pools, so that long blob transfers cannot keep the short calls waiting on
 * which rights depend. What does not fit waits, for as long as its own deadline allows.
 */
const MAX_CONNECTIONS = { calls: 32, blobs: 80 } as const;
/** Hosts connected to at once: a registry, its CDN hosts, and room. It keeps a registry from leading us everywhere. */
const MAX_ORIGINS = 32;
/** Longest set of headers, in bytes: a signed Location and the usual ones fit many times. */
const MAX_HEADER_BYTES = 32 * 1024;

/** What connections are for: short calls, or bodies that take long. */
export type Purpose = keyof typeof MAX_CONNECTIONS;

/** Where the client gets its connections from. */
export interface Connections {
  has(registry: RegistryHost): boolean;
  /** Throws `REGISTRY_UNKNOWN`. */
  dispatcher(registry: RegistryHost, purpose: Purpose): Dispatcher;
  close(): Promise<void>;
}

/** A pool of verified TLS connections. `trust` is shared by all of them: parsing it for each costs 25 ms a time. */
export function createAgent({
  trust,
  connectTimeoutMs,
  maxConnections,
}: {
  trust: SecureContext;
  connectTimeoutMs: number;
  maxConnections: number;
}): Agent {
  return new Agent({
    connections: maxConnections,
    maxOrigins: MAX_ORIGINS,
    maxHeaderSize: MAX_HEADER_BYTES,
    // HTTP/1.1 is what registries and their clients speak to each other everywhere, one blob for each connection.
    allowH2: false,
    // Set, so that NODE_TLS_REJECT_UNAUTHORIZED cannot switch verification off.
    connect: { secureContext: trust, rejectUnauthorized: true, timeout: connectTimeoutMs },
  });
}

/** The connections to the configured registries, made when first needed. */
export class ConnectionPools implements Connections {
  readonly #configs: ReadonlyMap<RegistryHost, RegistryConfig>;
  readonly #connectTimeoutMs: number;
  readonly #agents = new Map<RegistryHost, Readonly<Record<Purpose, Agent>>>();
  #isClosed = false;

  /** Throws `CONFIG_INVALID` for trust anchors that cannot be read. */
  constructor(options: { registries: readonly RegistryConfig[]; connectTimeoutMs: number }) {
    for (const { caPem } of options.registries) if (caPem !== undefined) checkTrustAnchors(caPem);
    this.#configs = new Map(options.registries.map((config) => [config.registry, { ...config }]));
    this.#connectTimeoutMs = options.connectTimeoutMs;
  }

  has(registry: RegistryHost): boolean {
    return this.#configs.has(registry);
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

  async close(): Promise<void> {
    this.#isClosed = true;
    const agents = [...this.#agents.values()].flatMap(({ calls, blobs }) => [calls, blobs]);
    this.#agents.clear();
    await Promise.all(agents.map((agent) => agent.destroy()));
  }

  #open({ caPem }: RegistryConfig): Readonly<Record<Purpose, Agent>> {
    const trust = createTrust(caPem);
    const connectTimeoutMs = this.#connectTimeoutMs;
    return {
      calls: createAgent({ trust, connectTimeoutMs, maxConnections: MAX_CONNECTIONS.calls }),
      blobs: createAgent({ trust, connectTimeoutMs, maxConnections: MAX_CONNECTIONS.blobs }),
    };
  }
}
