import { randomBytes } from 'node:crypto';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  AppError,
  type LogLevel,
  parseClusterId,
  parseNodeId,
  parseRegistryHost,
  parseRepository,
  type RegistryHost,
  swarmIdOf,
} from '@sealift/core';
import {
  checkCsr,
  createSigningRequest,
  fetchTrustAnchor,
  SwarmCa,
  type TlsMaterial,
  trackerConnectOptions,
} from '@sealift/pki';
import { TrackerClient } from '@sealift/tracker-api';
import { Agent } from 'undici';
import type { ConfigOf } from '../config.ts';
import { readNodeStatus } from '../node-admin.ts';
import { type Endpoint, parseEndpoint } from '../option-values.ts';
import type { DEMO_OPTIONS } from '../options.ts';
import { DemoProcess } from './child-process.ts';
import { makeDemoImage } from './demo-image.ts';
import type { RegistryCount } from './demo-registry.ts';
import { LightClient, type PullResult } from './light-client.ts';
import { PullProgress } from './progress.ts';
import { bytesServedTo, intruderOf } from './refusals.ts';

const MAIN = new URL('../main.ts', import.meta.url);
const REGISTRY_PROCESS = new URL('./registry-process.ts', import.meta.url);
/** Loopback addresses of the parts: each its own, as hosts on a network have. */
const REGISTRY_HOST = '127.0.0.2';
const TRACKER_HOST = '127.0.0.3';
const nodeHost = (index: number): string => `127.0.0.${11 + index}`;
const REPOSITORY = parseRepository('demo/app');
const CLUSTER = parseClusterId('demo');
/** Life of the certificate of the throw-away registry, in ms. */
const DAY_MS = 86_400_000;

/** Bytes that a node's runtime received, by where they came from. */
interface NodeSources {
  readonly node: string;
  readonly registry: number;
  readonly peers: number;
  readonly cache: number;
}

/** One line of `--json`. */
interface DemoResult {
  readonly ok: boolean;
  readonly nodes: number;
  readonly blobBytes: number;
  readonly registryBlobBytes: number;
  readonly seconds: number;
  readonly sources: readonly NodeSources[];
  readonly refusals: readonly { readonly case: string; readonly bytesServed: number }[];
}

/** `sealift demo`: the main job on one machine, in processes of their own, then two refusals seen live. */
export async function runDemo(
  { json, nodes, registryRate, keep, logLevel }: ConfigOf<typeof DEMO_OPTIONS>,
  { signal }: { readonly signal: AbortSignal },
): Promise<void> {
  const directory = await mkdtemp(join(tmpdir(), 'sealift-demo-'));
  const demo = new Demo({ directory, nodes, registryRate, logLevel, signal });
  try {
    const result = await demo.run();
    if (json) process.stdout.write(`${JSON.stringify(result)}\n`);
    if (!result.ok) throw new AppError('CONFIG_INVALID', { reason: 'the demo did not show what it should; see above' });
  } catch (error) {
    if (!signal.aborted) throw error;
    process.stderr.write('\nstopped\n');
    process.exitCode = 130;
  } finally {
    await demo.stop();
    if (keep) say(`Logs are in ${directory}.`);
    else await rm(directory, { recursive: true, force: true });
  }
}

class Demo {
  readonly #directory: string;
  readonly #nodeCount: number;
  readonly #registryRate: number;
  readonly #logLevel: LogLevel;
  readonly #signal: AbortSignal;
  readonly #processes: DemoProcess[] = [];
  readonly #user = { username: 'demo', password: randomBytes(12).toString('base64url') };

  constructor(options: {
    directory: string;
    nodes: number;
    registryRate: number;
    logLevel: LogLevel;
    signal: AbortSignal;
  }) {
    this.#directory = options.directory;
    this.#nodeCount = options.nodes;
    this.#registryRate = options.registryRate;
    this.#logLevel = options.logLevel;
    this.#signal = options.signal;
  }

  async run(): Promise<DemoResult> {
    say(`Starting a registry, a tracker and ${this.#nodeCount} nodes on this machine …`);
    const upstream = await this.#startRegistry();
    const tracker = await this.#startTracker(upstream);
    const nodes = await Promise.all(
      Array.from({ length: this.#nodeCount }, (_, index) => this.#startNode(index, upstream, tracker)),
    );
    const first = nodes[0];
    if (first === undefined) throw new AppError('CONFIG_INVALID', { reason: 'the demo needs a node' });

    const image = makeDemoImage(this.#user.password);
    const size = image.layers.reduce((sum, { bytes }) => sum + bytes.length, image.config.length);
    say(`Pushing an image of ${image.layers.length} layers, ${mib(size)}, through the first node's proxy …`);
    await (await this.#client(first, upstream)).push('1', image, { signal: this.#signal });

    say(`Pulling it on ${nodes.length} nodes at once; the registry's uplink carries ${mib(this.#registryRate)}/s …`);
    const startedAt = performance.now();
    const pulls = await this.#pullEverywhere(nodes, upstream, size);
    const seconds = Math.round((performance.now() - startedAt) / 10) / 100;
    const blobBytes = pulls[0]?.bytes ?? 0;
    const count = await upstream.process.ask<RegistryCount>('count');
    const sources = await Promise.all(nodes.map((node) => this.#sources(node)));

    say(`\nDone in ${seconds} s. Where each node's bytes came from:`);
    for (const { node, registry, peers, cache } of sources) {
      say(
        `  ${node.padEnd(8)} registry ${mib(registry).padStart(10)}   peers ${mib(peers).padStart(10)}   cache ${mib(cache).padStart(10)}`,
      );
    }
    say(
      `The registry sent ${mib(count.blobBytes)} of blobs in ${count.blobGets} answers; the image has ${mib(blobBytes)}.`,
    );
    say(`Every node for itself would have cost it ${mib(blobBytes * nodes.length)}.\n`);

    const refusals = await this.#tryToSteal(first, upstream, tracker, pulls);
    const ok =
      count.blobBytes === blobBytes &&
      pulls.every(({ bytes }) => bytes === size) &&
      refusals.every(({ bytesServed }) => bytesServed === 0);
    return { ok, nodes: nodes.length, blobBytes, registryBlobBytes: count.blobBytes, seconds, sources, refusals };
  }

  async stop(): Promise<void> {
    // Nodes first, so that they can take leave of the tracker.
    for (const group of [this.#processes.slice(2), this.#processes.slice(0, 2)]) {
      await Promise.allSettled(group.map((child) => child.stop()));
    }
  }

  async #startRegistry(): Promise<Upstream> {
    const ca = await SwarmCa.create({ clusterId: parseClusterId('demo-registry') });
    const { csrPem, privateKeyPem } = await createSigningRequest();
    // A profile with host names is the tracker's; for a throw-away registry it serves as well.
    const leaf = await ca.issue(
      { role: 'tracker', id: parseNodeId('registry'), ttlMs: DAY_MS, ipAddresses: [REGISTRY_HOST] },
      await checkCsr(csrPem),
    );
    const caFile = join(this.#directory, 'registry-ca.crt');
    await writeFile(caFile, ca.certificatePem);
    const process = this.#spawn('registry', REGISTRY_PROCESS, []);
    process.tell({
      host: REGISTRY_HOST,
      tls: { cert: leaf.certificatePem, key: privateKeyPem },
      user: this.#user,
      bytesPerSecond: this.#registryRate,
    });
    const { address } = await process.started();
    return { process, host: parseRegistryHost(String(address)), caFile };
  }

  async #startTracker(upstream: Upstream): Promise<TrackerPart> {
    const data = join(this.#directory, 'tracker');
    const args = [
      'tracker',
      '--data',
      data,
      '--cluster',
      CLUSTER,
      '--listen',
      `${TRACKER_HOST}:0`,
      '--name',
      TRACKER_HOST,
    ];
    const seeder = ['--seeder-listen', `${TRACKER_HOST}:0`];
    const process = this.#spawn('tracker', MAIN, [
      ...args,
      ...seeder,
      ...registryFlags(upstream),
      '--log-level',
      this.#logLevel,
    ]);
    const { address, fingerprint } = await process.started();
    const tokenFile = join(this.#directory, 'join-token');
    const token = this.#spawn('token', MAIN, [
      'token',
      'create',
      '--data',
      data,
      '--reusable',
      '--ttl',
      '1h',
      '--out',
      tokenFile,
    ]);
    await token.finished();
    const origin = `https://${address}`;
    const trustAnchors = await fetchTrustAnchor({ origin, fingerprint: String(fingerprint) }, { signal: this.#signal });
    return { origin, fingerprint: String(fingerprint), trustAnchors, tokenFile };
  }

  async #startNode(index: number, upstream: Upstream, tracker: TrackerPart): Promise<NodePart> {
    const name = `node-${index + 1}`;
    const data = join(this.#directory, name);
    const interceptCaFile = join(this.#directory, `${name}-ca.crt`);
    const host = nodeHost(index);
    const process = this.#spawn(name, MAIN, [
      ...['node', '--name', name, '--data', data, '--tracker', `${tracker.origin}#${tracker.fingerprint}`],
      ...['--join-token-file', tracker.tokenFile, '--listen', `${host}:0`, '--peer-listen', `${host}:0`],
      ...['--intercept-ca-file', interceptCaFile, ...registryFlags(upstream), '--log-level', this.#logLevel],
    ]);
    const { proxy, peer } = await process.started();
    return { name, data, interceptCaFile, proxy: endpointOf(proxy), peer: endpointOf(peer) };
  }

  async #pullEverywhere(
    nodes: readonly NodePart[],
    upstream: Upstream,
    totalBytes: number,
  ): Promise<readonly PullResult[]> {
    const progress = new PullProgress({ totalBytes, output: process.stderr });
    try {
      return await Promise.all(
        nodes.map(async (node) => {
          const client = await this.#client(node, upstream);
          const onBytes = (bytes: number): void => progress.add(node.name, bytes);
          return await client.pull('1', { signal: this.#signal, onBytes });
        }),
      );
    } finally {
      progress.stop();
    }
  }

  /** A runtime on a node: it trusts that node's intercept CA for the registry, and nothing else. */
  async #client(node: NodePart, upstream: Upstream): Promise<LightClient> {
    return new LightClient({
      route: { proxy: node.proxy, trustAnchors: await readFile(node.interceptCaFile, 'utf8') },
      registry: upstream.host,
      repository: REPOSITORY,
      credentials: this.#user,
    });
  }

  async #sources({ name, data }: NodePart): Promise<NodeSources> {
    const { bytes } = (await readNodeStatus(data)) as { bytes: { registry: number; peers: number; cache: number } };
    return { node: name, registry: bytes.registry, peers: bytes.peers, cache: bytes.cache };
  }

  /** Two enrolled peers go for the largest layer: one without a grant, one with the grant of the other. */
  async #tryToSteal(
    node: NodePart,
    upstream: Upstream,
    tracker: TrackerPart,
    pulls: readonly PullResult[],
  ): Promise<DemoResult['refusals']> {
    const blob = pulls[0]?.blobs.toSorted((a, b) => b.size - a.size)[0];
    if (blob === undefined) throw new AppError('CONFIG_INVALID', { reason: 'the demo pulled nothing' });
    const client = await this.#client(node, upstream);
    const authorization = await client.authorize('pull', this.#signal);
    const [owner, thief] = [await this.#enrol(tracker), await this.#enrol(tracker)];
    const request = {
      registry: upstream.host,
      repository: REPOSITORY,
      digest: blob.digest,
      ...(authorization === undefined ? {} : { authorization }),
      intent: 'check' as const,
    };
    const answer = await trackerCall(tracker, owner, (api) => api.join(request, { signal: this.#signal }));
    if (answer.verdict !== 'granted')
      throw new AppError('CONFIG_INVALID', { reason: 'the tracker gave no grant to compare with' });
    const swarmId = swarmIdOf(CLUSTER, upstream.host, blob.digest);
    const attempt = (material: TlsMaterial, grant: string | undefined): Promise<number> =>
      bytesServedTo(intruderOf(material), { peer: node.peer, swarmId, grant });
    // Without this, a node that answers nobody would look like a node that refuses thieves.
    if ((await attempt(owner, answer.grant)) === 0)
      throw new AppError('CONFIG_INVALID', { reason: 'the node does not answer a rightful peer' });
    const refusals = [
      { case: 'valid certificate, no grant', bytesServed: await attempt(thief, undefined) },
      { case: 'grant of another certificate', bytesServed: await attempt(thief, answer.grant) },
    ];
    say('Two enrolled peers tried to take the largest layer from the first node:');
    for (const refusal of refusals) say(`  ${refusal.case.padEnd(30)} ${refusal.bytesServed} bytes`);
    return refusals;
  }

  async #enrol(tracker: TrackerPart): Promise<TlsMaterial> {
    const { csrPem, privateKeyPem } = await createSigningRequest();
    const joinToken = (await readFile(tracker.tokenFile, 'utf8')).trim();
    const answer = await trackerCall(tracker, undefined, (api) =>
      api.enrol({ csr: csrPem, joinToken }, { signal: this.#signal }),
    );
    return { trustAnchors: answer.cluster.trustAnchors, certificatePem: answer.certificate, privateKeyPem };
  }

  #spawn(name: string, file: URL, args: readonly string[]): DemoProcess {
    this.#signal.throwIfAborted();
    const child = new DemoProcess({ name, file, args, logFile: join(this.#directory, `${name}.log`) });
    this.#processes.push(child);
    return child;
  }
}

interface Upstream {
  readonly process: DemoProcess;
  readonly host: RegistryHost;
  readonly caFile: string;
}

interface TrackerPart {
  readonly origin: string;
  readonly fingerprint: string;
  readonly trustAnchors: string;
  readonly tokenFile: string;
}

interface NodePart {
  readonly name: string;
  readonly data: string;
  readonly interceptCaFile: string;
  readonly proxy: Endpoint;
  readonly peer: Endpoint;
}

/** One call to the tracker's API over a connection of its own. */
async function trackerCall<T>(
  { origin, trustAnchors }: TrackerPart,
  client: TlsMaterial | undefined,
  call: (api: TrackerClient) => Promise<T>,
): Promise<T> {
  const agent = new Agent({
    connect: trackerConnectOptions({ trustAnchors, clusterId: CLUSTER, ...(client === undefined ? {} : { client }) }),
  });
  try {
    return await call(new TrackerClient({ origin, dispatcher: () => agent }));
  } finally {
    await agent.destroy();
  }
}

function registryFlags({ host, caFile }: Upstream): readonly string[] {
  return ['--registry', host, '--registry-ca', `${host}=${caFile}`];
}

function endpointOf(address: unknown): Endpoint {
  return parseEndpoint(String(address));
}

function mib(bytes: number): string {
  return `${(bytes / 2 ** 20).toFixed(1)} MiB`;
}

function say(line: string): void {
  process.stderr.write(`${line}\n`);
}
