import assert from 'node:assert/strict';
import { test } from 'node:test';
import { FakeClock } from '@sealift/testkit';
import { type AskedAgain, type NextStep, type Outlook, ReaderPatience } from './reader-patience.ts';

const LIMITS = { lonelyStallTimeoutMs: 3_000, whoIsLeftMs: 1_000, maxPieceMs: 60_000 };
const ALONE: Outlook = { isLonely: true, hasSeeder: false, isDialling: false, areAllGone: false };

function scene() {
  const clock = new FakeClock();
  const patience = new ReaderPatience({ clock, limits: LIMITS });
  /** What is asked for while `ms` pass, a quarter of a second at a time. */
  const pass = (ms: number, outlook: Outlook = ALONE): NextStep[] => {
    const steps: NextStep[] = [];
    for (let passed = 0; passed < ms; passed += 250) {
      clock.advance(250);
      steps.push(patience.next(outlook));
    }
    return steps.filter((step) => step !== 'wait');
  };
  return { clock, patience, pass };
}

/** A reader that has waited, and whose tracker has named somebody. */
function answered() {
  const parts = scene();
  assert.deepEqual(parts.pass(1_000), ['announce']);
  parts.patience.answered({ isEmpty: false });
  return parts;
}

test('the tracker is asked who is left after a second of silence, once', () => {
  const { pass } = scene();
  assert.deepEqual(pass(750), []);
  assert.deepEqual(pass(20_000), ['announce']);
});

test('a clock that is set back makes nobody wait longer', () => {
  const { clock, patience, pass } = scene();
  patience.received();
  clock.advance(-3_600_000);
  assert.equal(patience.progressAt, clock.now());
  assert.deepEqual(pass(1_000), ['announce']);
  patience.answered({ isEmpty: false });
  assert.deepEqual(pass(250, { ...ALONE, isDialling: true }), []);
  clock.advance(-3_600_000);
  assert.deepEqual(pass(750), ['ask-again']);
});

test('as long as a seeder is connected, silence is its registry that is slow, and the tracker is asked later', () => {
  const { pass } = scene();
  assert.deepEqual(pass(2_750, { ...ALONE, hasSeeder: true }), []);
  assert.deepEqual(pass(250, { ...ALONE, hasSeeder: true }), ['announce']);
});

test('readers are not held up by peers who have something, and do not ask', () => {
  const { pass } = scene();
  assert.deepEqual(pass(20_000, { ...ALONE, isLonely: false }), []);
});

test('a tracker that names nobody has the blob asked for again at once', () => {
  const { patience } = scene();
  patience.answered({ isEmpty: true });
  assert.equal(patience.next(ALONE), 'ask-again');
});

test('whoever is dialled gets time to show what it has before the blob is asked for again', () => {
  const { pass } = answered();
  assert.deepEqual(pass(5_000, { ...ALONE, isDialling: true }), []);
  assert.deepEqual(pass(250), []);
  assert.deepEqual(pass(500), ['ask-again']);
});

const outcomes: readonly { said: AskedAgain; next: readonly NextStep[] }[] = [
  { said: 'nobody', next: ['give-up'] },
  { said: 'unknown', next: [] },
  { said: 'offered', next: ['announce-again'] },
];
for (const { said, next } of outcomes) {
  test(`a tracker that says ${said} makes a reader do ${next.join() || 'nothing but wait'}`, () => {
    const { patience, pass } = answered();
    assert.deepEqual(pass(250), ['ask-again']);
    assert.deepEqual(pass(2_000), [], 'no answer yet');
    patience.askedAgain(said);
    assert.deepEqual(pass(250), next);
  });
}

test('a tracker that could not tell is asked again after a while, as long as nobody is there', () => {
  const { patience, pass } = answered();
  for (const said of ['unknown', 'unknown', 'offered'] as const) {
    assert.deepEqual(pass(2_250), ['ask-again']);
    patience.askedAgain(said);
  }
  assert.deepEqual(pass(250), ['announce-again']);
});

for (const areAllGone of [true, false]) {
  test(`a seeder that is offered and ${areAllGone ? 'cannot be reached' : 'may be reached'} decides whether readers wait`, () => {
    const { patience, pass } = answered();
    pass(250);
    patience.askedAgain('offered');
    pass(250);
    patience.answered({ isEmpty: false });
    pass(250, { ...ALONE, isDialling: true });
    assert.deepEqual(pass(1_000, { ...ALONE, areAllGone }).slice(0, 1), areAllGone ? ['give-up'] : []);
  });
}

test('progress ends all questions', () => {
  const { patience, pass } = answered();
  pass(250);
  patience.progressed();
  patience.askedAgain('nobody');
  assert.deepEqual(pass(750), []);
});

test('blocks are progress before their piece is whole, but not for ever', () => {
  const { clock, patience } = scene();
  const startedAt = clock.now();
  for (let second = 1; second <= 100; second += 1) {
    clock.advance(1_000);
    patience.received();
  }
  assert.equal(patience.progressAt, startedAt + LIMITS.maxPieceMs);
});
