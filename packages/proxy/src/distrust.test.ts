import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseRegistryHost } from '@sealift/core';
import { FakeClock } from '@sealift/testkit';
import { Distrust } from './distrust.ts';

const [registry, other] = [parseRegistryHost('registry.example'), parseRegistryHost('other.example')];

function setUp() {
  const clock = new FakeClock();
  return { clock, distrust: new Distrust({ clock, durationMs: 10_000 }) };
}

for (const code of ['ERR_SSL_SSL/TLS_ALERT_BAD_CERTIFICATE', 'ERR_SSL_TLSV1_ALERT_UNKNOWN_CA']) {
  test(`who refuses our certificate (${code}) is left alone with the registry for a while, and with no other`, () => {
    const { clock, distrust } = setUp();
    const refusal = Object.assign(new Error(), { code });
    assert.equal(distrust.failed(registry, refusal), true);
    assert.deepEqual([distrust.has(registry), distrust.has(other)], [true, false]);
    clock.advance(9_999);
    assert.equal(distrust.failed(registry, refusal), false);
    clock.advance(9_999);
    assert.equal(distrust.has(registry), true);
    clock.advance(1);
    assert.equal(distrust.has(registry), false);
  });
}

for (const code of ['ECONNRESET', 'ERR_SSL_WRONG_VERSION_NUMBER', 'ERR_SSL_TLSV1_ALERT_PROTOCOL_VERSION', undefined]) {
  test(`another fault of a connection (${code}) says nothing about trust`, () => {
    const { distrust } = setUp();
    assert.equal(distrust.failed(registry, Object.assign(new Error(), { code })), false);
    assert.equal(distrust.has(registry), false);
  });
}
