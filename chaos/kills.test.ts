import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { SeededRandom } from '../fuzz/random.ts';
import { missingForTestbed } from '../test/testbed/support.ts';
import { kills } from './kills/kills.ts';
import { planStrikes, TARGETS } from './kills/strikes.ts';
import { runFault } from './run-fault.ts';

/** A run that kills one of each, two of them in one pull; `npm run kills` goes on for as long as you like. */
const KILLS = 4;
const SEED = 30;
const PLAN = { names: ['n1', 'n2', 'n3'], imageBytes: 8_000_000 };

suite('processes that are killed in mid-pull', { skip: missingForTestbed() }, () => {
  test('fail no pull but their own, serve no false byte, and keep what was verified in sound stores', async (t) => {
    const said: string[] = [];
    const fault = kills(KILLS, (text) => said.push(text));
    const { failed, digestsRight, problems } = await runFault(fault, { nodes: 3, seed: SEED, signal: t.signal });
    assert.deepEqual([failed, digestsRight, problems], [0, true, []], said.join('\n'));
  });
});

test('the seed of that run kills one of each', () => {
  const random = new SeededRandom(SEED);
  const targets: string[] = [];
  while (targets.length < KILLS)
    targets.push(...planStrikes(random, { ...PLAN, most: KILLS - targets.length }).map(({ target }) => target));
  assert.deepEqual(targets.sort(), [...TARGETS].sort());
});

test('two kills in one pull are of two nodes', () => {
  const random = new SeededRandom(1);
  for (let round = 0; round < 200; round += 1) {
    const strikes = planStrikes(random, { ...PLAN, most: 2 });
    assert.equal(new Set(strikes.map(({ name }) => name)).size, strikes.length);
    assert.ok(strikes.filter(({ target }) => target === 'tracker').length <= 1);
  }
});
