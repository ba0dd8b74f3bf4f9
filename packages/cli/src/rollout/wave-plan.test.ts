import assert from 'node:assert/strict';
import { test } from 'node:test';
import { FakeClock } from '@sealift/testkit';
import fc from 'fast-check';
import { hostsOf, parsePositiveShare, parseShare } from './share.ts';
import { WavePlan } from './wave-plan.ts';

const HOSTS = ['a', 'b', 'c', 'd', 'e'];

function planOf({ hosts = HOSTS, waveSize = 2, maxFailed = 0, maxAtOnce = 100, clock = new FakeClock() } = {}) {
  return new WavePlan({ hosts, waveSize, maxFailed, maxAtOnce, clock });
}

test('a wave begins when the one before it has ended, and not sooner', () => {
  const plan = planOf();
  assert.deepEqual(plan.next(), { wave: 1, hosts: ['a', 'b'] });
  assert.deepEqual(plan.next().hosts, []);
  plan.ended('b', { isGood: true });
  assert.deepEqual(plan.next().hosts, []);
  plan.ended('a', { isGood: true });
  assert.deepEqual(plan.next(), { wave: 2, hosts: ['c', 'd'] });
  plan.ended('c', { isGood: true });
  plan.ended('d', { isGood: true });
  assert.deepEqual(plan.next(), { wave: 3, hosts: ['e'] });
  assert.equal(plan.state, 'running');
  plan.ended('e', { isGood: true });
  assert.equal(plan.state, 'finished');
  assert.deepEqual(plan.next().hosts, []);
});

test('one failure more than may be stops the rollout after the running wave', () => {
  const plan = planOf({ maxFailed: 1 });
  plan.next();
  plan.ended('a', { isGood: false });
  plan.ended('b', { isGood: true });
  assert.deepEqual(plan.next().hosts, ['c', 'd']);
  plan.ended('c', { isGood: false });
  assert.equal(plan.state, 'running');
  plan.ended('d', { isGood: true });
  assert.deepEqual(plan.next().hosts, []);
  assert.equal(plan.state, 'stopped');
  assert.deepEqual(plan.notStarted, ['e']);
});

test('a failure in the last wave leaves nobody out: the rollout is finished', () => {
  const plan = planOf({ waveSize: 5 });
  plan.next();
  for (const host of HOSTS) plan.ended(host, { isGood: host !== 'a' });
  assert.equal(plan.state, 'finished');
});

test('a large wave is started in parts, and a failure stops the rest of it', () => {
  const plan = planOf({ waveSize: 5, maxAtOnce: 2 });
  assert.deepEqual(plan.next().hosts, ['a', 'b']);
  plan.ended('a', { isGood: true });
  assert.deepEqual(plan.next(), { wave: 1, hosts: ['c'] });
  plan.ended('b', { isGood: false });
  assert.deepEqual(plan.next().hosts, []);
  plan.ended('c', { isGood: true });
  assert.equal(plan.state, 'stopped');
  assert.deepEqual(plan.notStarted, ['d', 'e']);
});

test('the slowest host comes first', () => {
  const clock = new FakeClock();
  const plan = planOf({ waveSize: 3, clock });
  plan.next();
  for (const host of ['b', 'c', 'a']) {
    clock.advance(1_000);
    plan.ended(host, { isGood: true });
    plan.ended(host, { isGood: false });
  }
  assert.deepEqual(plan.slowest, [
    { host: 'a', ms: 3_000 },
    { host: 'c', ms: 2_000 },
    { host: 'b', ms: 1_000 },
  ]);
});

test('a rollout to nobody is finished at once', () => {
  assert.equal(planOf({ hosts: [] }).state, 'finished');
});

test('whatever fails, each host is started once at most, in order, and the plan comes to an end', () => {
  const runs = fc.record({
    outcomes: fc.array(fc.boolean(), { maxLength: 30 }),
    waveSize: fc.integer({ min: 1, max: 12 }),
    maxFailed: fc.integer({ min: 0, max: 8 }),
    maxAtOnce: fc.integer({ min: 1, max: 6 }),
  });
  fc.assert(
    fc.property(runs, ({ outcomes, waveSize, maxFailed, maxAtOnce }) => {
      const hosts = outcomes.map((_, index) => `h${index}`);
      const plan = planOf({ hosts, waveSize, maxFailed, maxAtOnce });
      const started: string[] = [];
      const running: string[] = [];
      while (plan.state === 'running') {
        const next = plan.next().hosts;
        started.push(...next);
        running.push(...next);
        assert.ok(running.length > 0 && running.length <= Math.min(maxAtOnce, waveSize));
        const host = running.shift() ?? '';
        plan.ended(host, { isGood: outcomes[hosts.indexOf(host)] ?? false });
      }
      assert.deepEqual([...started, ...plan.notStarted], hosts);
      const failed = started.filter((host) => outcomes[hosts.indexOf(host)] !== true).length;
      assert.equal(plan.state === 'stopped', plan.notStarted.length > 0);
      assert.ok(failed < maxFailed + 1 + Math.min(maxAtOnce, waveSize));
    }),
    { seed: 6, numRuns: 300 },
  );
});

test('a share is a number of hosts or a part of them', () => {
  assert.equal(hostsOf(parseShare('10'), 40), 10);
  assert.equal(hostsOf(parseShare('25%'), 10), 2);
  assert.equal(hostsOf(parseShare('0%'), 10), 0);
  for (const text of ['', '-1', '1.5', '101%', '%', '10 %', '1e3', '12345678']) {
    assert.throws(() => parseShare(text), { code: 'CONFIG_INVALID' });
  }
  for (const text of ['0', '0%']) assert.throws(() => parsePositiveShare(text), { code: 'CONFIG_INVALID' });
});
