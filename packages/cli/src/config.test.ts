import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isAppError } from '@sealift/core';
import { defaulted, list, optional, parseConfig, required, toggle } from './config.ts';
import { parseByteCount, parseDuration, parseEndpoint, parseRegistry, parseText } from './option-values.ts';
import { KNOWN_VARIABLES, NODE_OPTIONS } from './options.ts';

const TABLE = {
  data: required('--data', parseText, { placeholder: 'DIR', help: 'where' }),
  ttl: defaulted('--ttl', parseDuration, { placeholder: 'DURATION', help: 'how long', fallback: '10m' }),
  out: optional('--out', parseText, { placeholder: 'FILE', help: 'to where' }),
  registry: list('--registry', parseRegistry, { placeholder: 'HOST', help: 'which' }),
  reusable: toggle('--reusable', 'whether'),
} as const;
const KNOWN = new Set(['SEALIFT_DATA', 'SEALIFT_TTL', 'SEALIFT_OUT', 'SEALIFT_REGISTRY', 'SEALIFT_REUSABLE']);

test('a flag wins over the environment, and the environment over the default', () => {
  assert.equal(parseConfig(TABLE, { data: '/flag', ttl: '1h' }, { SEALIFT_TTL: '2h' }, KNOWN).ttl, 3_600_000);
  assert.equal(parseConfig(TABLE, { data: '/flag' }, { SEALIFT_TTL: '2h' }, KNOWN).ttl, 7_200_000);
  assert.equal(parseConfig(TABLE, { data: '/flag' }, {}, KNOWN).ttl, 600_000);
});

test('lists come from repeated flags or from commas in the environment', () => {
  const environment = { SEALIFT_DATA: '/data', SEALIFT_REGISTRY: 'a.example, b.example:5000' };
  assert.deepEqual(parseConfig(TABLE, {}, environment, KNOWN).registry, ['a.example', 'b.example:5000']);
  assert.deepEqual(parseConfig(TABLE, { registry: ['c.example'] }, environment, KNOWN).registry, ['c.example']);
});

test('every problem is named at once', () => {
  assert.throws(
    () =>
      parseConfig(
        TABLE,
        { ttl: 'soon', registry: ['../x'] },
        { SEALIFT_DAAT: '/typo', SEALIFT_REUSABLE: 'yes' },
        KNOWN,
      ),
    (error) => {
      assert.ok(isAppError(error, 'CONFIG_INVALID'));
      for (const name of ['SEALIFT_DAAT', '--data', '--ttl', '--registry', 'SEALIFT_REUSABLE']) {
        assert.ok(error.message.includes(`${name}: `), `${name} is not named`);
      }
      return true;
    },
  );
});

test('a misspelt variable is refused even when all else is right', () => {
  const environment = { SEALIFT_REGISTRY_CAS: 'x' };
  const flags = { tracker: 'https://t.example:7443', data: '/data', registry: ['r.example'] };
  assert.throws(() => parseConfig(NODE_OPTIONS, flags, environment, KNOWN_VARIABLES), { code: 'CONFIG_INVALID' });
});

test('a configuration is frozen', () => {
  assert.ok(Object.isFrozen(parseConfig(TABLE, { data: '/data' }, {}, KNOWN)));
});

for (const text of ['', '10', '1 h', '-1s', '1.5h', '1h2m', '9999999999s']) {
  test(`"${text}" is not a duration`, () => assert.throws(() => parseDuration(text), { code: 'CONFIG_INVALID' }));
}

for (const text of ['', '-1', '1GB', '1 GiB', '99999999999999TiB', 'NaN']) {
  test(`"${text}" is not a number of bytes`, () =>
    assert.throws(() => parseByteCount(text), { code: 'CONFIG_INVALID' }));
}

test('endpoints keep their port and lose their brackets', () => {
  assert.deepEqual(parseEndpoint('127.0.0.1:0'), { host: '127.0.0.1', port: 0 });
  assert.deepEqual(parseEndpoint('[::1]:3128'), { host: '::1', port: 3128 });
  for (const text of ['127.0.0.1', ':3128', '::1:3128', 'a:b', 'host:65536', 'ho st:1']) {
    assert.throws(() => parseEndpoint(text), { code: 'CONFIG_INVALID' }, text);
  }
});
