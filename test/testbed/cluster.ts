import { copyFile, mkdir, readdir, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { Dockerd } from './docker.ts';
import { basic, buildImage, type Image, pushImage, putClientCertificate } from './image.ts';
import { type ProbeAnswer, probe } from './probe.ts';
import { Registry } from './registry.ts';
import { mintRegistryToken, type TokenIssuer } from './registry-token.ts';
import {
  type JoinToken,
  NodeProcess,
  PROXY_ADDRESS,
  type ProcessOptions,
  sealift,
  TrackerProcess,
  type UpstreamRegistry,
} from './sealift.ts';
import { Testbed } from './testbed.ts';
import { type RegistryUser, TokenServer } from './token-server.ts';
import { type KeyPair, selfSign, UpstreamAuthority } from './upstream-pki.ts';

const REGISTRY_PORT = 5000;
const TOKEN_PORT = 5001;
/** What Docker Hub answers to. */
const HUB_NAMES = ['registry-1.docker.io', 'auth.docker.io'];

/** Who may do what: `ci` publishes, `alice` belongs to team A, `bob` to team B. */
const RIGHTS: Readonly<Record<string, RegistryUser['rights']>> = {
  ci: { '*': ['pull', 'push'] },
  alice: { 'team-a/app': ['pull'], 'team-a/big': ['pull'] },
  bob: { 'team-b/app': ['pull'] },
};

/** As on Docker Hub, anybody may pull some images. */
const HUB_RIGHTS: typeof RIGHTS = { ...RIGHTS, '': { 'library/app': ['pull'] } };

/** A node with its runtime. */
export interface DockerNode {
  readonly sealift: NodeProcess;
  readonly docker: Dockerd;
}

/** A whole deployment: a private registry with its token service, a tracker, and hosts for nodes. */
export class Cluster {
  readonly testbed: Testbed;
  readonly authority: UpstreamAuthority;
  readonly registry: Registry;
  readonly tokens: TokenServer;
  readonly tracker: TrackerProcess;
  /** What the registry wants to be shown. */
  readonly client: KeyPair | undefined;
  readonly #issuer: TokenIssuer;
  readonly #hub: Registry | undefined;
  readonly #dockers: Dockerd[] = [];
  readonly #nodes: NodeProcess[] = [];
  readonly #minted: string[] = [];
  #joinToken: JoinToken | undefined;

  private constructor(o: {
    testbed: Testbed;
    authority: UpstreamAuthority;
    registry: Registry;
    tokens: TokenServer;
    tracker: TrackerProcess;
    issuer: TokenIssuer;
    hub: Registry | undefined;
    client: KeyPair | undefined;
  }) {
    this.testbed = o.testbed;
    this.authority = o.authority;
    this.registry = o.registry;
    this.tokens = o.tokens;
    this.tracker = o.tracker;
    this.#issuer = o.issuer;
    this.#hub = o.hub;
    this.client = o.client;
  }

  /**
   * Brings up everything but the nodes; `hosts` names the machines for those. With `hasHub` there is a second registry, which
   * answers under the names of Docker Hub.
   */
  static async start({
    hosts,
    remote = [],
    hasHub = false,
    wantsClientCertificate = false,
    tracker: options = {},
  }: {
    hosts: readonly string[];
    /** Those of them that stand at another site. */
    remote?: readonly string[];
    hasHub?: boolean;
    /** The registry is heard only by those who show a client certificate; tracker and nodes have one. */
    wantsClientCertificate?: boolean;
    tracker?: ProcessOptions;
  }): Promise<Cluster> {
    const testbed = await Testbed.start({
      hosts: {
        registry: ['registry.test', 'auth.test', 'other.test', ...(hasHub ? HUB_NAMES : [])],
        tracker: ['tracker.test'],
        ...Object.fromEntries(hosts.map((name) => [name, []])),
      },
      remote,
    });
    try {
      const host = testbed.network.host('registry');
      const authority = await UpstreamAuthority.create(path.join(testbed.directory, 'pki'), 'Upstream Test CA');
      const dnsNames = ['registry.test', 'auth.test', ...HUB_NAMES];
      const tls = await authority.issue('registry', { dnsNames, addresses: [host.address] });
      const client = wantsClientCertificate
        ? await authority.issue('client', { dnsNames: ['client.test'], addresses: [], usage: 'clientAuth' })
        : undefined;
      const issuer = await createIssuer(testbed.directory);
      const tokens = await TokenServer.start(host, {
        port: TOKEN_PORT,
        tls,
        issuer,
        rights: hasHub ? HUB_RIGHTS : RIGHTS,
      });
      const start = (dnsName: string, port: number, realm: string): Promise<Registry> =>
        Registry.start(host, {
          dnsName,
          port,
          tls,
          authority: authority.certificate,
          client,
          auth: { realm: `https://${realm}:${TOKEN_PORT}/token`, issuer },
        });
      const registry = await start('registry.test', REGISTRY_PORT, 'auth.test');
      const hub = hasHub ? await start('registry-1.docker.io', 443, 'auth.docker.io') : undefined;
      const upstream = { name: registry.name, authority: authority.certificate };
      const hubFlags = hub === undefined ? [] : flagsOfHub(authority);
      const tracker = new TrackerProcess(testbed.network.host('tracker'), upstream, {
        ...options,
        flags: [...hubFlags, ...(await flagsOfClient(testbed, registry, client)), ...(options.flags ?? [])],
      });
      const cluster = new Cluster({ testbed, authority, registry, tokens, tracker, issuer, hub, client });
      await tracker.start();
      cluster.#joinToken = await tracker.createToken();
      return cluster;
    } catch (error) {
      await testbed.stop();
      throw error;
    }
  }

  get upstream(): UpstreamRegistry {
    return { name: this.registry.name, authority: this.authority.certificate };
  }

  /** The registry that answers as Docker Hub. */
  get hub(): Registry {
    if (this.#hub === undefined) throw new Error('the cluster has no Docker Hub');
    return this.#hub;
  }

  get joinToken(): JoinToken {
    if (this.#joinToken === undefined) throw new Error('the tracker was not started');
    return this.#joinToken;
  }

  /** Has the nodes to come enrol with a new join token, and the address that the tracker gives out now. */
  async renewJoinToken(): Promise<void> {
    this.#joinToken = await this.tracker.createToken();
  }

  /** Starts a node and a dockerd that uses it as its proxy, on one of the hosts. */
  async startNode(name: string, options: ProcessOptions = {}): Promise<DockerNode> {
    const host = this.testbed.network.host(name);
    await this.trust(name, this.registry.name, this.authority.certificate);
    const sealift = await NodeProcess.start(host, { registry: this.upstream, token: this.joinToken, ...options });
    this.#nodes.push(sealift);
    const docker = await Dockerd.start(host, { runName: this.testbed.name, proxy: PROXY_ADDRESS });
    this.#dockers.push(docker);
    return { sealift, docker };
  }

  /** Starts a node without a runtime; {@link pullBlob} is its client. */
  async startLightNode(
    name: string,
    { hasClientCertificate = true, ...options }: ProcessOptions & { hasClientCertificate?: boolean } = {},
  ): Promise<NodeProcess> {
    const host = this.testbed.network.host(name);
    await this.trust(name, this.registry.name, this.authority.certificate);
    if (this.client !== undefined && hasClientCertificate) {
      await putClientCertificate(path.join(host.certificatesDirectory, this.registry.name), this.client);
    }
    const hubFlags = this.#hub === undefined ? [] : flagsOfHub(this.authority);
    const node = await NodeProcess.start(host, {
      registry: this.upstream,
      token: this.joinToken,
      ...options,
      flags: [...hubFlags, ...(options.flags ?? [])],
    });
    this.#nodes.push(node);
    return node;
  }

  /** Fetches one blob through the node on a host, as alice, and hashes it. */
  async pullBlob(name: string, { repository, digest }: { repository: string; digest: string }): Promise<ProbeAnswer> {
    return await probe(this.testbed.network.host(name), {
      url: `https://${this.registry.name}/v2/${repository}/blobs/${digest}`,
      headers: { authorization: `Bearer ${this.mint('alice', repository)}` },
      trust: await this.trustOf(name),
      proxy: PROXY_ADDRESS,
    });
  }

  /** Fetches a whole image through the node on a host, as a runtime does that asks for its tag by GET: skopeo, as podman. */
  async pullWithSkopeo(name: string, image: string, { user }: { user: string }): Promise<void> {
    const host = this.testbed.network.host(name);
    const authFile = path.join(host.directory, `skopeo-${user}.json`);
    const auth = basic(user, this.tokens.user(user).password);
    await writeFile(authFile, JSON.stringify({ auths: { [this.registry.name]: { auth } } }), { mode: 0o600 });
    const trust = path.join('/etc/docker/certs.d', this.registry.name);
    const options = ['--insecure-policy', 'copy', '-q', '--src-cert-dir', trust, '--src-authfile', authFile];
    const target = `dir:${path.join(host.directory, 'skopeo')}`;
    const env = { HTTPS_PROXY: `http://${PROXY_ADDRESS}` };
    await host.runOrThrow(['skopeo', ...options, `docker://${image}`, target], { env });
  }

  /** Starts a dockerd that knows nothing of Sealift: the measure of what the registry itself would say. */
  async startPlainDocker(name: string): Promise<Dockerd> {
    await this.trust(name, this.registry.name, this.authority.certificate);
    const docker = await Dockerd.start(this.testbed.network.host(name), { runName: this.testbed.name });
    this.#dockers.push(docker);
    return docker;
  }

  /** Puts a CA into a host's Docker trust directory, as its operator would. */
  async trust(name: string, registry: string, authority: string): Promise<void> {
    const directory = path.join(this.testbed.network.host(name).certificatesDirectory, registry);
    await mkdir(directory, { recursive: true });
    await copyFile(authority, path.join(directory, 'ca.crt'));
  }

  /** Every trust anchor that dockerd on this host believes for the registry, Sealift's own among them. */
  async trustOf(name: string): Promise<string[]> {
    const directory = path.join(this.testbed.network.host(name).certificatesDirectory, this.registry.name);
    const files = (await readdir(directory)).filter((file) => file.endsWith('.crt'));
    return files.map((file) => path.join(directory, file));
  }

  /** Builds an image and publishes it as `repository:1`, in the registry if no other is named. */
  async publish(
    repository: string,
    o: Parameters<typeof buildImage>[1],
    { registry = this.registry }: { registry?: Registry } = {},
  ): Promise<Image> {
    const image = await buildImage(path.join(this.testbed.directory, `image-${o.seed}`), o);
    const user = { name: 'ci', ...this.tokens.user('ci') };
    const { authority } = this;
    await pushImage(registry.host, {
      image,
      registry,
      repository,
      authority: authority.certificate,
      client: this.client,
      user,
    });
    return image;
  }

  /** Runs `sealift preheat` on a host with the credentials of a user, and returns the lines of JSON that it printed. */
  async preheat(
    name: string,
    image: string,
    { user, flags = [] }: { user: string; flags?: readonly string[] },
  ): Promise<Record<string, unknown>[]> {
    const { certificatesDirectory } = this.testbed.network.host(name);
    if (this.client !== undefined) {
      await putClientCertificate(path.join(certificatesDirectory, this.registry.name), this.client);
    }
    const ca = ['--registry-ca', `${this.registry.name}=${this.authority.certificate}`];
    const certs = ['--registry-certs', '/etc/docker/certs.d'];
    // Standard input, as a secret must not be an argument.
    const input = `${user}:${this.tokens.user(user).password}\n`;
    const command = sealift('preheat', image, ...ca, ...certs, '--credentials-file', '-', ...flags);
    return linesOf(await this.testbed.network.host(name).runOrThrow(command, { input }));
  }

  /** `docker login` of a user of the registry. */
  async login(docker: Dockerd, name: string): Promise<void> {
    await docker.login(this.registry.name, { name, password: this.tokens.user(name).password });
  }

  /** A registry token for pulling from `repository`, as the token service would give `name`. */
  mint(name: string, repository: string, { expiresInSeconds = 300 } = {}): string {
    const access = [{ repository, actions: ['pull'] }];
    const token = mintRegistryToken(this.#issuer, { subject: name, access, expiresInSeconds });
    this.#minted.push(token);
    return token;
  }

  /** Everything that must stay with those whom it was given to. */
  async secrets(): Promise<string[]> {
    return [...(await this.tokens.secrets()), ...this.#minted];
  }

  /** Stops daemons, then nodes, then the tracker, and leaves their files for a last look. */
  async stopServices(): Promise<void> {
    await Promise.all(this.#dockers.splice(0).map((docker) => docker.stop()));
    await Promise.all(this.#nodes.splice(0).map((node) => node.stop()));
    await this.tracker.stop();
  }

  async stop(): Promise<void> {
    try {
      await this.stopServices();
    } finally {
      await this.testbed.stop();
    }
  }
}

function flagsOfHub({ certificate }: UpstreamAuthority): string[] {
  return ['--registry', 'docker.io', '--registry-ca', `docker.io=${certificate}`];
}

/** The objects that a command printed, one to a line. */
export function linesOf(printed: string): Record<string, unknown>[] {
  const lines = printed.split('\n').filter((line) => line !== '');
  return lines.map((line) => JSON.parse(line) as Record<string, unknown>);
}

async function flagsOfClient(
  testbed: Testbed,
  registry: Registry,
  client: KeyPair | undefined,
): Promise<readonly string[]> {
  if (client === undefined) return [];
  const directory = path.join(testbed.directory, 'registry-certs');
  await putClientCertificate(path.join(directory, registry.name), client);
  return ['--registry-certs', directory];
}

async function createIssuer(directory: string): Promise<TokenIssuer> {
  const at = (file: string) => path.join(directory, 'pki', file);
  const issuer = { certificate: at('token.crt'), key: at('token.key'), issuer: 'sl-issuer', service: 'sl-registry' };
  await selfSign('token-issuer', issuer);
  return issuer;
}
