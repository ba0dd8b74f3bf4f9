import assert from 'node:assert/strict';
import { test } from 'node:test';
import { KeptGrants } from './kept-grants.ts';

test('the last grant of each swarm is kept, and none that was taken back', () => {
  const grants = new KeptGrants();
  grants.take({ type: 'grant', swarmId: 'a', grant: 'first', expiresAt: 1 });
  grants.take({ type: 'grant', swarmId: 'b', grant: 'other', expiresAt: 2 });
  grants.take({ type: 'grant', swarmId: 'a', grant: 'second', expiresAt: 3 });
  grants.take({ type: 'grant', swarmId: 'b', grant: undefined, expiresAt: 0 });
  assert.deepEqual([...grants.messages()], [{ type: 'kept-grant', swarmId: 'a', grant: 'second', expiresAt: 3 }]);
});

test('an engine with more blobs than are worth keeping costs no more memory; the oldest goes first', () => {
  const grants = new KeptGrants();
  for (let swarm = 0; swarm < 5_000; swarm += 1)
    grants.take({ type: 'grant', swarmId: `${swarm}`, grant: 'x', expiresAt: 1 });
  const kept = [...grants.messages()].map(({ swarmId }) => Number(swarmId));
  assert.deepEqual([kept.length, kept[0], kept.at(-1)], [4096, 904, 4999]);
});
