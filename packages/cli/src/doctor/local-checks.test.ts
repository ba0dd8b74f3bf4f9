import assert from 'node:assert/strict';
import { mkdir, writeFile } from 'node:fs/promises';
import http from 'node:http';
import { join } from 'node:path';
import { test } from 'node:test';
import { parseRegistryHost } from '@sealift/core';
import { type DiskView, diskCheck } from './disk-check.ts';
import { answerAsNode, directoryFor, examine, SOUND_NODE, SOUND_SETTINGS, serve, subjectOf } from './doctor.fixture.ts';
import { nameCheck } from './name-check.ts';
import { configuredCheck, engineCheck, nodeCheck } from './node-checks.ts';
import { proxyCheck } from './proxy-check.ts';
import { runtimeCheck } from './runtime-check.ts';
import type { NodeFacts, Subject } from './subject.ts';

test('a node that does not run, answers nothing of use, or is in order', async (t) => {
  const subject = subjectOf(await directoryFor(t));
  const away = await examine(nodeCheck(subject));
  assert.equal(away.status, 'fail');
  assert.match(away.finding, /^No node runs with the data directory/);
  assert.match(away.advice ?? '', /systemctl start sealift-node/);

  const old = subjectOf(await directoryFor(t));
  await answerAsNode(t, old);
  assert.match((await examine(nodeCheck(old))).finding, /does not answer as this version does/);

  await answerAsNode(t, subject, { settings: async () => SOUND_SETTINGS });
  subject.learned.node = undefined as unknown as NodeFacts;
  assert.deepEqual(await examine(nodeCheck(subject)), {
    id: 'node',
    status: 'ok',
    finding: `The node of ${subject.data} runs and is called node-1.`,
  });
  assert.deepEqual(subject.learned.node, SOUND_NODE);
});

const engines = [
  { engine: { trouble: 'STORE_FULL' }, status: 'fail', says: /works as a plain proxy.*STORE_FULL/ },
  { engine: { state: 'starting' }, status: 'fail', says: /does not run yet/ },
  { engine: { restarts: 7 }, status: 'warn', says: /started again 7 times/ },
  { engine: {}, status: 'ok', says: /runs/ },
] as const;
for (const { engine, status, says } of engines) {
  test(`an engine like ${JSON.stringify(engine)} is ${status}`, async () => {
    const result = await examine(
      engineCheck(subjectOf('/', { node: { engine: { ...SOUND_NODE.engine, ...engine } } })),
    );
    assert.equal(result.status, status);
    assert.match(result.finding, says);
  });
}

test('a registry that the node does not handle, and one that it knows by another port', async () => {
  assert.equal((await examine(configuredCheck(subjectOf('/')))).status, 'ok');
  const other = await examine(configuredCheck(subjectOf('/', { image: 'other.example/a' })));
  assert.equal(other.status, 'fail');
  assert.match(other.advice ?? '', /Add --registry other\.example /);
  const port = await examine(configuredCheck(subjectOf('/', { image: 'registry.example/a' })));
  assert.match(port.finding, /It handles registry\.example:5000, which is another one: the port counts/);
  const registries = [parseRegistryHost('[2001:db8::1]:5000')];
  const address = await examine(
    configuredCheck(subjectOf('/', { image: '[2001:db8::2]/a', settings: { registries } })),
  );
  assert.doesNotMatch(address.finding, /the port counts/);
});

test('a proxy that is away, something else in its place, or in order', async (t) => {
  let answer = 'nginx';
  const port = await serve(
    t,
    http.createServer((_, response) => response.end(answer)),
  );
  const at = (proxy: string): Subject => subjectOf('/', { node: { proxy } });
  const closed = http.createServer();
  const closedPort = await serve(t, closed);
  closed.close();
  const away = await examine(proxyCheck(at(`127.0.0.1:${closedPort}`)));
  assert.match(away.finding, /does not answer on 127\.0\.0\.1:\d+: nothing listens there/);
  assert.match((await examine(proxyCheck(at(`127.0.0.1:${port}`)))).finding, /^Something else than the node answers/);
  answer = 'ok\n';
  assert.equal((await examine(proxyCheck(at(`127.0.0.1:${port}`)))).status, 'ok');
});

test('a name that nobody knows, a name service that is away, and a registry on loopback', async () => {
  const found = async (answer: string): Promise<{ status: string; finding: string }> =>
    await examine(
      nameCheck(subjectOf('/'), async () => {
        if (/^[A-Z]/.test(answer))
          throw Object.assign(new Error('getaddrinfo'), { code: answer, syscall: 'getaddrinfo' });
        return [{ address: answer }];
      }),
    );
  assert.match((await found('ENOTFOUND')).finding, /^Nobody knows the name registry\.example/);
  assert.match((await found('EAI_AGAIN')).finding, /^The name service does not answer/);
  const { status, finding } = await found('127.0.0.1');
  assert.equal(status, 'warn');
  assert.match(finding, /runtimes do not use a proxy for such registries/);
  const asked: string[] = [];
  const address = async (name: string) => [{ address: asked[asked.push(name) - 1] ?? '' }];
  for (const image of ['alpine', '[2001:db8::7]:5000/a', '192.0.2.7:5000/a']) {
    assert.equal((await examine(nameCheck(subjectOf('/', { image }), address))).status, 'ok');
  }
  assert.deepEqual(asked, ['registry-1.docker.io', '2001:db8::7', '192.0.2.7']);
  assert.deepEqual(await found('192.0.2.7'), { id: 'name', status: 'ok', finding: 'registry.example is 192.0.2.7.' });
});

const daemons = [
  { info: {}, status: 'fail', says: /uses no proxy/, types: /sealift setup docker --registry registry\.example:5000/ },
  {
    info: { HttpsProxy: 'http://user:secret@proxy.example:8080' },
    status: 'fail',
    says: /uses another proxy, http:\/\/…@proxy\.example:8080/,
    types: /Take the other proxy out/,
  },
  {
    info: { HttpsProxy: 'http://127.0.0.1:3128', NoProxy: 'localhost, .example' },
    status: 'fail',
    says: /NO_PROXY .* leaves registry\.example:5000 out/,
    types: /Take it out of NO_PROXY/,
  },
  { info: { HttpsProxy: 'http://127.0.0.1:3128/', NoProxy: 'localhost' }, status: 'ok', says: /uses the node/ },
  {
    image: 'alpine',
    info: {},
    status: 'fail',
    says: /does not ask the node for images of Docker Hub/,
    types: /setup docker/,
  },
  {
    image: 'alpine',
    info: { RegistryConfig: { Mirrors: ['http://127.0.0.1:3128/'] } },
    status: 'ok',
    says: /asks the node first/,
  },
] as const;
test('dockerd tells which proxy and mirrors it uses; one that does not answer is named', async (t) => {
  const directory = await directoryFor(t);
  const subject = subjectOf(directory);
  assert.match((await examine(runtimeCheck(subject))).finding, /^dockerd does not answer at /);
  let info: object = {};
  await serve(
    t,
    http.createServer((_, response) => response.end(JSON.stringify(info))),
    subject.dockerSocket,
  );
  for (const row of daemons) {
    info = row.info;
    const image = 'image' in row ? { image: row.image } : {};
    const result = await examine(runtimeCheck(subjectOf(directory, image)));
    assert.equal(result.status, row.status, result.finding);
    assert.match(result.finding, row.says);
    if ('types' in row) assert.match(result.advice ?? '', row.types);
    assert.doesNotMatch(JSON.stringify(result), /secret/);
  }
});

test('containerd is judged by its files: not set up, in the way, and set up', async (t) => {
  const subject = subjectOf(await directoryFor(t), { runtime: 'containerd' });
  await mkdir(join(subject.root, 'etc/containerd'), { recursive: true });
  const fresh = await examine(runtimeCheck(subject));
  assert.equal(fresh.status, 'fail');
  assert.match(
    fresh.advice ?? '',
    /sealift setup containerd --registry registry\.example:5000 --listen 127\.0\.0\.1:3128/,
  );
  const config = join(subject.root, 'etc/containerd/config.toml');
  await writeFile(config, 'version = 2\n[plugins."io.containerd.grpc.v1.cri".registry.mirrors."x"]\n  endpoint = []\n');
  assert.match((await examine(runtimeCheck(subject))).finding, /settings of containerd are in the way: .*config\.toml/);
  await writeFile(config, '');
  const { prepareSetup } = await import('../setup/runtime-setup.ts');
  const { SetupDisk } = await import('../setup/setup-disk.ts');
  const request = { registries: [subject.image.registry], listen: { host: '127.0.0.1', port: 3128 } };
  prepareSetup('containerd', request, new SetupDisk(subject.root)).apply();
  assert.deepEqual(await examine(runtimeCheck(subject)), {
    id: 'runtime',
    status: 'ok',
    finding: 'containerd is set up to ask the node for images of registry.example:5000.',
  });
});

const disks: readonly { view: Partial<DiskView>; status: string; says: RegExp }[] = [
  { view: {}, status: 'ok', says: /1\.0 GiB of 2\.0 GiB are used, and the disk has room/ },
  { view: { refusal: 'EROFS' }, status: 'fail', says: /read-only/ },
  { view: { refusal: 'EACCES' }, status: 'fail', says: /cannot be written to \(EACCES\)/ },
  { view: { mode: 0o40755 }, status: 'fail', says: /open to other users/ },
  { view: { freeBytes: 1000 }, status: 'fail', says: /is full/ },
  { view: { freeBytes: 2 ** 29 }, status: 'warn', says: /only 0\.5 GiB left of the 1\.0 GiB/ },
];
for (const { view, status, says } of disks) {
  test(`a disk like ${JSON.stringify(view)} is ${status}`, async () => {
    const look = async (): Promise<DiskView> => ({ mode: 0o40700, refusal: undefined, freeBytes: 2 ** 40, ...view });
    const result = await examine(diskCheck(subjectOf('/'), look));
    assert.equal(result.status, status);
    assert.match(result.finding, says);
  });
}

test('the disk of a real directory is looked at', async (t) => {
  const subject = subjectOf(await directoryFor(t));
  await mkdir(subject.data, { mode: 0o750 });
  assert.match((await examine(diskCheck(subject))).advice ?? '', /chmod 700/);
});
