import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import {
  DOCKER_HUB,
  parseHostPort,
  parseRegistryHost,
  parseRepository,
  registryEndpoint,
  splitHostPort,
} from './blob.ts';
import { isAppError } from './errors.ts';

const spellings = [
  ['registry.example', 'registry.example'],
  ['Registry.EXAMPLE:443', 'registry.example'],
  ['registry.example:0443', 'registry.example'],
  ['registry.example:5000', 'registry.example:5000'],
  ['localhost:80', 'localhost:80'],
  ['my_registry:5000', 'my_registry:5000'],
  ['10.0.0.1:5000', '10.0.0.1:5000'],
  ['[::1]', '[::1]'],
  ['[0:0:0:0:0:0:0:1]:443', '[::1]'],
  ['[2001:DB8::000A]:5000', '[2001:db8::a]:5000'],
  ['[::ffff:10.0.0.1]', '[::ffff:a00:1]'],
] as const;

for (const [text, registry] of spellings) {
  test(`the registry "${text}" is written ${registry}`, () => {
    assert.equal(parseRegistryHost(text), registry);
    assert.equal(parseRegistryHost(registry), registry);
  });
}

test('all names of Docker Hub are one registry, which is dialled at its API', () => {
  const names = [
    'docker.io',
    'index.docker.io',
    'registry-1.docker.io',
    'Registry-1.Docker.IO:443',
    'index.docker.io:0443',
  ];
  for (const name of names) assert.equal(parseRegistryHost(name), DOCKER_HUB, name);
  assert.deepEqual(registryEndpoint(DOCKER_HUB), { hostname: 'registry-1.docker.io', port: 443 });
});

test('a host or port beside those of Docker Hub is a registry of its own, whose word counts for itself only', () => {
  const others = [
    ...['docker.io:80', 'index.docker.io:5000', 'registry-1.docker.io:444', 'registry-2.docker.io', 'auth.docker.io'],
    ...[
      'hub.docker.com',
      'evil-docker.io',
      'docker.io.evil.example',
      'registry-1.docker.io.evil.example',
      'docker.example',
    ],
  ];
  for (const other of others) assert.equal(parseRegistryHost(other), other);
});

test('a place to dial keeps the name and port that were written', () => {
  assert.deepEqual(parseHostPort('Registry-1.docker.io:443'), { hostname: 'registry-1.docker.io', port: 443 });
  assert.deepEqual(parseHostPort('[2001:DB8::1]'), { hostname: '2001:db8::1', port: undefined });
  assert.equal(parseHostPort('registry..example:443'), undefined);
});

test('what is no plain host and port is no registry', () => {
  const refused = [
    '',
    ':5000',
    'registry.example:',
    'registry.example:0',
    'registry.example:65536',
    'registry.example:5000:5000',
    'registry.example/lib',
    'https://registry.example',
    'user@registry.example',
    'registry.example?x',
    'registry.example#x',
    'registry.example\\x',
    'registry .example',
    'registry.example\r\nX: y',
    'registry..example',
    'registry.example.',
    '-registry.example',
    `${'a'.repeat(64)}.example`,
    Array.from({ length: 64 }, () => 'abc').join('.'),
    '[::1',
    '::1',
    '[::1%25eth0]',
    '[:::]',
    '*',
  ];
  for (const text of refused) {
    assert.throws(() => parseRegistryHost(text), { code: 'REGISTRY_INVALID' }, JSON.stringify(text));
  }
});

test('a letter that only lower-casing turns into ASCII does not make a second spelling', () => {
  assert.throws(() => parseRegistryHost('\u212Aube.example'), { code: 'REGISTRY_INVALID' });
});

test('a number that URL parsers read as another address is no registry', () => {
  for (const text of ['127.1', '2130706433', '0x7f000001', '127.0.0.01', '1.2.3.4.5', 'registry.0x1']) {
    assert.throws(() => parseRegistryHost(text), { code: 'REGISTRY_INVALID' }, text);
  }
});

test('a registry that parses is dialled where a URL parser would dial it', () => {
  const host = fc.oneof(
    fc.domain(),
    fc.ipV4(),
    fc.ipV6().map((address) => `[${address}]`),
  );
  fc.assert(
    fc.property(host, fc.integer({ min: 1, max: 65_535 }), (name, port) => {
      const registry = parseRegistryHost(`${name}:${port}`);
      const url = new URL(`https://${registry}`);
      const endpoint = registryEndpoint(registry);
      assert.equal(endpoint.hostname, url.hostname.replace(/^\[|\]$/g, ''));
      assert.equal(endpoint.port, url.port === '' ? 443 : Number(url.port));
      assert.equal(parseRegistryHost(registry), registry);
    }),
    { seed: 1, numRuns: 200 },
  );
});

test('an endpoint is port 443 where none is written', () => {
  assert.deepEqual(registryEndpoint(parseRegistryHost('registry.example')), {
    hostname: 'registry.example',
    port: 443,
  });
  assert.deepEqual(registryEndpoint(parseRegistryHost('[::1]:5000')), { hostname: '::1', port: 5000 });
});

test('host and port are split without changing their case', () => {
  assert.deepEqual(splitHostPort('Registry.Example:80'), { host: 'Registry.Example', port: 80 });
  assert.deepEqual(splitHostPort('[::1]'), { host: '[::1]', port: undefined });
  assert.equal(splitHostPort('a:b'), undefined);
});

test('repository names follow the OCI grammar', () => {
  const accepted = ['a', 'library/nginx', 'a.b/c_d/e__f/g---h', '0/1', 'a'.repeat(255)];
  for (const text of accepted) assert.equal(parseRepository(text), text);
  const refused = [
    '',
    '/',
    '/a',
    'a/',
    'a//b',
    '.',
    '..',
    'a/../b',
    'a/..',
    '.a',
    'a.',
    'a..b',
    'a___b',
    'a_-b',
    '-a',
    'A',
    'a b',
    'a%2fb',
    'a\n',
    'é',
    'a'.repeat(256),
  ];
  for (const text of refused) {
    assert.throws(() => parseRepository(text), { code: 'REPOSITORY_INVALID' }, JSON.stringify(text));
  }
});

test('any text is a registry and a repository or an AppError', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary', maxLength: 300 }), (text) => {
      for (const parse of [parseRegistryHost, parseRepository]) {
        try {
          parse(text);
        } catch (error) {
          assert.ok(isAppError(error));
        }
      }
    }),
    { seed: 1, numRuns: 500 },
  );
});

test('a hostile name of a megabyte is refused at once', () => {
  const startedAt = performance.now();
  for (const part of ['a', '-', 'a-', '_', '.', '[', 'a.']) {
    const text = part.repeat(1_000_000 / part.length);
    assert.throws(() => parseRepository(text), { code: 'REPOSITORY_INVALID' });
    assert.throws(() => parseRegistryHost(text), { code: 'REGISTRY_INVALID' });
  }
  assert.ok(performance.now() - startedAt < 500);
});
