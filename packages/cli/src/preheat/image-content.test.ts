import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isWanted, parseImageContent, parsePlatform } from './image-content.ts';

const digest = (digit: string): string => `sha256:${digit.repeat(64)}`;
const read = (value: unknown) => parseImageContent(Buffer.from(JSON.stringify(value)));

test('a manifest gives its config and layers, without those that lie elsewhere', () => {
  const config = { digest: digest('1'), size: 1 };
  const layers = [
    { digest: digest('2'), size: 20 },
    { digest: digest('3'), size: 30, urls: ['https://elsewhere.example/layer'] },
  ];
  assert.deepEqual(read({ config, layers }), {
    kind: 'manifest',
    blobs: [config, { digest: digest('2'), size: 20 }],
  });
});

test('an index gives its manifests with their platforms', () => {
  const platform = { os: 'linux', architecture: 'arm', variant: 'v7', 'os.version': '1' };
  assert.deepEqual(read({ manifests: [{ digest: digest('1'), platform }, { digest: digest('2') }] }), {
    kind: 'index',
    manifests: [
      { digest: digest('1'), platform: { os: 'linux', architecture: 'arm', variant: 'v7' } },
      { digest: digest('2'), platform: undefined },
    ],
  });
});

test('what is neither, or names no digest or size, is refused', () => {
  const layer = { digest: digest('1'), size: 1 };
  const refused: unknown[] = [
    ...[null, 1, 'x', {}, { layers: [layer] }, { config: layer, layers: {} }, { config: {}, layers: [] }],
    ...[
      { config: { ...layer, size: -1 }, layers: [] },
      { config: { ...layer, digest: 'sha512:1' }, layers: [] },
    ],
    ...[{ manifests: [{}] }, { manifests: Array.from({ length: 2_001 }, () => layer) }],
  ];
  for (const value of refused) assert.throws(() => read(value), { code: 'REGISTRY_UNAVAILABLE' });
  assert.throws(() => parseImageContent(Buffer.from('{')), { code: 'REGISTRY_UNAVAILABLE' });
});

test('a platform means its variants unless it names one, and an attestation is no image', () => {
  const [arm, armV7, any] = [[parsePlatform('linux/arm')], [parsePlatform('linux/arm/v7')], []];
  const v6 = { os: 'linux', architecture: 'arm', variant: 'v6' };
  assert.deepEqual([isWanted(v6, arm), isWanted(v6, armV7), isWanted(v6, any)], [true, false, true]);
  assert.deepEqual([isWanted(undefined, arm), isWanted(undefined, any)], [false, true]);
  for (const wanted of [arm, any]) assert.equal(isWanted({ os: 'unknown', architecture: 'unknown' }, wanted), false);
  for (const text of ['linux', 'linux/', '/amd64', 'linux/arm/v7/x', 'Linux/amd64', 'linux/a b']) {
    assert.throws(() => parsePlatform(text), { code: 'CONFIG_INVALID' });
  }
});
