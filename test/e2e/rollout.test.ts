import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { cp, mkdir, readFile, stat, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { after, before, suite, test } from 'node:test';
import { createDockerKey, DockerCa } from '@sealift/pki';
import { blobTraffic } from '../testbed/access-log.ts';
import { Cluster } from '../testbed/cluster.ts';
import { Dockerd } from '../testbed/docker.ts';
import { documentedBlocks } from '../testbed/documented-commands.ts';
import type { Host } from '../testbed/host.ts';
import type { Image } from '../testbed/image.ts';
import { formsOf } from '../testbed/leaks.ts';
import { type NodeProcess, PROXY_ADDRESS, sealift } from '../testbed/sealift.ts';
import { missingForTestbed } from '../testbed/support.ts';

const MIB = 1024 * 1024;
const DAY_MS = 86_400_000;
const HOSTS = ['n1', 'n2', 'n3'];
const REGISTRY = 'registry.test:5000';
const APP = `${REGISTRY}/team-a/app:1`;
const DOCKER_PORT = 2376;

/** What one line of a rollout says, as far as we look at it. */
interface Line {
  readonly event: string;
  readonly host?: string;
  readonly [field: string]: unknown;
}

interface Run {
  readonly code: number | null;
  readonly lines: readonly Line[];
  readonly said: string;
}

suite('a rollout to three dockerds', { skip: missingForTestbed() }, () => {
  let cluster: Cluster;
  let ops: Host;
  let image: Image;
  let directory: string;
  let ca: DockerCa;
  /** What the tag means. */
  let digest: string;
  const nodes: NodeProcess[] = [];
  const dockerds: Dockerd[] = [];
  /** All that rollouts have printed. */
  const said: string[] = [];

  before(async () => {
    cluster = await Cluster.start({ hosts: [...HOSTS, 'ops'] });
    ops = cluster.testbed.network.host('ops');
    directory = path.join(ops.directory, 'rollout');
    await mkdir(directory, { mode: 0o700 });
    image = await cluster.publish('team-a/app', { seed: 'app', layerBytes: [12 * MIB, 2 * MIB, 200_000] });
    ca = await DockerCa.create({ keyType: 'p-256', ttlMs: DAY_MS });
    await writeLeaf(at('ops'), ['cert.pem', 'key.pem'], { role: 'client', name: 'ops' });
    nodes.push(...(await Promise.all(HOSTS.map((name) => cluster.startLightNode(name)))));
    await Promise.all(['n1', 'n2'].map(startDockerd));
    const { password } = cluster.tokens.user('alice');
    await writeFile(at('registry-login'), `alice:${password}\n`, { mode: 0o600 });
    // An operator would forward the admin sockets of the nodes to these directories.
    const hosts = HOSTS.map((name, index) => ({ host: `${name}:${DOCKER_PORT}`, nodeData: nodes[index]?.data }));
    await writeFile(at('hosts'), JSON.stringify(hosts));
  });
  after(async () => {
    // Before the nodes, whose proxy they have.
    await Promise.all(dockerds.map((dockerd) => dockerd.stop()));
    await cluster?.stop();
  });

  const at = (...names: string[]): string => path.join(directory, ...names);
  const hostAt = (name: string): Host => cluster.testbed.network.host(name);

  async function writeLeaf(
    to: string,
    [certificate, key]: readonly [string, string],
    subject: Parameters<DockerCa['issue']>[0],
  ): Promise<void> {
    const privateKeyPem = await createDockerKey('p-256');
    await mkdir(to, { recursive: true });
    await writeFile(path.join(to, 'ca.pem'), ca.certificatePem);
    await writeFile(path.join(to, key), privateKeyPem, { mode: 0o600 });
    await writeFile(
      path.join(to, certificate),
      await ca.issue(subject, { publicKeyPem: privateKeyPem, ttlMs: DAY_MS }),
    );
  }

  /** A dockerd that is commanded over TLS and pulls through the node of its host. */
  async function startDockerd(name: string): Promise<void> {
    const host = hostAt(name);
    const tls = path.join(host.directory, 'docker-etc', 'tls');
    const files = { role: 'server', dnsNames: [name], ipAddresses: [host.address] } as const;
    await writeLeaf(tls, ['server-cert.pem', 'server-key.pem'], files);
    const flags = [
      ...['--tlsverify', '--tlscacert=/etc/docker/tls/ca.pem', '--tlscert=/etc/docker/tls/server-cert.pem'],
      ...['--tlskey=/etc/docker/tls/server-key.pem', '-H', `tcp://${host.address}:${DOCKER_PORT}`],
    ];
    dockerds.push(await Dockerd.start(host, { runName: cluster.testbed.name, proxy: PROXY_ADDRESS, flags }));
  }

  /** Runs a rollout as a process on the operator's host; `onLine` may end it. */
  async function run(
    command: readonly string[],
    { onLine, input = '' }: { onLine?: (line: Line, child: ChildProcess) => void; input?: string } = {},
  ): Promise<Run> {
    const env = { PATH: process.env['PATH'], HOME: ops.directory };
    const child = spawn('unshare', ops.enter(command), { env, stdio: ['pipe', 'pipe', 'pipe'], timeout: 60_000 });
    const lines: Line[] = [];
    const errors: string[] = [];
    createInterface({ input: child.stdout }).on('line', (text) => {
      said.push(text);
      const line = JSON.parse(text) as Line;
      lines.push(line);
      onLine?.(line, child);
    });
    createInterface({ input: child.stderr }).on('line', (text) => {
      said.push(text);
      errors.push(text);
    });
    child.stdin.end(input);
    const [code] = (await once(child, 'close')) as [number | null];
    return { code, lines, said: errors.join('\n') };
  }
  const rollout = (args: readonly string[], options: Parameters<typeof run>[1] = {}) =>
    run(sealift('rollout', APP, '--hosts', at('hosts'), '--cert-dir', at('ops'), ...args), options);
  const login = () => ['--credentials-file', at('registry-login')];
  const endOf = ({ lines }: Run, name: string): string | undefined =>
    lines.find(({ event, host }) => host === `${name}:${DOCKER_PORT}` && /^host_(?!progress)/.test(event))?.event;
  const summaryOf = ({ lines }: Run): Line =>
    lines.find(({ event }) => event === 'summary') ?? assert.fail('no summary');

  test('without credentials nobody pulls, and the registry’s no is told', async () => {
    const ended = await rollout([]);
    assert.equal(ended.code, 1, ended.said);
    assert.match(ended.said, /no host can say what the tag means; .*(?:unauthorized|authentication required|denied)/);
  });

  test('a host that is down fails, the others pull, and the exit status says so', async () => {
    const ended = await rollout([...login(), '--state', at('app-1.4')]);
    assert.equal(ended.code, 1, ended.said);
    assert.deepEqual(
      HOSTS.map((name) => endOf(ended, name)),
      ['host_pulled', 'host_pulled', 'host_failed'],
    );
    assert.match(JSON.stringify(summaryOf(ended)['failures']), /n3:2376.*ECONNREFUSED/);
    assert.match(ended.said, /failed=1/);
  });

  test('the data went from peer to peer: each blob left the registry once, and the summary says where bytes came from', async () => {
    const traffic = blobTraffic(await cluster.registry.requests());
    for (const blob of [image.config, ...image.layers]) {
      assert.deepEqual(traffic.get(blob.digest), { gets: 1, bytes: blob.size });
    }
    for (const node of nodes.slice(0, 2)) assert.equal((await node.status()).bytes.registry, 0);
  });

  test('the next run asks only the host that failed, for the same digest, and reads the registry no more', async () => {
    await startDockerd('n3');
    const before = blobTraffic(await cluster.registry.requests());
    const [block = ''] = await documentedBlocks('operations.md', '## Roll an image out');
    const sealiftHere = `sealift() { ${sealift()
      .map((part) => `'${part}'`)
      .join(' ')} "$@"; }`;
    const command = block.replace('registry.example/team/app:1.4', APP);
    const ended = await run(['bash', '-euc', `cd '${directory}'; ${sealiftHere}\n${command}`]);
    assert.equal(ended.code, 0, ended.said);
    assert.deepEqual(
      HOSTS.map((name) => endOf(ended, name)),
      [undefined, undefined, 'host_pulled'],
    );
    digest = String(summaryOf(ended)['digest']);
    const { doneBefore, pulled, sources, downloadedBytes } = summaryOf(ended) as Line & {
      sources: Record<string, number>;
    };
    assert.deepEqual([doneBefore, pulled], [2, 1]);
    const size = image.layers.reduce((sum, layer) => sum + layer.size, 0);
    assert.equal(downloadedBytes, size);
    assert.deepEqual([sources['registry'], sources['knownHosts']], [0, 1]);
    assert.ok((sources['peers'] ?? 0) + (sources['cache'] ?? 0) >= size, JSON.stringify(sources));
    assert.deepEqual(blobTraffic(await cluster.registry.requests()), before);
  });

  test('the tag is there on every host, and means the same image', async () => {
    const ids = await Promise.all(
      HOSTS.map((name) => {
        const tls = ['--tlsverify', `--tlscacert=${at('ops/ca.pem')}`, `--tlscert=${at('ops/cert.pem')}`];
        const inspect = ['image', 'inspect', '--format', '{{.Id}} {{.RepoDigests}}', APP];
        return ops.runOrThrow([
          'docker',
          ...tls,
          `--tlskey=${at('ops/key.pem')}`,
          '-H',
          `tcp://${name}:${DOCKER_PORT}`,
          ...inspect,
        ]);
      }),
    );
    assert.equal(new Set(ids).size, 1, ids.join(''));
  });

  test('Ctrl-C ends a rollout with 130, and what was done then is not done again', async () => {
    const listen = `require('node:net').createServer(() => {}).listen(${DOCKER_PORT}, '${ops.address}', () => console.log('silent'))`;
    const silent = ops.start('silent', [process.execPath, '-e', listen]);
    await silent.waitFor('its port', (line) => line === 'silent' || undefined);
    await writeFile(at('with-silent'), `n1\n${ops.address}\n`);
    await writeFile(at('without-silent'), 'n1\nn2\n');
    const to = (hosts: string) =>
      sealift(
        'rollout',
        `${REGISTRY}/team-a/app@${digest}`,
        '--hosts',
        at(hosts),
        '--cert-dir',
        at('ops'),
        '--wave',
        '1',
      );
    const state = ['--state', at('state-2')];
    const interrupted = await run([...to('with-silent'), ...login(), ...state], {
      onLine: ({ event, wave }, child) => event === 'wave_started' && wave === 2 && child.kill('SIGINT'),
    });
    assert.equal(interrupted.code, 130, interrupted.said);
    assert.deepEqual([summaryOf(interrupted)['present'], summaryOf(interrupted)['interrupted']], [1, 1]);
    await silent.stop();
    const input = await readFile(at('registry-login'), 'utf8');
    const resumed = await run([...to('without-silent'), '--credentials-file', '-', ...state], { input });
    assert.equal(resumed.code, 0, resumed.said);
    assert.deepEqual([summaryOf(resumed)['doneBefore'], summaryOf(resumed)['present']], [1, 1]);
    assert.equal((await stat(at('state-2'))).mode & 0o777, 0o600);
  });

  test('a client of another CA commands nobody', async () => {
    await cp(at('ops'), at('stranger'), { recursive: true });
    const other = await DockerCa.create({ keyType: 'p-256', ttlMs: DAY_MS });
    const key = await createDockerKey('p-256');
    await writeFile(at('stranger', 'key.pem'), key);
    const certificate = await other.issue({ role: 'client', name: 'ops' }, { publicKeyPem: key, ttlMs: DAY_MS });
    await writeFile(at('stranger', 'cert.pem'), certificate);
    const ended = await rollout([...login(), '--cert-dir', at('stranger')]);
    assert.equal(ended.code, 1);
    assert.match(ended.said, /no host can say what the tag means; .*alert/);
  });

  test('no credential is in what rollouts printed, in state files or in the logs of nodes', async () => {
    const needles = formsOf(await cluster.secrets(), Object.keys(cluster.tokens.users));
    const files = [at('app-1.4'), at('state-2'), ...nodes.map(({ service }) => service.logFile)];
    const texts = [said.join('\n'), ...(await Promise.all(files.map((file) => readFile(file, 'utf8'))))];
    for (const text of texts)
      assert.deepEqual(
        needles.filter((needle) => text.includes(needle)),
        [],
      );
  });
});
