import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setImmediate } from 'node:timers/promises';
import { createLogger, systemClock } from '@sealift/core';
import { RegistryTokenCheck } from '../../packages/peer/src/registry-token-check.ts';
import {
  repository,
  TestIssuer,
  TestRegistry,
  scene as tokenScene,
} from '../../packages/registry/src/registry-token/token.fixture.ts';
import { FIRST_BLOCK, mallory, setScene } from './mallory.ts';

test('T-37: where peers demand the registry’s token, whoever has the grant key and mints grants gets nothing', async (t) => {
  const [issuer, thief] = [new TestIssuer(), new TestIssuer()];
  const good = await issuer.token({ jwk: issuer.jwk });
  const { tokens, learn } = tokenScene({ prober: new TestRegistry((token) => token === good) });
  const demanding = new RegistryTokenCheck({ judge: tokens, clock: systemClock });
  const lines: string[] = [];
  const log = createLogger({ write: (line) => lines.push(line), level: 'debug', clock: systemClock });
  const { cluster, blob, mint, dial } = await setScene(t, { tokenCheck: demanding, log });
  const ref = { ...blob.request.blob, repository };
  demanding.joined(blob.swarmId, ref, undefined);
  const pull = async (name: string, token: string) => {
    const showing = new RegistryTokenCheck({ judge: tokens, clock: systemClock });
    showing.joined(blob.swarmId, ref, `Bearer ${token}`);
    const peer = await cluster.peer(name, { tokenCheck: showing });
    await peer.grant(blob);
    const swarm = await peer.engine.download({ ...blob.request, batches: cluster.batches(blob) });
    t.after(swarm.acquire());
    return { peer, swarm };
  };
  const refusals = () => lines.filter((line) => line.includes('"peer_refused"')).length;

  await t.test('without a token', async () => {
    const raw = await dial();
    raw.greet(blob.swarmId, mallory, await mint());
    await raw.opened();
    raw.send({ type: 'have-none' }, { type: 'interested' });
    raw.write(FIRST_BLOCK);
    await Promise.race([raw.next('reject'), raw.closed]);
    assert.equal(raw.payloadBytes, 0);
    raw.socket.destroy();
  });
  await t.test('with a good token whose key this node has not seen proven', async () => {
    const before = refusals();
    const { peer } = await pull('early', good);
    while (refusals() === before) await setImmediate();
    assert.equal(peer.engine.stats.bytesFromPeers, 0);
    await peer.stop();
  });
  await learn(good);
  await t.test('with a token of its own making', async () => {
    const before = refusals();
    const { peer } = await pull('thief', await thief.token({ kid: issuer.thumbprint }));
    while (refusals() === before) await setImmediate();
    assert.equal(peer.engine.stats.bytesFromPeers, 0);
    await peer.stop();
  });
  await t.test('and whoever may pull is served', async () => {
    const { swarm } = await pull('honest', good);
    await swarm.waitForComplete({ signal: AbortSignal.timeout(20_000) });
  });
  assert.ok(!lines.some((line) => line.includes(good)), 'no token is written down');
});
