import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseNodeId } from '@sealift/core';
import { BanList } from './ban-list.ts';

const mallory = parseNodeId('mallory');

test('a ban ends by itself when its time is up', () => {
  let now = 0;
  const bans = new BanList({ clock: { now: () => now } });
  bans.ban(mallory, 60_000);
  assert.equal(bans.isBanned(mallory), true);
  now = 60_000;
  assert.equal(bans.isBanned(mallory), false);
});

test('a second, shorter ban does not shorten the first', () => {
  let now = 0;
  const bans = new BanList({ clock: { now: () => now } });
  bans.ban(mallory, 60_000);
  bans.ban(mallory, 1_000);
  now = 59_999;
  assert.equal(bans.isBanned(mallory), true);
});

test('a full list gives up the ban that would end first', () => {
  const bans = new BanList({ clock: { now: () => 0 }, maxBans: 2 });
  bans.ban(parseNodeId('a'), 20);
  bans.ban(parseNodeId('b'), 10);
  bans.ban(mallory, 30);
  assert.deepEqual(
    ['a', 'b', 'mallory'].map((id) => bans.isBanned(parseNodeId(id))),
    [true, false, true],
  );
});
