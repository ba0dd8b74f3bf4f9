import assert from 'node:assert/strict';
import { copyFile, mkdir, readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { after, before, suite, test } from 'node:test';
import { blobTraffic } from '../testbed/access-log.ts';
import { Cluster } from '../testbed/cluster.ts';
import { Containerd } from '../testbed/containerd.ts';
import { Dockerd } from '../testbed/docker.ts';
import type { Host, Outcome } from '../testbed/host.ts';
import { rootOf, snapshotOf } from '../testbed/host-root.ts';
import type { Image } from '../testbed/image.ts';
import { type NodeProcess, sealift } from '../testbed/sealift.ts';
import { parseLogLine } from '../testbed/service.ts';
import { missingForTestbed } from '../testbed/support.ts';

const PRIVATE = 'registry.test:5000/team-a/app:1';
const DROP_IN = 'etc/systemd/system/docker.service.d/zz-sealift.conf';
const RUNTIMES = ['docker', 'containerd', 'podman'];

suite('runtimes as sealift setup leaves them', { skip: missingForTestbed() }, () => {
  let cluster: Cluster;
  let host: Host;
  let root: string;
  let asFound: readonly string[];
  let node: NodeProcess;
  let docker: Dockerd;
  let containerd: Containerd;
  let images: { own: Image; open: Image; closed: Image };

  before(async () => {
    cluster = await Cluster.start({ hosts: ['n1'], hasHub: true });
    host = cluster.testbed.network.host('n1');
    const hub = { registry: cluster.hub };
    images = {
      own: await cluster.publish('team-a/app', { seed: 'own', layerBytes: [2_000_000, 200_000] }),
      open: await cluster.publish('library/app', { seed: 'open', layerBytes: [1_000_000] }, hub),
      closed: await cluster.publish('team-a/app', { seed: 'closed', layerBytes: [1_000_000] }, hub),
    };
    root = await rootOf(host);
    await writeAdministratorsFiles();
    asFound = await snapshotOf(root);
    for (const runtime of RUNTIMES) await setUp(runtime);
    [node, docker, containerd] = await Promise.all([
      cluster.startLightNode('n1'),
      startDocker(),
      Containerd.start(host),
    ]);
  });
  after(async () => {
    await Promise.all([docker?.stop(), containerd?.stop()]);
    await cluster?.stop();
  });

  const at = (name: string): string => path.join(root, name);
  /** Believed by programs that look at the system's trust only, as for Docker Hub. */
  const systemTrust = (): Record<string, string> => ({ SSL_CERT_FILE: cluster.authority.certificate });
  const credentials = (name: string): string => `${name}:${cluster.tokens.user(name).password}`;

  /** An address of the registry that the node was not told of. */
  const unknown = (): string => `${cluster.registry.host.address}:5000`;

  async function writeAdministratorsFiles(): Promise<void> {
    await cluster.trust('n1', cluster.registry.name, cluster.authority.certificate);
    for (const registry of [cluster.registry.name, 'docker.io', unknown()]) {
      await mkdir(at(`etc/containerd/certs.d/${registry}`), { recursive: true });
      await copyFile(cluster.authority.certificate, at(`etc/containerd/certs.d/${registry}/ca.crt`));
    }
    await writeFile(at('etc/docker/daemon.json'), '{ "max-concurrent-downloads": 2 }', { mode: 0o640 });
    const disabled = '["io.containerd.internal.v1.opt"]';
    // The file system of the testbed may not carry an overlay.
    const cri = '[plugins."io.containerd.grpc.v1.cri".containerd]\n  snapshotter = "native"\n';
    await writeFile(at('etc/containerd/config.toml'), `version = 2\ndisabled_plugins = ${disabled}\n${cri}`);
    // So that podman leaves nothing in the machine's shared memory and in its /etc.
    const network = path.join(host.directory, 'podman', 'network');
    const containers = `[engine]\nlock_type = "file"\n[network]\nnetwork_config_dir = "${network}"\n`;
    await writeFile(at('etc/containers/containers.conf'), containers);
    await writeFile(at('etc/containers/policy.json'), '{"default": [{"type": "insecureAcceptAnything"}]}');
  }

  function setUp(runtime: string, registries = [cluster.registry.name, 'docker.io', unknown()]): Promise<string> {
    const named = registries.flatMap((registry) => ['--registry', registry]);
    return host.runOrThrow(sealift('setup', runtime, '--root', root, ...named));
  }

  /** As systemd would start it, with the drop-in. */
  async function startDocker(): Promise<Dockerd> {
    const dropIn = await readFile(at(DROP_IN), 'utf8').catch(() => '');
    const lines = [...dropIn.matchAll(/^Environment="(\w+)=(.*)"$/gm)];
    const env = Object.fromEntries(lines.map(([, name = '', value = '']) => [name, value]));
    return await Dockerd.start(host, { runName: cluster.testbed.name, env: { ...env, ...systemTrust() } });
  }

  function podman(...args: readonly string[]): Promise<Outcome> {
    const own = (name: string): string => path.join(host.directory, 'podman', name);
    const places = ['--root', own('root'), '--runroot', own('run'), '--tmpdir', own('tmp')];
    const ways = ['--storage-driver', 'vfs', '--cgroup-manager', 'cgroupfs', '--events-backend', 'file'];
    return host.run(['podman', ...places, ...ways, ...args], { env: systemTrust() });
  }

  async function skopeo(image: string, ...options: readonly string[]): Promise<Outcome> {
    const env = { HTTPS_PROXY: 'http://127.0.0.1:3128', ...(image.startsWith('docker.io/') ? systemTrust() : {}) };
    const target = path.join(host.directory, `skopeo-${image.replaceAll(/\W/g, '-')}`);
    return await host.run(['skopeo', 'copy', '--quiet', ...options, `docker://${image}`, `dir:${target}`], { env });
  }

  function succeeded({ code, stdout, stderr }: Outcome): void {
    assert.equal(code, 0, `${stdout}${stderr}`);
  }

  /** Asserts that each layer of an image comes from the node while `work` runs, and that none of its bytes pass it by. */
  async function throughTheNode(image: Image, work: () => Promise<unknown>): Promise<void> {
    const isOf = (digest: string, text: string): boolean => {
      const line = parseLogLine(text);
      return (
        line?.event === 'blob_served' &&
        line['digest'] === digest &&
        line['registry'] === 0 &&
        line['isComplete'] === true
      );
    };
    const earlier = image.layers.map(({ digest }) => node.service.lines.filter((line) => isOf(digest, line)).length);
    await work();
    for (const [index, { digest }] of image.layers.entries()) {
      let count = 0;
      await node.service.waitFor(`a layer from the node, ${digest}`, (line) => {
        if (isOf(digest, line)) count += 1;
        return count > (earlier[index] as number) || undefined;
      });
    }
  }

  test('containerd pulls a private image through its hosts.toml and the mirror, with its own credentials', async () => {
    await throughTheNode(images.own, async () => {
      const { code, stderr } = await containerd.pull(PRIVATE, { credentials: credentials('bob') });
      assert.notEqual(code, 0);
      assert.match(stderr, /401|403|authorization failed|denied/i);
      succeeded(await containerd.pull(PRIVATE, { credentials: credentials('alice') }));
    });
  });

  test('dockerd pulls a private image through the proxy of its drop-in', async () => {
    await throughTheNode(images.own, async () => {
      await cluster.login(docker, 'alice');
      await docker.runOrThrow(['pull', PRIVATE], { user: 'alice' });
    });
    assert.match(await docker.runOrThrow(['info']), /HTTPS Proxy: http:\/\/127\.0\.0\.1:3128/);
  });

  test('podman pulls a private image through the proxy of its containers.conf, and its containers hear nothing of that', async () => {
    await throughTheNode(images.own, async () =>
      succeeded(await podman('pull', '--creds', credentials('alice'), PRIVATE)),
    );
    const limits = ['--ulimit', 'nofile=1024:1024', '--ulimit', 'nproc=1024:1024'];
    const run = await podman('run', '--rm', '--network', 'host', ...limits, PRIVATE, 'sh', '-c', 'set; cat /etc/seed');
    succeeded(run);
    assert.match(run.stdout, /^own$/m);
    assert.doesNotMatch(run.stdout, /PROXY/i);
  });

  test('skopeo copies a private image through the proxy', async () => {
    await throughTheNode(images.own, async () => succeeded(await skopeo(PRIVATE, '--src-creds', credentials('alice'))));
  });

  test('dockerd pulls from Docker Hub through the mirror, as anybody and with a login', async () => {
    await throughTheNode(images.open, () => docker.runOrThrow(['pull', 'app:1']));
    await throughTheNode(images.closed, async () => {
      const { code, stderr } = await docker.run(['pull', 'team-a/app:1']);
      assert.notEqual(code, 0);
      // The Hub's own answer, through the tunnel: an intercepted connection would be a fault of certificates.
      assert.match(stderr, /pull access denied/);
      await docker.runOrThrow(['login', '-u', 'alice', '--password-stdin'], {
        user: 'alice',
        input: cluster.tokens.user('alice').password,
      });
      await docker.runOrThrow(['pull', 'team-a/app:1'], { user: 'alice' });
    });
  });

  test('containerd, podman and skopeo find in the swarm what dockerd has read from Docker Hub, whatever they call it', async () => {
    await throughTheNode(images.open, async () => succeeded(await containerd.pull('docker.io/library/app:1')));
    await throughTheNode(images.open, async () => succeeded(await podman('pull', 'docker.io/library/app:1')));
    await throughTheNode(images.open, async () => succeeded(await skopeo('docker.io/library/app:1')));
  });

  test("containerd's CRI plugin pulls with the credentials of a pod, by the files that config.toml leads to", async () => {
    const pull = (name: string) =>
      containerd.pullForPod('docker.io/team-a/app:1', { username: name, password: cluster.tokens.user(name).password });
    await throughTheNode(images.closed, async () => {
      assert.match((await pull('bob')).message, /authorization failed|401|403/);
      assert.deepEqual(await pull('alice'), { status: 0, message: '' });
    });
  });

  test('each of these layers was read once from its registry, whatever the runtimes and their names for Docker Hub', async () => {
    const [own, hub] = [await cluster.registry.requests(), await cluster.hub.requests()].map(blobTraffic);
    for (const { digest } of images.own.layers) assert.equal(own?.get(digest)?.gets, 1);
    for (const { digest } of [...images.open.layers, ...images.closed.layers]) assert.equal(hub?.get(digest)?.gets, 1);
  });

  test('podman gets a private image of Docker Hub from the Hub, to which alone it shows credentials', async () => {
    succeeded(await podman('pull', '--creds', credentials('alice'), 'docker.io/team-a/app:1'));
  });

  test('containerd goes on to the registry where the mirror says 404, and where it is down', async () => {
    const other = `${unknown()}/team-a/app:1`;
    await containerd.forget(PRIVATE);
    succeeded(await containerd.pull(other, { credentials: credentials('alice') }));
    await node.stop();
    await containerd.forget(other);
    succeeded(await containerd.pull(PRIVATE, { credentials: credentials('alice') }));
    const traffic = blobTraffic(await cluster.registry.requests());
    // Once for the swarm, and once for each of these two.
    for (const { digest } of images.own.layers) assert.equal(traffic.get(digest)?.gets, 3);
  });

  test('dockerd that is set up for Docker Hub alone pulls from there while the node is down', async () => {
    await docker.stop();
    assert.match(await setUp('docker', ['docker.io']), /Environment="HTTPS_PROXY/);
    docker = await startDocker();
    await docker.forget('app:1');
    await docker.runOrThrow(['pull', 'app:1']);
  });

  test('a second set-up has nothing to change, and uninstall leaves the machine as it was found', async () => {
    assert.match(await setUp('containerd'), /^Nothing to change: /);
    await docker.stop();
    await host.runOrThrow(sealift('uninstall', '--root', root));
    // dockerd's own name for itself.
    const left = (await snapshotOf(root)).filter((line) => !line.startsWith('etc/docker/key.json '));
    assert.deepEqual(left, asFound);
  });
});
