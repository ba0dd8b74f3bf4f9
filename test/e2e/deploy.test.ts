import assert from 'node:assert/strict';
import { readdir } from 'node:fs/promises';
import path from 'node:path';
import { after, before, suite, test } from 'node:test';
import { Dockerd } from '../testbed/docker.ts';
import type { Host, Outcome } from '../testbed/host.ts';
import { buildImage, pushImage } from '../testbed/image.ts';
import { importImage } from '../testbed/local-image.ts';
import { type NodeStatus, PROXY_ADDRESS } from '../testbed/sealift.ts';
import { buildSealiftImage } from '../testbed/sealift-image.ts';
import { missingForTestbed } from '../testbed/support.ts';
import { Testbed } from '../testbed/testbed.ts';

const COMPOSE_FILE = path.join(import.meta.dirname, '..', '..', 'deploy', 'docker-compose.yml');
/** As deploy/docker-compose.yml names it. */
const REGISTRY = '172.30.77.11:5000';
const IMAGE = `${REGISTRY}/demo/app:1`;
/** The start of five services on two busy cores. In ms. */
const COMPOSE_TIMEOUT_MS = 120_000;

suite('the image and the compose file of deploy/', { skip: missingForTestbed() }, () => {
  let testbed: Testbed;
  let host: Host;
  let docker: Dockerd;

  const compose = (...args: readonly string[]): Promise<Outcome> =>
    host.run(['docker-compose', '-p', 'tryout', '-f', COMPOSE_FILE, ...args], {
      env: { DOCKER_HOST: `unix://${docker.socket}` },
      timeoutMs: COMPOSE_TIMEOUT_MS,
    });
  const inContainer = (service: string, ...command: readonly string[]): Promise<Outcome> =>
    docker.run(['exec', `tryout_${service}_1`, ...command]);

  before(async () => {
    testbed = await Testbed.start({ hosts: { box: [] } });
    host = testbed.network.host('box');
    docker = await Dockerd.start(host, { runName: testbed.name, proxy: PROXY_ADDRESS });
    await importImage(docker, {
      name: 'local/node',
      programs: { '/usr/local/bin/node': process.execPath },
      changes: ['ENV PATH=/usr/local/bin:/bin'],
    });
    await buildSealiftImage(docker, { base: 'local/node', name: 'sealift:local' });
    // In the place of Docker Hub's: the same program, as Debian builds it.
    await importImage(docker, {
      name: 'registry:2',
      programs: { '/bin/registry': '/usr/bin/docker-registry' },
      files: {
        '/etc/docker/registry/config.yml':
          'version: 0.1\nstorage: { filesystem: { rootdirectory: /var/lib/registry } }\nhttp: { addr: ":5000" }\n',
      },
      changes: ['ENTRYPOINT ["registry", "serve", "/etc/docker/registry/config.yml"]'],
    });
    const { code, stdout, stderr } = await compose('up', '-d');
    assert.equal(code, 0, `${stdout}${stderr}`);
  });
  after(async () => {
    await docker?.stop();
    await testbed?.stop();
  });

  test('tracker and node come up healthy', async () => {
    for (const service of ['tracker', 'node']) await untilHealthy(docker, `tryout_${service}_1`);
  });

  test('neither is root, has a capability, or can write to its own root', async () => {
    for (const service of ['tracker', 'node']) {
      const { stdout } = await inContainer(service, 'cat', '/proc/1/status');
      assert.match(stdout, /^Uid:\t10001\t10001\t10001\t10001$/m);
      for (const set of ['CapEff', 'CapPrm', 'CapBnd']) assert.match(stdout, new RegExp(`^${set}:\t0+$`, 'm'));
      assert.match(stdout, /^NoNewPrivs:\t1$/m);
      const written = await inContainer(service, 'touch', '/opt/sealift/packages/new');
      assert.match(written.stderr, /Read-only file system/);
    }
  });

  test('the image holds what runs and nothing for development', async () => {
    const { stdout } = await inContainer('node', 'ls', 'packages', 'node_modules', 'packages/core/src');
    assert.match(stdout, /^fastify$/m);
    assert.doesNotMatch(stdout, /^(?:testkit|typescript|fast-check|errors\.test\.ts)$/m);
  });

  test('an image that is pushed to its registry is pulled through its node', async () => {
    const image = await buildImage(path.join(host.directory, 'image'), { seed: 'tried-out', layerBytes: [200_000] });
    // Past the node: a push through it asks for the blobs first, and for two seconds the tracker believes the registry's no.
    const authority = path.join(host.certificatesDirectory, REGISTRY, 'ca.crt');
    await pushImage(host, { image, registry: { name: REGISTRY }, repository: 'demo/app', authority });
    await docker.runOrThrow(['pull', IMAGE]);
    const printed = await docker.runOrThrow(['run', '--rm', '--network', 'none', IMAGE, 'cat', '/etc/seed']);
    assert.equal(printed, 'tried-out\n');
    const { stdout } = await inContainer('node', 'node', 'packages/cli/src/main.ts', 'status', '--json');
    const { bytes } = JSON.parse(stdout) as NodeStatus;
    assert.ok(bytes.peers > 0, stdout);
    assert.equal(bytes.registry, 0);
  });

  test('down takes all of it away', async () => {
    const { code, stderr } = await compose('down', '-v');
    assert.equal(code, 0, stderr);
    for (const kind of ['container', 'volume']) {
      const all = kind === 'container' ? ['-a'] : [];
      assert.equal(await docker.runOrThrow([kind, 'ls', '-q', ...all]), '', kind);
    }
    assert.doesNotMatch(await docker.runOrThrow(['network', 'ls', '--format', '{{.Name}}']), /tryout/);
    assert.deepEqual(await readdir(path.join(host.certificatesDirectory, REGISTRY)), ['ca.crt']);
  });
});

/** Waits for the daemon's own word on a container. */
async function untilHealthy(docker: Dockerd, container: string): Promise<void> {
  const filters = ['--filter', `container=${container}`, '--filter', 'event=health_status'];
  const command = ['docker', '-H', `unix://${docker.socket}`, 'events', '--since', '0', ...filters];
  const events = docker.host.start(`events-${container}`, command);
  await events.waitFor('a good health', (line) => line.includes('health_status: healthy') || undefined);
  await events.stop();
}
