import assert from 'node:assert/strict';
import { generateKeyPairSync } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import { test } from 'node:test';
import { isAppError, parseRegistryHost } from '@sealift/core';
import { inTemporaryDirectory } from './cli-process.fixture.ts';
import { parseRegistryIssuer, parseRegistryKeySource } from './option-values.ts';
import { loadTokenConfigs } from './registry-tokens.ts';

const registry = parseRegistryHost('registry.example:5000');
const other = parseRegistryHost('other.example');
const pem = generateKeyPairSync('ec', { namedCurve: 'P-256' }).publicKey.export({ type: 'spki', format: 'pem' });

test('keys come from files and https URLs, several for one registry, with one issuer', () =>
  inTemporaryDirectory(async (directory) => {
    const file = path.join(directory, 'keys.pem');
    await writeFile(file, pem);
    const configs = await loadTokenConfigs({
      registry: [registry, other],
      registryTokenKeys: [`${registry}=${file}`, `${registry}=https://auth.example/keys?v=2`].map(
        parseRegistryKeySource,
      ),
      registryTokenIssuer: [parseRegistryIssuer(`${registry}=https://auth.example/?a=b`)],
    });
    assert.deepEqual(
      configs.map(({ registry: of, keySets, keyUrls, issuer }) => [of, keySets.length, keyUrls.map(String), issuer]),
      [
        [registry, 1, ['https://auth.example/keys?v=2'], 'https://auth.example/?a=b'],
        [other, 0, [], undefined],
      ],
    );
  }));

test('every problem of the files is named at once', () =>
  inTemporaryDirectory(async (directory) => {
    const broken = path.join(directory, 'broken.pem');
    await writeFile(broken, 'no key');
    const work = loadTokenConfigs({
      registry: [registry],
      registryTokenKeys: [`${registry}=${broken}`, `${registry}=/nowhere/keys`, `${other}=${broken}`].map(
        parseRegistryKeySource,
      ),
      registryTokenIssuer: [`${registry}=a`, `${registry}=b`].map(parseRegistryIssuer),
    });
    await assert.rejects(work, (error) => {
      assert.ok(isAppError(error, 'CONFIG_INVALID'));
      for (const part of [broken, '/nowhere/keys', `--registry ${other}`, 'more than one'])
        assert.ok(error.message.includes(part), `${part} is not named`);
      return true;
    });
  }));

for (const text of [
  '',
  'registry.example',
  'registry.example=',
  '=keys.pem',
  'registry.example=http://auth.example/keys',
  'a b=x',
]) {
  test(`"${text}" names no keys of a registry`, () => {
    assert.throws(
      () => parseRegistryKeySource(text),
      (error) => isAppError(error),
    );
  });
}
