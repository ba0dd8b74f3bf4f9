import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setImmediate } from 'node:timers/promises';
import type { AnnounceAnswer, AnnounceRequest } from '@sealift/bittorrent';
import { AppError, Bitfield, parseSwarmId, pieceGeometry, silentLogger } from '@sealift/core';
import type { StoredBlob } from '@sealift/store';
import { FakeClock, nodeIdOf } from '@sealift/testkit';
import { Gate } from './gate.ts';
import { DEFAULT_LIMITS } from './limits.ts';
import { seededRandom } from './random.ts';
import { Sleepers } from './sleepers.ts';

const INTERVAL_MS = 60_000;
const { maxAnnounces } = DEFAULT_LIMITS;
const answer: AnnounceAnswer = { intervalMs: INTERVAL_MS, complete: 1, incomplete: 0, peers: [] };

function blob(index: number): StoredBlob {
  const swarmId = parseSwarmId(index.toString(16).padStart(40, '0'));
  const geometry = pieceGeometry(50_000, 16_384);
  const bitfield = new Bitfield(geometry.pieceCount);
  return { swarmId, geometry, bitfield, isComplete: true } as StoredBlob;
}

function scene() {
  const clock = new FakeClock();
  const requests: AnnounceRequest[] = [];
  const state = { grant: 'a.b.c' as string | undefined, isDown: false };
  const sleepers = new Sleepers({
    environment: {
      announce: async (request) => {
        requests.push(request);
        if (state.isDown) throw new AppError('ANNOUNCE_FAILED');
        return answer;
      },
      announceGate: new Gate({ max: maxAnnounces }),
      clock,
      limits: DEFAULT_LIMITS,
      log: silentLogger,
      random: seededRandom(1),
      grant: () => state.grant,
      self: () => ({ nodeId: nodeIdOf('self'), x5tS256: '', port: 6881, ip: undefined, denyVersion: 0 }),
      zone: undefined,
    },
    answered: () => {},
  });
  /** How many announces one tick brings. */
  const tick = async (): Promise<number> => {
    const before = requests.length;
    sleepers.tick();
    await setImmediate();
    return requests.length - before;
  };
  return { clock, requests, state, sleepers, tick };
}

test('a full store is announced a few blobs at a time, and from then on spread over the interval', async () => {
  const { clock, requests, sleepers, tick } = scene();
  for (let index = 0; index < 10 * maxAnnounces; index += 1) sleepers.add(blob(index));
  for (let round = 0; round < 10; round += 1) assert.equal(await tick(), maxAnnounces);
  assert.ok(requests.every(({ event, left, numwant }) => event === 'started' && left === 0 && numwant === 0));
  assert.equal(await tick(), 0);
  const perTenth: number[] = [];
  for (let tenth = 0; tenth < 10; tenth += 1) {
    clock.advance(INTERVAL_MS / 10);
    let announced = 0;
    for (let count = await tick(); count > 0; count = await tick()) announced += count;
    perTenth.push(announced);
  }
  // All of them once in an interval, and in no tenth of it more than thrice its share.
  assert.ok(perTenth.reduce((sum, count) => sum + count) >= 10 * maxAnnounces);
  assert.ok(Math.max(...perTenth) <= 3 * maxAnnounces);
  assert.ok(requests.slice(10 * maxAnnounces).every(({ event }) => event === undefined));
});

test('a tracker that is away is not asked for each of the sleeping blobs in turn', async () => {
  const { clock, sleepers, state, tick } = scene();
  for (let index = 0; index < 10 * maxAnnounces; index += 1) sleepers.add(blob(index));
  state.isDown = true;
  assert.equal(await tick(), maxAnnounces);
  clock.advance(10_000);
  assert.equal(await tick(), 0);
  state.isDown = false;
  clock.advance(30_000);
  let announced = 0;
  for (let count = await tick(); count > 0; count = await tick()) announced += count;
  assert.ok(announced >= 10 * maxAnnounces);
});

test('without a grant nothing is announced, and with the next one it is', async () => {
  const { clock, requests, sleepers, state, tick } = scene();
  const one = blob(1);
  state.grant = undefined;
  sleepers.add(one);
  for (let round = 0; round < 3; round += 1) {
    clock.advance(INTERVAL_MS);
    assert.equal(await tick(), 0);
  }
  state.grant = 'd.e.f';
  sleepers.granted(one.swarmId);
  assert.equal(await tick(), 1);
  assert.equal(requests[0]?.grant, 'd.e.f');
});

test('the tracker is told of a blob that is gone, and of all when the engine ends, if it has heard of them', async () => {
  const { requests, sleepers, tick } = scene();
  const [gone, left, unheard] = [blob(1), blob(2), blob(3)];
  sleepers.add(gone);
  sleepers.add(left);
  await tick();
  sleepers.add(unheard);
  await sleepers.leave(gone.swarmId);
  await sleepers.stop();
  await sleepers.stop();
  assert.deepEqual(
    requests.slice(2).map(({ event, swarmId }) => [event, swarmId]),
    [
      ['stopped', gone.swarmId],
      ['stopped', left.swarmId],
    ],
  );
  assert.equal(sleepers.size, 0);
});
