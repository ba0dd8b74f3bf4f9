import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseRegistryHost } from '@sealift/core';
import { planDocker } from './docker-plan.ts';
import { memoryTree } from './memory-tree.fixture.ts';

const DROP_IN = '/etc/systemd/system/docker.service.d/zz-sealift.conf';
const DAEMON_JSON = '/etc/docker/daemon.json';
const listen = { host: '127.0.0.1', port: 3128 };

function plan(files: Readonly<Record<string, string>>, registries = ['registry.example:5000', 'docker.io']) {
  return planDocker({ registries: registries.map(parseRegistryHost), listen }, memoryTree(files));
}

function written(files: Readonly<Record<string, string>>, path: string, registries?: string[]): string | undefined {
  const { files: planned, problems } = plan(files, registries);
  assert.deepEqual(problems, []);
  return planned.find((file) => file.path === path)?.content;
}

test('dockerd gets the node as its proxy for a registry, and as its mirror for Docker Hub', () => {
  assert.match(
    written({}, DROP_IN) ?? '',
    /^\[Service\]\nEnvironment="HTTPS_PROXY=http:\/\/127\.0\.0\.1:3128"\nEnvironment="NO_PROXY=localhost,127\.0\.0\.1,::1"\n$/m,
  );
  assert.equal(written({}, DAEMON_JSON), '{\n  "registry-mirrors": ["http://127.0.0.1:3128"]\n}\n');
  assert.equal(written({ [DAEMON_JSON]: '' }, DAEMON_JSON), '{\n  "registry-mirrors": ["http://127.0.0.1:3128"]\n}\n');
});

test('for Docker Hub alone dockerd needs no proxy, and for other registries alone no mirror', () => {
  assert.deepEqual(
    plan({}, ['docker.io']).files.map(({ path }) => path),
    [DAEMON_JSON],
  );
  assert.deepEqual(
    plan({}, ['registry.example']).files.map(({ path }) => path),
    [DROP_IN],
  );
});

test('the node comes before other mirrors, and a mirror that is there already stays as it is', () => {
  const theirs = { [DAEMON_JSON]: '{"registry-mirrors": ["https://mirror.example"]}' };
  assert.equal(
    written(theirs, DAEMON_JSON),
    '{"registry-mirrors": ["http://127.0.0.1:3128", "https://mirror.example"]}',
  );
  assert.equal(written({ [DAEMON_JSON]: '{"registry-mirrors": ["http://127.0.0.1:3128/"]}' }, DAEMON_JSON), undefined);
});

test('NO_PROXY keeps what the administrator has there, in whichever file', () => {
  const ofUnit = {
    '/etc/systemd/system/docker.service.d/proxy.conf': '[Service]\nEnvironment="NO_PROXY=.corp, 10.0.0.0/8"\n',
  };
  assert.match(written(ofUnit, DROP_IN) ?? '', /NO_PROXY=\.corp,10\.0\.0\.0\/8,localhost/);
  const ofFile = {
    '/lib/systemd/system/docker.service': '[Service]\nEnvironmentFile=-/etc/default/docker\n',
    '/etc/default/docker': 'NO_PROXY=.site\n',
  };
  assert.match(written(ofFile, DROP_IN) ?? '', /NO_PROXY=\.site,localhost/);
});

const OTHER_PROXY = 'http://user:hunter2@proxy.corp:8080';
const problems = [
  [
    'another proxy in a drop-in',
    { '/etc/systemd/system/docker.service.d/p.conf': `[Service]\nEnvironment=https_proxy=${OTHER_PROXY}\n` },
  ],
  [
    'another proxy in a file of the unit',
    {
      '/etc/systemd/system/docker.service': '[Service]\nEnvironmentFile=/etc/sysconfig/docker\n',
      '/etc/sysconfig/docker': `HTTPS_PROXY=${OTHER_PROXY}\n`,
    },
  ],
  [
    'another proxy for all services',
    { '/etc/systemd/system/service.d/p.conf': `[Service]\nEnvironment=HTTPS_PROXY=${OTHER_PROXY}\n` },
  ],
  ['another proxy in daemon.json', { [DAEMON_JSON]: `{"proxies": {"https-proxy": "${OTHER_PROXY}"}}` }],
  [
    'a later drop-in with another proxy',
    { '/etc/systemd/system/docker.service.d/zzz.conf': `[Service]\nEnvironment=HTTPS_PROXY=${OTHER_PROXY}\n` },
  ],
  [
    'a registry that is left out of the proxy',
    { '/etc/systemd/system/docker.service.d/p.conf': '[Service]\nEnvironment=NO_PROXY=.example\n' },
  ],
  [
    'a registry that daemon.json leaves out',
    { [DAEMON_JSON]: '{"proxies": {"no-proxy": "localhost, registry.example"}}' },
  ],
  [
    'mirrors on the command line',
    {
      '/lib/systemd/system/docker.service': '[Service]\nExecStart=/usr/bin/dockerd --registry-mirror=https://m.corp\n',
    },
  ],
  [
    'mirrors in a variable of the command line',
    {
      '/lib/systemd/system/docker.service':
        '[Service]\nEnvironmentFile=/etc/sysconfig/docker\nExecStart=/usr/bin/dockerd $OPTIONS\n',
      '/etc/sysconfig/docker': "OPTIONS='--debug --registry-mirror https://m.corp'\n",
    },
  ],
  [
    'another proxy on the command line',
    { '/lib/systemd/system/docker.service': `[Service]\nExecStart=/usr/bin/dockerd --https-proxy "${OTHER_PROXY}"\n` },
  ],
  ['a daemon.json that is no JSON', { [DAEMON_JSON]: '{"debug": true,}' }],
  ['a daemon.json whose mirrors are no list', { [DAEMON_JSON]: '{"registry-mirrors": "https://mirror.example"}' }],
] as const;

for (const [what, files] of problems) {
  test(`dockerd is not set up over ${what}, and no password is repeated`, () => {
    const { problems: found } = plan(files);
    assert.equal(found.length, 1, found.join('\n'));
    assert.match(found[0] as string, /^(?:docker\.service|\/etc\/docker\/daemon\.json)(?: \(see .*\))?: /);
    assert.doesNotMatch(found[0] as string, /hunter2/);
  });
}

test('a registry on this machine itself is refused, for which dockerd uses no proxy', () => {
  const { problems: found } = plan({}, ['localhost:5000', '[::1]:5000', '10.0.0.1:5000']);
  assert.equal(found.length, 2);
  for (const problem of found) assert.match(problem, /^--registry: \S+ is this machine itself/);
});

test('a daemon.json that the command line names is the one that counts', () => {
  const unit = '[Service]\nExecStart=/usr/bin/dockerd -H fd:// --config-file /etc/docker/other.json\n';
  const files = { '/lib/systemd/system/docker.service': unit, '/etc/docker/other.json': '{"debug": true}' };
  assert.equal(
    written(files, '/etc/docker/other.json'),
    '{"registry-mirrors": ["http://127.0.0.1:3128"], "debug": true}',
  );
  assert.equal(written(files, DAEMON_JSON), undefined);
});

test('a drop-in that hides another of the same name counts instead of it', () => {
  const files = {
    '/usr/lib/systemd/system/docker.service.d/p.conf': `[Service]\nEnvironment=HTTPS_PROXY=${OTHER_PROXY}\n`,
    '/etc/systemd/system/docker.service.d/p.conf': '',
  };
  assert.deepEqual(plan(files).problems, []);
});
