import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { isAppError } from './errors.ts';
import { parseClusterId, parseNodeId, parseSwarmId, parseZone } from './ids.ts';

const LONGEST = 'a'.repeat(63);

for (const parse of [parseClusterId, parseNodeId, parseZone]) {
  test(`${parse.name} takes DNS labels as they are`, () => {
    for (const text of ['a', '7', 'prod', 'node-1', 'a--b', LONGEST]) assert.equal(parse(text), text);
  });

  test(`${parse.name} refuses what is no lower-case DNS label`, () => {
    const refused = ['', '-a', 'a-', 'A', 'a.b', 'a_b', 'a/b', 'é', 'a\n', '\na', 'a b', `${LONGEST}a`];
    for (const text of refused) assert.throws(() => parse(text), { code: 'ID_INVALID' }, JSON.stringify(text));
  });
}

test('a swarm id is 40 lower-case hex digits and nothing else', () => {
  const id = '0123456789abcdef0123456789abcdef01234567';
  assert.equal(parseSwarmId(id), id);
  for (const text of ['', id.slice(1), `${id}0`, id.toUpperCase(), `${id}\n`, `g${id.slice(1)}`]) {
    assert.throws(() => parseSwarmId(text), { code: 'ID_INVALID' }, JSON.stringify(text));
  }
});

test('any text is an id or an AppError, and the error does not repeat the text', () => {
  fc.assert(
    fc.property(fc.string({ minLength: 9, unit: 'binary' }), (text) => {
      try {
        assert.equal(parseNodeId(text), text);
      } catch (error) {
        assert.ok(isAppError(error, 'ID_INVALID') && !error.message.includes(text));
      }
    }),
    { seed: 1, numRuns: 300 },
  );
});
