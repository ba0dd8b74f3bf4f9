import { randomBytes } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type LogLevel, parseClusterId, parseNodeId, parseRegistryHost, type RegistryHost } from '@sealift/core';
import { checkCsr, createSigningRequest, SwarmCa } from '@sealift/pki';
import { type Endpoint, parseEndpoint } from '../option-values.ts';
import { DemoProcess } from './child-process.ts';
import type { RegistryCount } from './demo-result.ts';
import { chooseLoopbackAddresses, type LoopbackAddresses } from './loopback-addresses.ts';
import type { TrackerAccess } from './theft.ts';

const MAIN = new URL('../main.ts', import.meta.url);
const REGISTRY_PROCESS = new URL('./registry-process.ts', import.meta.url);
/** Life of the certificate of the throw-away registry, in ms. */
const DAY_MS = 86_400_000;

/** The throw-away registry, as its clients see it. */
export interface LocalRegistry {
  readonly host: RegistryHost;
  readonly caFile: string;
}

/** A node, as the runtime beside it sees it. */
export interface LocalNode {
  readonly name: string;
  readonly data: string;
  readonly interceptCaFile: string;
  readonly proxy: Endpoint;
  readonly peer: Endpoint;
}

/** How a local cluster is built. */
export interface LocalClusterOptions {
  /** An empty directory for data and logs. */
  readonly directory: string;
  readonly nodes: number;
  /** The registry's uplink, in bytes per second. */
  readonly registryRate: number;
  readonly logLevel: LogLevel;
  readonly signal: AbortSignal;
}

/** A registry, a tracker and nodes on loopback, each a process of its own as on hosts of their own. */
export class LocalCluster {
  /** The one user that the registry knows. */
  readonly user = { username: 'demo', password: randomBytes(12).toString('base64url') };
  readonly #options: LocalClusterOptions;
  readonly #processes: DemoProcess[] = [];
  #registry: (LocalRegistry & { readonly process: DemoProcess }) | undefined;
  #tracker: TrackerAccess | undefined;
  #nodes: readonly LocalNode[] = [];

  constructor(options: LocalClusterOptions) {
    this.#options = options;
  }

  get registry(): LocalRegistry {
    if (this.#registry === undefined) throw new TypeError('the cluster is not started');
    return this.#registry;
  }

  get tracker(): TrackerAccess {
    if (this.#tracker === undefined) throw new TypeError('the cluster is not started');
    return this.#tracker;
  }

  get nodes(): readonly LocalNode[] {
    return this.#nodes;
  }

  async start(): Promise<void> {
    // Whoever waits for a part to start then hears of its end.
    this.#options.signal.addEventListener('abort', () => void this.stop(), { once: true });
    const addresses = await chooseLoopbackAddresses(this.#options.nodes);
    this.#registry = await this.#startRegistry(addresses);
    this.#tracker = await this.#startTracker(addresses);
    this.#nodes = await Promise.all(addresses.nodes.map((host, index) => this.#startNode(`node-${index + 1}`, host)));
  }

  /** What the registry has sent so far, by its own count. */
  async countAtRegistry(): Promise<RegistryCount> {
    if (this.#registry === undefined) throw new TypeError('the cluster is not started');
    return await this.#registry.process.ask<RegistryCount>('count');
  }

  async stop(): Promise<void> {
    // Nodes first, so that they can take leave of the tracker.
    const isNode = ({ name }: DemoProcess): boolean => name.startsWith('node-');
    await Promise.all(this.#processes.filter((child) => isNode(child)).map((child) => child.stop()));
    await Promise.all(this.#processes.map((child) => child.stop()));
  }

  /** Ends every process at once and waits for none: for the last moments of this one. */
  kill(): void {
    for (const child of this.#processes) child.kill();
  }

  async #startRegistry({ registry: host }: LoopbackAddresses): Promise<LocalRegistry & { process: DemoProcess }> {
    const ca = await SwarmCa.create({ clusterId: parseClusterId('demo-registry') });
    const { csrPem, privateKeyPem } = await createSigningRequest();
    // A profile with host names is the tracker's; for a throw-away registry it serves as well.
    const leaf = await ca.issue(
      { role: 'tracker', id: parseNodeId('registry'), ttlMs: DAY_MS, ipAddresses: [host] },
      await checkCsr(csrPem),
    );
    const caFile = join(this.#options.directory, 'registry-ca.crt');
    await writeFile(caFile, ca.certificatePem);
    const process = this.#spawn('registry', REGISTRY_PROCESS, []);
    process.tell({
      host,
      tls: { cert: leaf.certificatePem, key: privateKeyPem },
      user: this.user,
      bytesPerSecond: this.#options.registryRate,
    });
    const { address } = await process.started();
    return { process, host: parseRegistryHost(String(address)), caFile };
  }

  async #startTracker({ tracker: host }: LoopbackAddresses): Promise<TrackerAccess> {
    const data = join(this.#options.directory, 'tracker');
    const process = this.#spawn('tracker', MAIN, [
      ...['tracker', '--data', data, '--cluster', 'demo', '--listen', `${host}:0`, '--name', host],
      ...['--seeder-listen', `${host}:0`, ...this.#commonFlags()],
    ]);
    const { address, fingerprint } = await process.started();
    const tokenFile = join(this.#options.directory, 'join-token');
    const token = this.#spawn('token', MAIN, [
      ...['token', 'create', '--data', data, '--reusable', '--ttl', '1h', '--out', tokenFile],
    ]);
    await token.finished();
    return { origin: `https://${address}`, fingerprint: String(fingerprint), tokenFile };
  }

  async #startNode(name: string, host: string): Promise<LocalNode> {
    const data = join(this.#options.directory, name);
    const interceptCaFile = join(this.#options.directory, `${name}-ca.crt`);
    const { origin, fingerprint, tokenFile } = this.tracker;
    const process = this.#spawn(name, MAIN, [
      ...['node', '--name', name, '--data', data, '--tracker', `${origin}#${fingerprint}`],
      ...['--join-token-file', tokenFile, '--listen', `${host}:0`, '--peer-listen', `${host}:0`],
      ...['--intercept-ca-file', interceptCaFile, ...this.#commonFlags()],
    ]);
    const { proxy, peer } = await process.started();
    return {
      name,
      data,
      interceptCaFile,
      proxy: parseEndpoint(String(proxy)),
      peer: parseEndpoint(String(peer)),
    };
  }

  #commonFlags(): readonly string[] {
    const { host, caFile } = this.registry;
    return ['--registry', host, '--registry-ca', `${host}=${caFile}`, '--log-level', this.#options.logLevel];
  }

  #spawn(name: string, file: URL, args: readonly string[]): DemoProcess {
    this.#options.signal.throwIfAborted();
    const child = new DemoProcess({ name, file, args, logFile: join(this.#options.directory, `${name}.log`) });
    this.#processes.push(child);
    return child;
  }
}
