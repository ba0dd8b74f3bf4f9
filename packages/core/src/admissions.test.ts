import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Admission, type AdmissionLimits, Admissions } from './admissions.ts';

const LIMITS: AdmissionLimits = { connections: 10, connectionsPerAddress: 6, strangers: 6, strangersPerAddress: 4 };

function listener(limits: Partial<AdmissionLimits> = {}) {
  let now = 0;
  const admissions = new Admissions({ limits: { ...LIMITS, ...limits }, clock: { now: () => now } });
  const cut: string[] = [];
  const knock = (address: string, name = address): Admission | undefined =>
    admissions.admit(address, { cut: () => cut.push(name) });
  return { admissions, cut, knock, pass: (ms: number) => (now += ms) };
}

test('an address at its cap does not stop another', () => {
  const { knock, cut } = listener();
  for (let count = 0; count < 4; count += 1) assert.ok(knock('192.0.2.1'));
  assert.equal(knock('192.0.2.1'), undefined);
  assert.ok(knock('192.0.2.2'));
  assert.deepEqual(cut, []);
});

test('all of one /64 are one address', () => {
  const { knock } = listener();
  for (let host = 1; host <= 4; host += 1) assert.ok(knock(`2001:db8:1:2::${host}`));
  assert.equal(knock('2001:db8:1:2:ffff::9'), undefined);
  assert.ok(knock('2001:db8:1:3::1'));
});

test('when the places of strangers are taken, the address with the most of them gives its oldest away', () => {
  const { knock, cut, admissions } = listener();
  for (const name of ['a1', 'a2', 'a3', 'a4']) knock('192.0.2.1', name);
  for (const name of ['b1', 'b2']) knock('192.0.2.2', name);
  assert.ok(knock('192.0.2.3', 'c1'));
  assert.deepEqual(cut, ['a1']);
  assert.ok(knock('192.0.2.4', 'd1'));
  assert.deepEqual(cut, ['a1', 'a2']);
  assert.equal(knock('192.0.2.2', 'b3'), undefined, 'whoever has as many waits');
  assert.deepEqual(admissions.counts, { connections: 6, strangers: 6 });
});

test('whoever has settled is pushed out by nobody, and counts on for its address', () => {
  const { knock, cut, admissions } = listener();
  for (let count = 0; count < 6; count += 1) knock('192.0.2.1')?.settle();
  assert.equal(knock('192.0.2.1'), undefined);
  for (let host = 2; host <= 5; host += 1) knock(`192.0.2.${host}`)?.settle();
  assert.equal(knock('192.0.2.9'), undefined);
  assert.deepEqual(cut, []);
  assert.deepEqual(admissions.counts, { connections: 10, strangers: 0 });
});

test('where all share an address the newcomer takes the place of the oldest stranger', () => {
  const { knock, cut } = listener({ replacesOldest: true });
  const names = ['a', 'b', 'c', 'd', 'e', 'f'];
  for (const name of names) assert.ok(knock('127.0.0.1', name));
  assert.deepEqual(cut, ['a', 'b']);
});

test('an address whose connections end as strangers comes at a rate only; whoever settles is not counted', () => {
  const { knock, pass } = listener({ strangerRate: { burst: 2, perSecond: 1 } });
  for (let count = 0; count < 50; count += 1) {
    const honest = knock('192.0.2.1');
    assert.ok(honest);
    honest.settle();
    honest.leave();
  }
  for (let count = 0; count < 2; count += 1) knock('192.0.2.2')?.leave();
  assert.equal(knock('192.0.2.2'), undefined);
  assert.ok(knock('192.0.2.1'));
  pass(1_000);
  assert.ok(knock('192.0.2.2'));
});

test('what has ended leaves nothing behind, told once or twice', () => {
  const { knock, admissions } = listener();
  const admitted = [knock('192.0.2.1'), knock('192.0.2.1'), knock('192.0.2.2')];
  admitted[0]?.settle();
  for (const admission of [...admitted, ...admitted]) {
    admission?.leave();
    admission?.settle();
  }
  assert.deepEqual(admissions.counts, { connections: 0, strangers: 0 });
});
