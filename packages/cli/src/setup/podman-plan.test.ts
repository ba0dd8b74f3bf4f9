import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseRegistryHost } from '@sealift/core';
import { memoryTree } from './memory-tree.fixture.ts';
import { planPodman } from './podman-plan.ts';

const CONTAINERS = '/etc/containers/containers.conf.d/zz-sealift.conf';
const REGISTRIES = '/etc/containers/registries.conf.d/zz-sealift.conf';
const listen = { host: '127.0.0.1', port: 3128 };

function plan(files: Readonly<Record<string, string>>, registries = ['registry.example:5000', 'docker.io']) {
  return planPodman({ registries: registries.map(parseRegistryHost), listen }, memoryTree(files));
}

function written(files: Readonly<Record<string, string>>, path: string): string {
  const { files: planned, problems } = plan(files);
  assert.deepEqual(problems, []);
  return planned.find((file) => file.path === path)?.content ?? '';
}

test('podman gets the node as its proxy, without its containers, and as a mirror for Docker Hub', () => {
  const env = 'env = ["HTTPS_PROXY=http://127.0.0.1:3128", "NO_PROXY=localhost,127.0.0.1,::1"]\n';
  assert.ok(written({}, CONTAINERS).endsWith(`\n[containers]\nhttp_proxy = false\n\n[engine]\n${env}`));
  assert.match(
    written({}, REGISTRIES),
    /location = "docker\.io"\n\n\[\[registry\.mirror\]\]\nlocation = "127\.0\.0\.1:3128"\ninsecure = true\n$/,
  );
});

test('podman keeps the variables of its administrator, since of two lists the last one counts', () => {
  const theirs =
    '[engine]\nenv = [ # ours\n  "TMPDIR=/big",\n  "NO_PROXY=.corp",\n]\n[containers]\nhttp_proxy = false\n';
  const text = written({ '/etc/containers/containers.conf': theirs }, CONTAINERS);
  assert.ok(
    text.endsWith(
      '\n[engine]\nenv = ["TMPDIR=/big", "HTTPS_PROXY=http://127.0.0.1:3128", "NO_PROXY=.corp,localhost,127.0.0.1,::1"]\n',
    ),
  );
  assert.doesNotMatch(text, /http_proxy/);
});

test('what podman is told in a file that not everybody may read is not copied into one that everybody may', () => {
  const conf = '/etc/containers/containers.conf';
  const files = { [conf]: '[engine]\nenv = ["A_PASSWORD=hunter2"]\n' };
  const request = { registries: [parseRegistryHost('registry.example')], listen };
  const isPrivateIn = (privateFiles: string[]) =>
    planPodman(request, memoryTree(files, { privateFiles })).files.map((file) => file.isPrivate);
  assert.deepEqual([isPrivateIn([]), isPrivateIn([conf])], [[false], [true]]);
});

test('podman reads trust anchors from the first directory that has them, and the node is told so', () => {
  const at = (directory: string) => ({ [`${directory}/registry.example:5000/ca.crt`]: 'x' });
  assert.deepEqual(plan({}).directories, ['/etc/docker/certs.d']);
  assert.deepEqual(plan(at('/etc/docker/certs.d')).directories, ['/etc/docker/certs.d']);
  const { directories, notes } = plan(at('/etc/containers/certs.d'));
  assert.deepEqual(directories, ['/etc/containers/certs.d']);
  assert.match(notes.join('\n'), /--certs-directory \/etc\/containers\/certs\.d/);
});

const conf = '/etc/containers/containers.conf';
const problems = [
  ['another proxy', { [conf]: '[engine]\nenv = ["https_proxy=http://user:hunter2@proxy.corp:1"]\n' }],
  [
    'another proxy by user and password alone',
    { [conf]: '[engine]\nenv = ["HTTPS_PROXY=user:hunter2@proxy.corp:1"]\n' },
  ],
  ['a registry that is left out of the proxy', { [conf]: '[engine]\nenv = ["NO_PROXY=registry.example"]\n' }],
  ['variables in a later file', { '/etc/containers/containers.conf.d/zzz.conf': '[engine]\nenv = ["A=b"]\n' }],
  ['proxy variables that go into containers', { [conf]: '[containers]\nhttp_proxy = true\n' }],
  ['a file that is no TOML', { [conf]: '[engine\n' }],
  [
    'another description of Docker Hub',
    { '/etc/containers/registries.conf': '[[registry]]\nlocation = "docker.io"\n' },
  ],
  [
    'registries.conf in its first form',
    { '/etc/containers/registries.conf': "[registries.search]\nregistries = ['docker.io']\n" },
  ],
  [
    'certificates in both places',
    {
      '/etc/containers/certs.d/registry.example:5000/ca.crt': 'x',
      '/etc/docker/certs.d/registry.example:5000/ca.crt': 'x',
    },
  ],
] as const;

for (const [what, files] of problems) {
  test(`podman is not set up over ${what}`, () => {
    const { problems: found } = plan(files);
    assert.equal(found.length, 1, found.join('\n'));
    assert.match(found[0] as string, /^\/etc\/containers\//);
    assert.doesNotMatch(found[0] as string, /hunter2/);
  });
}
