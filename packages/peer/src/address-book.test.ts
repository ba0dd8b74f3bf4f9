import assert from 'node:assert/strict';
import { test } from 'node:test';
import { FakeClock } from '@sealift/testkit';
import { AddressBook } from './address-book.ts';
import { seededRandom } from './random.ts';

const address = (port: number) => ({ host: '192.0.2.1', port, peerId: undefined });
const anybody = () => true;

function scene(maxAddresses = 3) {
  const clock = new FakeClock();
  const book = new AddressBook({ clock, random: seededRandom(1), maxAddresses, backoffMs: 1_000, maxBackoffMs: 8_000 });
  return { clock, book };
}

test('an address is dialled once at a time', () => {
  const { book } = scene();
  book.add(address(1));
  assert.deepEqual(book.next(anybody), address(1));
  assert.equal(book.next(anybody), undefined);
});

test('an address that fails again and again is tried ever more rarely, up to a bound', () => {
  const { clock, book } = scene();
  book.add(address(1));
  const waits: number[] = [];
  for (let attempt = 0; attempt < 6; attempt += 1) {
    const start = clock.now();
    while (book.next(anybody) === undefined) clock.advance(100);
    waits.push(clock.now() - start);
    book.failed(address(1));
  }
  assert.equal(waits[0], 0);
  for (const [at, wait] of waits.slice(1).entries()) {
    const longest = Math.min(1_000 * 2 ** at, 8_000);
    assert.ok(wait >= longest / 2 && wait <= longest + 100, `${wait} ms after ${at + 1} failures`);
  }
});

test('a full book forgets an address that failed before one that did not', () => {
  const { book } = scene(2);
  book.add(address(1));
  book.add(address(2));
  book.next(({ port }) => port === 2);
  book.failed(address(2));
  book.add(address(3));
  const left = [book.next(anybody), book.next(anybody)].map((entry) => entry?.port).sort();
  assert.deepEqual(left, [1, 3]);
});

test('a full book of addresses in use takes no more', () => {
  const { book } = scene(1);
  book.add(address(1));
  book.next(anybody);
  book.add(address(2));
  assert.equal(book.size, 1);
});
