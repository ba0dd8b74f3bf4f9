import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseRegistryHost } from './blob.ts';
import { parseDigest } from './digest.ts';
import { parseClusterId, parseSwarmId } from './ids.ts';
import { swarmIdOf } from './swarm.ts';

const prod = parseClusterId('prod');
const registry = parseRegistryHost('registry.example:5000');
const digest = parseDigest('sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855');

test('the swarm id of the test vector of docs/protocol.md comes out', () => {
  assert.equal(swarmIdOf(prod, registry, digest), '77ddf026c6c8cde208dd6cb2718f815c63ee2a21');
});

test('a swarm id is one that the parser takes', () => {
  assert.equal(parseSwarmId(swarmIdOf(prod, registry, digest)), swarmIdOf(prod, registry, digest));
});

test('cluster, registry and digest each make another swarm', () => {
  const ids = [
    swarmIdOf(prod, registry, digest),
    swarmIdOf(parseClusterId('test'), registry, digest),
    swarmIdOf(prod, parseRegistryHost('registry.example'), digest),
    swarmIdOf(prod, registry, parseDigest(`sha256:${'0'.repeat(64)}`)),
    // The same letters cut elsewhere: only the length prefixes keep these two apart.
    swarmIdOf(parseClusterId('prodr'), parseRegistryHost('egistry.example:5000'), digest),
  ];
  assert.equal(new Set(ids).size, ids.length);
});
