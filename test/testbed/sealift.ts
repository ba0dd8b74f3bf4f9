import { mkdir } from 'node:fs/promises';
import path from 'node:path';
import type { Host } from './host.ts';
import type { LogLine, Service } from './service.ts';

const MAIN = path.join(import.meta.dirname, '..', '..', 'packages', 'cli', 'src', 'main.ts');
const TRACKER_PORT = 7443;
const SEEDER_PORT = 7444;
const PEER_PORT = 7445;
/** Where each node's proxy listens, on its own loopback. */
export const PROXY_ADDRESS = '127.0.0.1:3128';

/** The upstream registry as Sealift's command line takes it. */
export interface UpstreamRegistry {
  readonly name: string;
  /** File of the CA that signed its certificate. */
  readonly authority: string;
}

/** How a process of Sealift is run, where a test does not care for the defaults. */
export interface ProcessOptions {
  /** @default 'debug' */
  readonly logLevel?: string;
  /** Beside the host's own, `NODE_OPTIONS` for example. */
  readonly env?: Readonly<Record<string, string>>;
  /** More of the command line. */
  readonly flags?: readonly string[];
}

/** What `sealift token create` hands to an operator. */
export interface JoinToken {
  /** The tracker's address with the fingerprint of its CA. */
  readonly tracker: string;
  readonly tokenFile: string;
}

/** What `sealift status --json` says of a node, as far as tests ask. */
export interface NodeStatus {
  /** Blob bytes that the runtime got, by where they came from. */
  readonly bytes: { readonly registry: number; readonly peers: number; readonly cache: number };
  /** The process beside the front; the pid is as we see it from outside, for hosts share the process table. */
  readonly engine: { readonly pid: number | null; readonly restarts: number };
}

/** Runs the command line as an operator would; the path of the program stands for `sealift`. */
export function sealift(...args: readonly string[]): string[] {
  return [process.execPath, MAIN, ...args];
}

/** `sealift tracker`, the real process. */
export class TrackerProcess {
  readonly host: Host;
  readonly data: string;
  readonly #registry: UpstreamRegistry;
  readonly #options: ProcessOptions;
  #service: Service | undefined;

  constructor(host: Host, registry: UpstreamRegistry, options: ProcessOptions = {}) {
    this.#options = options;
    this.host = host;
    this.data = path.join(host.directory, 'tracker');
    this.#registry = registry;
  }

  get service(): Service {
    if (this.#service === undefined) throw new Error('the tracker was not started');
    return this.#service;
  }

  /** Starts it, or starts it again on the data that it left. */
  async start(): Promise<LogLine> {
    const { address } = this.host;
    const { logLevel = 'debug', env = {}, flags = [] } = this.#options;
    await mkdir(this.data, { recursive: true, mode: 0o700 });
    this.#service = this.host.start(
      'tracker',
      sealift(
        ...['tracker', '--data', this.data, '--cluster', 'testbed', '--name', 'tracker.test'],
        ...['--listen', `${address}:${TRACKER_PORT}`, '--certificate-ttl', '1h', '--log-level', logLevel],
        ...['--registry', this.#registry.name, '--registry-ca', `${this.#registry.name}=${this.#registry.authority}`],
        ...['--seeder-listen', `${address}:${SEEDER_PORT}`, '--seeder-address', `${address}:${SEEDER_PORT}`],
        ...flags,
      ),
      { env },
    );
    return await this.#service.waitForEvent('started', ({ role }) => role === 'tracker');
  }

  /** A join token for any number of nodes. */
  async createToken(): Promise<JoinToken> {
    const out = path.join(this.host.directory, 'join-token');
    const args = ['token', 'create', '--data', this.data, '--reusable', '--ttl', '1h', '--out', out];
    return JSON.parse(await this.host.runOrThrow(sealift(...args))) as JoinToken;
  }

  async stop(): Promise<void> {
    await this.#service?.stop();
  }

  /** Takes the tracker away as a power cut would. */
  async kill(): Promise<void> {
    await this.service.stop({ signal: 'SIGKILL' });
  }
}

/** `sealift node`, the real process: a proxy and a peer. */
export class NodeProcess {
  readonly host: Host;
  readonly data: string;
  readonly service: Service;

  private constructor(host: Host, data: string, service: Service) {
    this.host = host;
    this.data = data;
    this.service = service;
  }

  static async start(
    host: Host,
    {
      registry,
      token,
      logLevel = 'debug',
      env = {},
      flags = [],
    }: { registry: UpstreamRegistry; token: JoinToken } & ProcessOptions,
  ): Promise<NodeProcess> {
    const data = path.join(host.directory, 'node');
    await mkdir(data, { recursive: true, mode: 0o700 });
    const peer = `${host.address}:${PEER_PORT}`;
    const service = host.start(
      'node',
      sealift(
        ...['node', '--tracker', token.tracker, '--join-token-file', token.tokenFile, '--data', data],
        ...['--registry', registry.name, '--registry-ca', `${registry.name}=${registry.authority}`],
        ...['--listen', PROXY_ADDRESS, '--peer-listen', peer, '--peer-address', peer],
        ...['--certs-directory', '/etc/docker/certs.d', '--name', host.name, '--log-level', logLevel],
        ...flags,
      ),
      { env },
    );
    await service.waitForEvent('started', ({ role }) => role === 'node');
    return new NodeProcess(host, data, service);
  }

  /** What the node says of itself over its admin socket. */
  async status(): Promise<NodeStatus> {
    return JSON.parse(await this.host.runOrThrow(sealift('status', '--data', this.data, '--json'))) as NodeStatus;
  }

  async stop(): Promise<void> {
    await this.service.stop();
  }
}
