import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseClusterId, parseDigest, parseRegistryHost, parseRepository, swarmIdOf } from '@sealift/core';
import { FakeClock, nodeIdOf } from '@sealift/testkit';
import type { GrantClaims } from '@sealift/tracker-api';
import { RegistryTokenCheck } from './registry-token-check.ts';

const clusterId = parseClusterId('test');
const registry = parseRegistryHost('registry.example');
const repository = parseRepository('team/app');
const digest = parseDigest(`sha256:${'a'.repeat(64)}`);
const blob = { registry, repository, digest };
const swarmId = swarmIdOf(clusterId, registry, digest);

function scene() {
  const clock = new FakeClock();
  const judged: string[] = [];
  const check = new RegistryTokenCheck({
    judge: {
      verify: async (token, { registry: at, repository: of }) => {
        judged.push(`${token} ${at} ${of}`);
        return token === 'good' ? { repositories: new Set([of]), expiresAt: clock.now() + 1 } : undefined;
      },
      onLearnt: () => () => {},
    },
    clock,
  });
  const claims = (change: Partial<GrantClaims> = {}): GrantClaims => ({
    ...{ clusterId, nodeId: nodeIdOf('bob'), swarmId, registry, repository, digest, use: 'trade', authTime: 0 },
    ...{ expiresAt: clock.now() + 60_000, x5tS256: 'x', id: '1' },
    ...change,
  });
  const header = (lifeMs: number, mark = 's'): string => {
    const exp = Math.floor((clock.now() + lifeMs) / 1000);
    return `Bearer e30.${Buffer.from(JSON.stringify({ exp })).toString('base64url')}.${mark}`;
  };
  return { clock, check, claims, judged, header };
}

const rejected = { code: 'REGISTRY_TOKEN_REJECTED' };

test('a token is judged for registry and repository of the grant', async () => {
  const { check, claims, judged } = scene();
  check.joined(swarmId, blob, undefined);
  await check.verify('good', claims());
  await assert.rejects(check.verify('bad', claims()), rejected);
  assert.deepEqual(judged, [`good ${registry} ${repository}`, `bad ${registry} ${repository}`]);
});

test('a grant for a repository that this node has not got the blob from is refused, whatever the token', async () => {
  const { check, claims, judged } = scene();
  const mine = parseRepository('mallory/own');
  await assert.rejects(check.verify('good', claims()), rejected);
  check.joined(swarmId, blob, undefined);
  await assert.rejects(check.verify('good', claims({ repository: mine })), rejected);
  assert.deepEqual(judged, []);
  check.joined(swarmId, { ...blob, repository: mine }, undefined);
  await check.verify('good', claims({ repository: mine }));
  await check.verify('good', claims());
});

test('the token of the last join is shown until it ends, and a newer one for the repository takes its place', () => {
  const { check, clock, header } = scene();
  assert.equal(check.tokenFor(swarmId), undefined);
  check.joined(swarmId, blob, header(60_000, 'first'));
  assert.match(check.tokenFor(swarmId) ?? '', /\.first$/);
  // By a pull of another blob of the repository.
  const digest2 = parseDigest(`sha256:${'b'.repeat(64)}`);
  check.joined(swarmIdOf(clusterId, registry, digest2), { ...blob, digest: digest2 }, header(120_000, 'second'));
  assert.match(check.tokenFor(swarmId) ?? '', /\.second$/);
  check.joined(swarmId, blob, header(90_000, 'third'));
  assert.match(check.tokenFor(swarmId) ?? '', /\.second$/, 'the one that lives longest');
  clock.advance(121_000);
  assert.equal(check.tokenFor(swarmId), undefined);
});

test('neither Basic nor opaque tokens are shown, nor one that is too long or has no end', () => {
  const { check, header } = scene();
  const headers = ['Basic YTpi', 'Bearer opaque', 'Bearer e30.e30.s', header(60_000, 's'.repeat(9_000)), undefined];
  for (const authorization of headers) {
    check.joined(swarmId, blob, authorization);
    assert.equal(check.tokenFor(swarmId), undefined);
  }
});
