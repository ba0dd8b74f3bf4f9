import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type NodeId, parseSwarmId, type SwarmId } from '@sealift/core';
import { FakeClock, nodeIdOf } from '@sealift/testkit';
import fc from 'fast-check';
import { Handout } from './handout.ts';
import { type Announce, SWARM_TABLE_LIMITS, SwarmTable, type SwarmTableLimits } from './swarm-table.ts';

const INTERVAL_MS = 30_000;
const LIFETIME_MS = 75_000;
const swarms = ['a', 'b', 'c'].map((letter) => parseSwarmId(letter.repeat(40)));
const [swarmA, swarmB] = swarms as [SwarmId, SwarmId];
const nodes = ['n0', 'n1', 'n2', 'n3', 'n4'].map(nodeIdOf);

function newTable(clock: FakeClock, limits: Partial<SwarmTableLimits> = {}): SwarmTable {
  const handout = new Handout({ random: () => 0.5, maxPeers: 50 });
  return new SwarmTable({ clock, handout, intervalMs: INTERVAL_MS, limits: { ...SWARM_TABLE_LIMITS, ...limits } });
}

function announceOf(swarmId: SwarmId, nodeId: NodeId, change: Partial<Announce> = {}): Announce {
  return {
    swarmId,
    nodeId,
    host: '192.0.2.1',
    port: 6881,
    isComplete: false,
    isStopped: false,
    wanted: 50,
    ...change,
  };
}

test('a node has one entry however often it announces, with its last address', () => {
  const table = newTable(new FakeClock());
  const [alice, bob] = [nodeIdOf('alice'), nodeIdOf('bob')];
  table.announce(announceOf(swarmA, alice));
  table.announce(announceOf(swarmA, alice, { port: 7000 }));
  const { peers, incomplete } = table.announce(announceOf(swarmA, bob));
  assert.equal(incomplete, 2);
  assert.deepEqual(
    peers.map(({ nodeId, port }) => ({ nodeId, port })),
    [{ nodeId: alice, port: 7000 }],
  );
});

test('a node that has all is sent to leechers only', () => {
  const table = newTable(new FakeClock());
  table.announce(announceOf(swarmA, nodeIdOf('full'), { isComplete: true }));
  table.announce(announceOf(swarmA, nodeIdOf('needy')));
  const { peers } = table.announce(announceOf(swarmA, nodeIdOf('asker'), { isComplete: true }));
  assert.deepEqual(
    peers.map(({ nodeId }) => nodeId),
    [nodeIdOf('needy')],
  );
});

test('a silent node is forgotten, and an empty swarm with it', () => {
  const clock = new FakeClock();
  const table = newTable(clock);
  table.announce(announceOf(swarmA, nodeIdOf('silent')));
  clock.advance(LIFETIME_MS - 1);
  table.expire();
  assert.equal(table.size, 1);
  clock.advance(1);
  table.expire();
  assert.deepEqual({ size: table.size, swarms: table.swarmCount }, { size: 0, swarms: 0 });
});

test('200 swarms that come and go leave nothing behind', () => {
  const table = newTable(new FakeClock());
  for (let index = 0; index < 200; index += 1) {
    const swarmId = parseSwarmId(index.toString(16).padStart(40, '0'));
    table.announce(announceOf(swarmId, nodeIdOf('visitor')));
    table.announce(announceOf(swarmId, nodeIdOf('visitor'), { isStopped: true }));
  }
  assert.deepEqual({ size: table.size, swarms: table.swarmCount }, { size: 0, swarms: 0 });
});

test('a node that is removed is in no swarm any more', () => {
  const table = newTable(new FakeClock());
  table.announce(announceOf(swarmA, nodeIdOf('out')));
  table.announce(announceOf(swarmB, nodeIdOf('out')));
  table.announce(announceOf(swarmB, nodeIdOf('in')));
  table.removeNode(nodeIdOf('out'));
  assert.equal(table.size, 1);
  assert.deepEqual(table.announce(announceOf(swarmB, nodeIdOf('in'))).peers, []);
});

const bounds = [
  { limits: { maxPeers: 2 }, name: 'table' },
  { limits: { maxPeersPerSwarm: 2 }, name: 'swarm' },
] as const;
for (const { limits, name } of bounds) {
  test(`a ${name} that is full lists nobody more but still answers`, () => {
    const table = newTable(new FakeClock(), limits);
    table.announce(announceOf(swarmA, nodeIdOf('one')));
    table.announce(announceOf(swarmA, nodeIdOf('two')));
    assert.equal(table.announce(announceOf(swarmA, nodeIdOf('three'))).peers.length, 2);
    assert.equal(table.size, 2);
    assert.equal(table.announce(announceOf(swarmA, nodeIdOf('one'), { port: 9 })).peers.length, 1);
  });
}

test('one node cannot fill the table with swarms', () => {
  const table = newTable(new FakeClock(), { maxSwarmsPerNode: 1 });
  table.announce(announceOf(swarmA, nodeIdOf('greedy')));
  table.announce(announceOf(swarmB, nodeIdOf('greedy')));
  assert.equal(table.size, 1);
});

test('a node with many blobs is asked to announce each less often, and each stands as much longer', () => {
  const clock = new FakeClock();
  const table = newTable(clock, { announcesPerNode: 1 });
  const [rich, poor, asker] = [nodeIdOf('rich'), nodeIdOf('poor'), nodeIdOf('asker')];
  for (let index = 0; index < 99; index += 1) {
    const swarmId = parseSwarmId(index.toString(16).padStart(40, '0'));
    table.announce(announceOf(swarmId, rich, { isComplete: true }));
  }
  table.announce(announceOf(swarmA, rich, { isComplete: true }));
  assert.equal(table.announce(announceOf(swarmA, rich, { isComplete: true })).intervalMs, 100_000);
  assert.equal(table.announce(announceOf(swarmB, rich)).intervalMs, INTERVAL_MS, 'who needs peers asks as before');
  assert.equal(table.announce(announceOf(swarmA, poor, { isComplete: true })).intervalMs, INTERVAL_MS);
  const found = (): NodeId[] =>
    table.peek({ swarmId: swarmA, isComplete: false, wanted: 50 }).peers.map((p) => p.nodeId);
  clock.advance(LIFETIME_MS);
  for (let round = 0; round < 12; round += 1) table.expire();
  assert.deepEqual(found(), [rich], 'also behind one that has longer');
  clock.advance(250_000 - LIFETIME_MS);
  table.announce(announceOf(swarmA, asker));
  assert.deepEqual(found(), [asker]);
});

test('all nodes together announce no more than a tracker can answer', () => {
  const table = newTable(new FakeClock(), { announcesPerSecond: 5 });
  const many = Array.from({ length: 100 }, (_, index) => nodeIdOf(`n${index}`));
  const announceAll = (): number[] =>
    many.flatMap((nodeId) =>
      [swarmA, swarmB].map((swarmId) => table.announce(announceOf(swarmId, nodeId, { isComplete: true })).intervalMs),
    );
  announceAll();
  const perSecond = announceAll().reduce((sum, intervalMs) => sum + 1_000 / intervalMs, 0);
  assert.ok(Math.abs(perSecond - 5) < 1e-9);
});

test('who has all and finds no place in the table comes back later', () => {
  const table = newTable(new FakeClock(), { maxPeers: 1 });
  table.announce(announceOf(swarmA, nodeIdOf('first')));
  const second = (isComplete: boolean): number =>
    table.announce(announceOf(swarmA, nodeIdOf('second'), { isComplete })).intervalMs;
  assert.deepEqual([second(false), second(true)], [INTERVAL_MS, 600_000]);
});

test('the table agrees with a plain model whatever happens in which order', () => {
  const step = fc.oneof(
    fc.record({ swarm: fc.nat(2), node: fc.nat(4), isComplete: fc.boolean(), isStopped: fc.boolean() }),
    fc.record({ advance: fc.nat(60_000) }),
    fc.record({ remove: fc.nat(4) }),
  );
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
      const clock = new FakeClock();
      const table = newTable(clock);
      const model = new Map<string, { until: number; isComplete: boolean }>();
      for (const action of steps) {
        if ('advance' in action) clock.advance(action.advance);
        else if ('remove' in action) {
          table.removeNode(nodes[action.remove] as NodeId);
          for (const key of model.keys()) if (key.endsWith(`/${action.remove}`)) model.delete(key);
        } else {
          const { swarm, node, isComplete, isStopped } = action;
          table.announce(announceOf(swarms[swarm] as SwarmId, nodes[node] as NodeId, { isComplete, isStopped }));
          if (isStopped) model.delete(`${swarm}/${node}`);
          else model.set(`${swarm}/${node}`, { until: clock.now() + LIFETIME_MS, isComplete });
        }
        for (const [key, { until }] of model) if (until <= clock.now()) model.delete(key);
        table.expire();
        assert.equal(table.size, model.size);
        for (const [index, swarmId] of swarms.entries()) {
          const members = [...model].filter(([key]) => key.startsWith(`${index}/`));
          const complete = members.filter(([, { isComplete }]) => isComplete).length;
          assert.deepEqual(table.countsOf(swarmId), { complete, incomplete: members.length - complete });
        }
      }
    }),
    { seed: 11, numRuns: 200 },
  );
});

test('the first nodes of a zone that want peers may look beyond it, and keep that place however often they announce', () => {
  const clock = new FakeClock();
  const table = newTable(clock);
  const join = (name: string, change: Partial<Announce> = {}) =>
    table.announce(announceOf(swarmA, nodeIdOf(name), { zone: 'east', ...change }));
  table.announce(announceOf(swarmA, nodeIdOf('west'), { zone: 'west', isComplete: true }));
  assert.equal(join('paused', { wanted: 0 }).mayCross, false);
  const names = ['a', 'b', 'c', 'd', 'e', 'f', 'g', 'h'];
  for (const round of [1, 2]) {
    for (const name of names) assert.equal(join(name).mayCross, true, `${name} in round ${round}`);
    const { mayCross, peers } = join('late');
    assert.equal(mayCross, false);
    assert.ok(peers.every(({ zone }) => zone === 'east'));
  }
  assert.ok(join('a').peers.some(({ zone }) => zone === 'west'));
  join('a', { isStopped: true });
  assert.equal(join('late').mayCross, true);
});

test('a node without zone is handed anybody, and a zone is forgotten with its last node', () => {
  const clock = new FakeClock();
  const table = newTable(clock);
  table.announce(announceOf(swarmA, nodeIdOf('east'), { zone: 'east' }));
  const { peers, mayCross } = table.announce(announceOf(swarmA, nodeIdOf('free')));
  assert.deepEqual([peers.length, mayCross], [1, true]);
  clock.advance(LIFETIME_MS);
  table.announce(announceOf(swarmA, nodeIdOf('other'), { zone: 'west' }));
  assert.equal(table.announce(announceOf(swarmA, nodeIdOf('east-2'), { zone: 'east' })).mayCross, true);
});
