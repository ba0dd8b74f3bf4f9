import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { missingForTestbed } from '../test/testbed/support.ts';
import { FAULTS } from './faults/all.ts';
import { runFault } from './run-fault.ts';

/** Those that say most in a minute; `npm run chaos` plays them all. */
const CHOSEN = ['tracker-killed', 'corrupt-peers'];

suite('faults under running pulls', { skip: missingForTestbed() }, () => {
  for (const fault of FAULTS.filter(({ name }) => CHOSEN.includes(name))) {
    test(`${fault.name}: ${fault.summary}; no pull fails`, async (t) => {
      const { failed, digestsRight, problems } = await runFault(fault, { nodes: 3, seed: 1, signal: t.signal });
      assert.deepEqual([failed, digestsRight, problems], [0, true, []]);
    });
  }
});

test('every fault has a name of its own', () => {
  assert.equal(new Set(FAULTS.map(({ name }) => name)).size, FAULTS.length);
  assert.equal(FAULTS.filter(({ name }) => CHOSEN.includes(name)).length, CHOSEN.length);
});
