import assert from 'node:assert/strict';
import { test } from 'node:test';
import { NeighbourNews, newsPauseMs } from './neighbour-news.ts';

const none = (): boolean => false;
const record = (byte: number): Buffer => Buffer.from([byte]);

test('a hash batch waits for the first have that the neighbour needs it for, and goes once', () => {
  const news = new NeighbourNews();
  news.addHashes({ record: record(1), firstIndex: 4, count: 2 });
  news.addHaves([3]);
  assert.deepEqual(news.take(none), { records: [], haves: [3] });
  news.addHaves([5, 4]);
  assert.deepEqual(news.take(none), { records: [record(1)], haves: [5, 4] });
  news.addHaves([6]);
  assert.deepEqual(news.take(none), { records: [], haves: [6] });
});

test('a neighbour that holds a piece is told of ours without its hash', () => {
  const news = new NeighbourNews();
  news.addHashes({ record: record(1), firstIndex: 0, count: 2 });
  news.addHaves([0]);
  assert.equal(
    news.isAwaited((index) => index === 0),
    false,
  );
  assert.deepEqual(
    news.take((index) => index === 0),
    { records: [], haves: [0] },
  );
  // The other piece of the batch is still news to it.
  news.addHaves([1]);
  assert.equal(news.isAwaited(none), true);
  assert.deepEqual(news.take(none).records, [record(1)]);
});

test('a batch that the neighbour has shown to know is not passed on to it', () => {
  const news = new NeighbourNews();
  news.addHashes({ record: record(1), firstIndex: 0, count: 1 });
  news.dropHashes(record(1));
  news.addHaves([0]);
  assert.deepEqual(news.take(none), { records: [], haves: [0] });
});

test('news is gathered for longer the more neighbours there are, within bounds', () => {
  assert.equal(newsPauseMs(1), 20);
  assert.ok(newsPauseMs(10) > 20 && newsPauseMs(10) < newsPauseMs(15));
  assert.equal(newsPauseMs(40), newsPauseMs(400));
});
