import assert from 'node:assert/strict';
import { test } from 'node:test';
import { FakeClock } from '@sealift/testkit';
import { type Leaf, LeafCache } from './leaf-cache.ts';

const hosts = new Set(['a.example', 'b.example']);

function countingMint(clock: FakeClock) {
  const minted: string[] = [];
  const mint = async (host: string): Promise<Leaf<string>> => {
    minted.push(host);
    return { value: `${host} ${minted.length}`, notBefore: clock.now() - 60, renewAt: clock.now() + 1000 };
  };
  return { minted, mint };
}

test('a leaf is minted once for all who ask at the same time, and kept until it is due', async () => {
  const clock = new FakeClock();
  const { minted, mint } = countingMint(clock);
  const cache = new LeafCache({ hosts, mint, clock });
  assert.deepEqual(await Promise.all([cache.get('a.example'), cache.get('a.example')]), ['a.example 1', 'a.example 1']);
  clock.advance(999);
  assert.equal(await cache.get('a.example'), 'a.example 1');
  clock.advance(1);
  assert.equal(await cache.get('a.example'), 'a.example 2');
  assert.deepEqual(minted, ['a.example', 'a.example']);
});

test('a clock that was set back gets a leaf that is good by then', async () => {
  const clock = new FakeClock();
  const { mint } = countingMint(clock);
  const cache = new LeafCache({ hosts, mint, clock });
  assert.equal(await cache.get('a.example'), 'a.example 1');
  clock.advance(-60);
  assert.equal(await cache.get('a.example'), 'a.example 1');
  clock.advance(-1);
  assert.equal(await cache.get('a.example'), 'a.example 2');
});

test('a host that is not on the list is never minted and never remembered', async () => {
  const clock = new FakeClock();
  const { minted, mint } = countingMint(clock);
  const cache = new LeafCache({ hosts, mint, clock });
  for (let n = 0; n < 1000; n += 1) assert.equal(await cache.get(`${n}.example`), undefined);
  await cache.get('a.example');
  await cache.get('b.example');
  assert.equal(cache.size, 2);
  assert.deepEqual(minted, ['a.example', 'b.example']);
});

test('a minting that failed is tried again', async () => {
  const clock = new FakeClock();
  let fails = true;
  const mint = async (host: string): Promise<Leaf<string>> => {
    if (fails) throw new Error('no entropy');
    return { value: host, notBefore: clock.now(), renewAt: clock.now() + 1000 };
  };
  const cache = new LeafCache({ hosts, mint, clock });
  await assert.rejects(cache.get('a.example'), { message: 'no entropy' });
  fails = false;
  assert.equal(await cache.get('a.example'), 'a.example');
});
