import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseRegistryHost } from '@sealift/core';
import { planContainerd } from './containerd-plan.ts';
import { memoryTree } from './memory-tree.fixture.ts';

const CONFIG = '/etc/containerd/config.toml';
const HOSTS = '/etc/containerd/certs.d/registry.example:5000/hosts.toml';
const listen = { host: '127.0.0.1', port: 3128 };
const MIRROR = '[host."http://127.0.0.1:3128"]\n  capabilities = ["pull", "resolve"]\n  dial_timeout = "1s"\n';

function plan(files: Readonly<Record<string, string>>, registries = ['registry.example:5000']) {
  return planContainerd({ registries: registries.map(parseRegistryHost), listen }, memoryTree(files));
}

function written(files: Readonly<Record<string, string>>, path: string): string | undefined {
  const { files: planned, problems } = plan(files);
  assert.deepEqual(problems, []);
  return planned.find((file) => file.path === path)?.content;
}

const CRI = '[plugins."io.containerd.grpc.v1.cri".registry]';
const SET = 'config_path = "/etc/containerd/certs.d"\n';
const configs = [
  ['no file', undefined, `version = 2\n\n${CRI}\n  ${SET}`],
  ['an empty file', '# none\n', `# none\nversion = 2\n\n${CRI}\n  ${SET}`],
  ['version 1', 'oom_score = 0', `oom_score = 0\n\n[plugins.cri.registry]\n  ${SET}`],
  ['version 2', 'version = 2\n[plugins]\n', `version = 2\n[plugins]\n\n${CRI}\n  ${SET}`],
  ['version 3', 'version = 3\n', `version = 3\n\n[plugins."io.containerd.cri.v1.images".registry]\n  ${SET}`],
  ['the table', `version = 2\n  ${CRI} # x\n    a = 1\n`, `version = 2\n  ${CRI} # x\n    ${SET}    a = 1\n`],
  [
    'an empty path',
    `version = 2\n${CRI}\n\tconfig_path = "" # x\n`,
    `version = 2\n${CRI}\n\tconfig_path = "/etc/containerd/certs.d" # x\n`,
  ],
] as const;

for (const [what, before, after] of configs) {
  test(`containerd's CRI plugin is pointed to hosts.toml where config.toml has ${what}`, () => {
    assert.equal(written(before === undefined ? {} : { [CONFIG]: before }, CONFIG), after);
  });
}

test('a directory that is configured already is used, by config.toml or by what it imports', () => {
  const set = `version = 2\n${CRI}\nconfig_path = '/srv/hosts:/etc/containerd/certs.d'\n`;
  const own = plan({ [CONFIG]: set });
  assert.deepEqual(
    own.files.map(({ path }) => path),
    ['/srv/hosts/registry.example:5000/hosts.toml'],
  );
  const imported = plan({
    [CONFIG]: 'version = 2\nimports = ["conf.d/*.toml"]\n',
    '/etc/containerd/conf.d/a.toml': set,
  });
  assert.deepEqual(
    imported.files.map(({ path }) => path),
    ['/srv/hosts/registry.example:5000/hosts.toml'],
  );
});

test('with the CRI plugin disabled config.toml stays as it is, and the operator is told', () => {
  const { files, notes } = plan({ [CONFIG]: 'disabled_plugins = ["cri"]\n' });
  assert.deepEqual(
    files.map(({ path }) => path),
    [HOSTS],
  );
  assert.match(notes.join('\n'), /CRI plugin is disabled/);
});

const problems = [
  [
    'mirrors of the old kind',
    `version = 2\n${CRI.slice(0, -1)}.mirrors."docker.io"]\n  endpoint = ["https://m.example"]\n`,
  ],
  ['TLS settings of the old kind', `version = 2\n${CRI.slice(0, -1)}.configs."r.example".tls]\n  ca_file = "/ca"\n`],
  ['an inline table', 'version = 2\n[plugins."io.containerd.grpc.v1.cri"]\nregistry = { x = 1 }\n'],
  ['a dotted key', 'version = 2\n[plugins."io.containerd.grpc.v1.cri"]\nregistry.headers.a = ["b"]\n'],
  ['no TOML', 'version = \n'],
] as const;

for (const [what, text] of problems) {
  test(`containerd is not set up over ${what} in config.toml`, () => {
    const { problems: found } = plan({ [CONFIG]: text });
    assert.equal(found.length, 1);
    assert.match(found[0] as string, /^\/etc\/containerd\/config\.toml: /);
  });
}

test('empty mirrors of the old kind, as `containerd config default` writes them, are no problem', () => {
  assert.deepEqual(
    plan({ [CONFIG]: `version = 2\n${CRI}\n  config_path = ""\n${CRI.slice(0, -1)}.mirrors]\n` }).problems,
    [],
  );
});

test('a registry is asked after the node, with the trust that lies in its directory', () => {
  assert.ok(written({}, HOSTS)?.endsWith(`\nserver = "https://registry.example:5000"\n\n${MIRROR}`));
  const directory = '/etc/containerd/certs.d/registry.example:5000';
  const files = { [`${directory}/ca.crt`]: 'x', [`${directory}/me.cert`]: 'x', [`${directory}/me.key`]: 'x' };
  const trust = [`ca = ["${directory}/ca.crt"]`, `client = [["${directory}/me.cert", "${directory}/me.key"]]`];
  // For the token service too, to which the registry's challenge leads.
  assert.ok(written(files, HOSTS)?.endsWith(`:5000"\n${trust.join('\n')}\n\n${MIRROR}  ${trust.join('\n  ')}\n`));
});

test('a directory in the spelling that containerd prefers is used', () => {
  const { files } = plan({ '/etc/containerd/certs.d/registry.example_5000_/ca.crt': 'x' });
  assert.ok(files.some(({ path }) => path === '/etc/containerd/certs.d/registry.example_5000_/hosts.toml'));
});

test('in a hosts.toml that is there the node comes before other hosts, and nothing else changes', () => {
  const theirs =
    'server = "https://registry.example:5000"\nca = "/ca.crt"\n\n[host."https://mirror.example"]\n  skip_verify = true\n';
  const [server, host] = theirs.split('\n\n');
  assert.equal(written({ [HOSTS]: theirs }, HOSTS), `${server}\n\n${MIRROR}  ca = "/ca.crt"\n\n${host}`);
  assert.equal(
    written({ [HOSTS]: 'server = "https://other.example"' }, HOSTS),
    `server = "https://other.example"\n\n${MIRROR}`,
  );
  assert.equal(written({ [HOSTS]: MIRROR }, HOSTS), undefined);
});

test('Docker Hub is asked at its API', () => {
  const { files } = plan({}, ['docker.io']);
  assert.match(files.at(-1)?.content ?? '', /^server = "https:\/\/registry-1\.docker\.io"$/m);
});

test('a default for all registries that ends to count for one is told of', () => {
  const { notes } = plan({ '/etc/containerd/certs.d/_default/hosts.toml': 'server = "https://m.example"\n' });
  assert.match(notes.join('\n'), /_default\/hosts\.toml does not count for registry\.example:5000/);
});
