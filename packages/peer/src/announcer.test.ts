import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { AnnounceAnswer, AnnounceRequest } from '@sealift/bittorrent';
import { AppError, parseSwarmId, silentLogger, systemClock } from '@sealift/core';
import { type Announce, Announcer } from './announcer.ts';
import { Gate } from './gate.ts';
import { DEFAULT_LIMITS } from './limits.ts';

function scene({ announce, isHungry = false }: { announce?: Announce; isHungry?: boolean } = {}) {
  const answers: AnnounceAnswer[] = [];
  const requests: AnnounceRequest[] = [];
  const waiting = new Map<number, () => void>();
  const announcer = new Announcer({
    announce: async (request, options) => {
      requests.push(request);
      waiting.get(requests.length)?.();
      return announce === undefined
        ? { intervalMs: 60_000, complete: 0, incomplete: 0, peers: [] }
        : await announce(request, options);
    },
    subject: {
      describe: () => ({
        ...{ swarmId: parseSwarmId('ab'.repeat(20)), left: 1, uploaded: 0, downloaded: 0, port: 1 },
        ...{ grant: 'a.b.c', denyVersion: 0 },
      }),
      isHungryNow: () => isHungry,
      answered: (answer) => void answers.push(answer),
    },
    gate: new Gate({ max: 1 }),
    limits: { ...DEFAULT_LIMITS, minAnnounceMs: 5, stoppedTimeoutMs: 50 },
    clock: systemClock,
    random: () => 0,
    log: silentLogger,
  });
  const sees = (count: number) =>
    new Promise<void>((resolve) => {
      if (requests.length >= count) resolve();
      else waiting.set(count, resolve);
    });
  return { announcer, sees, answers, events: () => requests.map(({ event }) => event) };
}

test('a swarm is announced as started, completed and stopped, once each', async () => {
  const { announcer, sees, events } = scene();
  announcer.start();
  await sees(1);
  announcer.completed();
  await sees(2);
  await announcer.stop();
  await announcer.stop();
  assert.deepEqual(events(), ['started', 'completed', 'stopped']);
});

test('a leecher that is short of peers asks again before the interval is over', async () => {
  const { announcer, sees, events } = scene({ isHungry: true });
  announcer.start();
  await sees(3);
  await announcer.stop();
  assert.deepEqual(events().slice(0, 3), ['started', undefined, undefined]);
});

test('an announce that failed is repeated with its event', async () => {
  let calls = 0;
  const { announcer, sees, events } = scene({
    isHungry: true,
    announce: async () => {
      calls += 1;
      if (calls === 1) throw new AppError('ANNOUNCE_FAILED');
      return { intervalMs: 60_000, complete: 0, incomplete: 0, peers: [] };
    },
  });
  announcer.start();
  await sees(2);
  await announcer.stop();
  assert.deepEqual(events().slice(0, 2), ['started', 'started']);
});

test('a refusal that brings the deny list is passed on, and counts as a failure', async () => {
  const deny = { version: 1, nodeIds: [], revocations: [] };
  const refusal = new AppError('ANNOUNCE_FAILED', { reason: 'the tracker refused' });
  const { announcer, sees, events, answers } = scene({
    isHungry: true,
    announce: async () => ({ intervalMs: 60_000, complete: 0, incomplete: 0, peers: [], deny, refusal }),
  });
  announcer.start();
  await sees(2);
  await announcer.stop();
  assert.deepEqual(events().slice(0, 2), ['started', 'started']);
  assert.deepEqual(answers[0]?.deny, deny);
  assert.equal(announcer.hasFailed, true);
});

test('a tracker that never answers does not hold up a stop', async () => {
  const { announcer, sees } = scene({
    announce: (_request, { signal }) =>
      new Promise((_resolve, reject) => signal.addEventListener('abort', () => reject(signal.reason))),
  });
  announcer.start();
  await sees(1);
  await announcer.stop();
});

test('a gate lets so many in, the others in order, and forgets who gives up', async () => {
  const gate = new Gate({ max: 1 });
  const { signal } = new AbortController();
  let leave = () => {};
  const first = gate.run(() => new Promise<void>((resolve) => (leave = resolve)), { signal });
  const impatient = new AbortController();
  const second = assert.rejects(gate.run(async () => assert.fail('had given up'), { signal: impatient.signal }));
  const order: string[] = [];
  const third = gate.run(async () => order.push('third'), { signal });
  impatient.abort();
  await second;
  leave();
  await Promise.all([first, third]);
  assert.deepEqual(order, ['third']);
});
