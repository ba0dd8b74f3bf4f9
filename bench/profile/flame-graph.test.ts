import assert from 'node:assert/strict';
import { test } from 'node:test';
import { addProfile, type CpuProfile, newCallTree, selfTimes } from './call-tree.ts';
import { formatFlameGraph } from './flame-graph.ts';

const frame = (functionName: string, url = '', lineNumber = 0) => ({ functionName, url, lineNumber });
const profile: CpuProfile = {
  nodes: [
    { id: 1, callFrame: frame('(root)'), children: [2, 3] },
    { id: 2, callFrame: frame('(idle)') },
    { id: 3, callFrame: frame('outer', 'file:///repo/packages/peer/src/a.ts', 9), children: [4] },
    { id: 4, callFrame: frame('<inner>', 'node:fs', 0) },
  ],
  startTime: 1_000,
  samples: [3, 4, 2, 4, 3],
  timeDeltas: [0, 10, 20, 30, 40],
};
const whole = { from: 0, to: Number.POSITIVE_INFINITY, root: 'file:///repo/' };

test('each sample counts until the next one, for its function and all its callers; idle time counts for nobody', () => {
  const tree = newCallTree('all');
  addProfile(tree, profile, whole);
  assert.equal(tree.totalMicros, 10 + 20 + 40);
  assert.deepEqual(
    selfTimes(tree).filter(({ micros }) => micros > 0),
    [
      { name: '<inner> node:fs:1', micros: 60 },
      { name: 'outer packages/peer/src/a.ts:10', micros: 10 },
    ],
  );
});

test('samples outside of the time that is asked for are left out', () => {
  const tree = newCallTree('all');
  addProfile(tree, profile, { ...whole, from: 1_011 });
  assert.equal(tree.totalMicros, 40);
});

test('a flame graph shows names as text, whatever they hold', () => {
  const tree = newCallTree('all');
  addProfile(tree, profile, whole);
  const svg = formatFlameGraph(tree, { title: 'a & b' });
  assert.match(svg, /<title>a &amp; b<\/title>/);
  assert.match(svg, /&lt;inner&gt; node:fs:1: 0 ms, 85\.7 %/);
  assert.doesNotMatch(svg, /<inner>/);
});
