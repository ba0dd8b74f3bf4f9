import assert from 'node:assert/strict';
import { chmod, mkdir, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { test } from 'node:test';
import { DOCKER_HUB, parseRegistryHost } from '@sealift/core';
import { inTemporaryDirectory } from '../cli-process.fixture.ts';
import { readDockerConfig } from './docker-config.ts';
import { parseCredentials, registryAuthOf, secretsOf } from './registry-credential.ts';

const REGISTRY = parseRegistryHost('registry.example:5000');
const SETTING = '--credentials-file';
const basic = (text: string): string => Buffer.from(text).toString('base64');

test('the header is base64 of the URL-safe alphabet, with its padding', () => {
  const credential = { username: 'älice', password: 'p??~>>>' };
  const header = registryAuthOf(credential, REGISTRY);
  assert.match(header, /^[\w-]+={0,2}$/);
  assert.match(header, /[-_]/);
  assert.equal(header.length % 4, 0);
  assert.deepEqual(JSON.parse(Buffer.from(header, 'base64url').toString()), { ...credential, serveraddress: REGISTRY });
  const hub = JSON.parse(Buffer.from(registryAuthOf(credential, DOCKER_HUB), 'base64url').toString());
  assert.equal(hub.serveraddress, 'https://index.docker.io/v1/');
});

test('credentials come as a line or as JSON of one kind', () => {
  assert.deepEqual(parseCredentials('alice:pass:word\n', SETTING), { username: 'alice', password: 'pass:word' });
  assert.deepEqual(parseCredentials(' {"registrytoken":"t","other":1}', SETTING), { registrytoken: 't' });
  assert.deepEqual(secretsOf({ username: 'alice', password: 'secret' }), ['secret']);
  assert.deepEqual(secretsOf({ identitytoken: 'refresh' }), ['refresh']);
});

test('anything else is refused, and repeated nowhere', () => {
  const both = '{"identitytoken":"hunter2","registrytoken":"hunter2"}';
  for (const text of [
    '',
    'hunter2',
    ':hunter2',
    'hunter2:',
    'a:b\nc:hunter2',
    '{"username":"hunter2"}',
    '{hunter2',
    both,
    '{"identitytoken":["hunter2"]}',
  ]) {
    assert.throws(
      () => parseCredentials(text, SETTING),
      (error: Error & { code?: string }) => error.code === 'CONFIG_INVALID' && !error.message.includes('hunter2'),
    );
  }
});

test('what docker login has left is found under each of its names', async () => {
  await inTemporaryDirectory(async (directory) => {
    const find = async (config: unknown, registry = REGISTRY) => {
      await writeFile(path.join(directory, 'config.json'), JSON.stringify(config), { mode: 0o600 });
      return await readDockerConfig(directory, {
        registry,
        setting: '--docker-config',
        signal: AbortSignal.timeout(10_000),
      });
    };
    const alice = { username: 'alice', password: 'secret' };
    for (const key of [REGISTRY, `https://${REGISTRY}`, `https://${REGISTRY}/v2/`, 'Registry.Example:5000']) {
      assert.deepEqual(await find({ auths: { [key]: { auth: basic('alice:secret') } } }), alice);
    }
    assert.deepEqual(
      await find({ auths: { 'https://index.docker.io/v1/': { auth: basic('alice:secret') } } }, DOCKER_HUB),
      alice,
    );
    assert.deepEqual(await find({ auths: { [REGISTRY]: { auth: basic('alice:'), identitytoken: 'r' } } }), {
      identitytoken: 'r',
    });
    assert.deepEqual(await find({ auths: { [REGISTRY]: alice } }), alice);
    for (const nothing of [
      {},
      { auths: { [REGISTRY]: {} } },
      { auths: { 'other.example': { auth: basic('a:b') }, '': { auth: basic('a:b') } } },
      { auths: { [`${REGISTRY}/other-team`]: { auth: basic('a:b') } } },
      { auths: 7 },
    ]) {
      assert.equal(await find(nothing), undefined);
    }
  });
});

test('a secret that others may read is refused, and a file without one is not', async () => {
  await inTemporaryDirectory(async (directory) => {
    const file = path.join(directory, 'config.json');
    const find = () =>
      readDockerConfig(directory, {
        registry: REGISTRY,
        setting: '--docker-config',
        signal: AbortSignal.timeout(10_000),
      });
    assert.equal(await find(), undefined);
    await writeFile(file, JSON.stringify({ auths: { [REGISTRY]: { auth: basic('alice:secret') } } }), { mode: 0o644 });
    await assert.rejects(find, { code: 'KEY_FILE_UNSAFE' });
    await writeFile(file, JSON.stringify({ proxies: {} }));
    assert.equal(await find(), undefined);
    await writeFile(file, '{"auths": hunter2');
    await assert.rejects(
      find,
      (error: Error & { code?: string }) => error.code === 'CONFIG_INVALID' && !error.message.includes('hunter2'),
    );
  });
});

test('a credential helper is asked for the registry, on standard input', async (t) => {
  await inTemporaryDirectory(async (directory) => {
    const bin = path.join(directory, 'bin');
    await mkdir(bin);
    const helper = path.join(bin, 'docker-credential-keys');
    await writeFile(
      helper,
      `#!/bin/sh
read -r address
case "$1 $address" in
  "get ${REGISTRY}") echo '{"Username":"alice","Secret":"secret"}' ;;
  "get endless.example") yes 'a secret without an end' ;;
  "get hanging.example") exec sleep 600 ;;
  "get token.example") echo '{"Username":"<token>","Secret":"refresh"}' ;;
  *) echo 'credentials not found in native keychain'; exit 1 ;;
esac
`,
    );
    await chmod(helper, 0o755);
    const before = process.env['PATH'];
    process.env['PATH'] = `${bin}:${before}`;
    t.after(() => {
      process.env['PATH'] = before;
    });
    const find = async (config: unknown, registry: string, signal = AbortSignal.timeout(10_000)) => {
      await writeFile(path.join(directory, 'config.json'), JSON.stringify(config));
      return await readDockerConfig(directory, {
        registry: parseRegistryHost(registry),
        setting: '--docker-config',
        signal,
      });
    };
    const config = {
      credsStore: 'keys',
      credHelpers: { 'token.example': 'keys', 'gone.example': 'gone', 'odd.example': '../x' },
    };
    assert.deepEqual(await find(config, REGISTRY), { username: 'alice', password: 'secret' });
    assert.deepEqual(await find(config, 'token.example'), { identitytoken: 'refresh' });
    assert.equal(await find(config, 'other.example'), undefined);
    await assert.rejects(find(config, 'gone.example'), { code: 'CONFIG_INVALID' });
    await assert.rejects(find(config, 'odd.example'), { code: 'CONFIG_INVALID' });
    await assert.rejects(find(config, 'endless.example'), { code: 'CONFIG_INVALID', message: /it says too much/ });
    const end = new AbortController();
    const hanging = find(config, 'hanging.example', end.signal);
    end.abort(new Error('Ctrl-C'));
    await assert.rejects(hanging, { message: 'Ctrl-C' });
  });
});
