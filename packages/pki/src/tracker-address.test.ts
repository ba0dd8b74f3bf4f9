import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseTrackerAddress } from './tracker-address.ts';

const fingerprint = `sha256:${'0a'.repeat(32)}`;

test('an address gives origin and fingerprint', () => {
  assert.deepEqual(parseTrackerAddress(`https://tracker.example:7443#${fingerprint}`), {
    origin: 'https://tracker.example:7443',
    fingerprint,
  });
  assert.deepEqual(parseTrackerAddress('https://[::1]:7443/'), {
    origin: 'https://[::1]:7443',
    fingerprint: undefined,
  });
});

const refused = [
  'http://tracker.example:7443',
  'tracker.example:7443',
  'https://user:word@tracker.example',
  'https://tracker.example/path',
  'https://tracker.example?x=1',
  'https://tracker.example:99999',
  'https://tracker.example#sha256:abcd',
  `https://tracker.example#${fingerprint.toUpperCase()}`,
  `https://tracker.example#sha1:${'0a'.repeat(20)}`,
  `https://tracker.example#${fingerprint}\n`,
  'https://tracker.example#',
  `https://${'a'.repeat(400)}`,
  '',
];

for (const text of refused) {
  test(`${JSON.stringify(text)} is no tracker address`, () => {
    assert.throws(() => parseTrackerAddress(text), { code: 'CONFIG_INVALID' });
  });
}
