import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { Bitfield } from './bitfield.ts';
import { isAppError } from './errors.ts';

/** A length, and steps on indexes below it. */
const steps = fc.integer({ min: 1, max: 100 }).chain((length) =>
  fc.record({
    length: fc.constant(length),
    steps: fc.array(fc.record({ isAdd: fc.boolean(), index: fc.nat(length - 1) }), { maxLength: 200 }),
  }),
);

test('a bitfield does what a set of indexes does, and survives its wire form', () => {
  fc.assert(
    fc.property(steps, ({ length, steps }) => {
      const model = new Set<number>();
      const bitfield = new Bitfield(length);
      for (const { isAdd, index } of steps) {
        if (isAdd) {
          assert.equal(bitfield.add(index), !model.has(index));
          model.add(index);
        } else assert.equal(bitfield.delete(index), model.delete(index));
      }
      const copy = Bitfield.fromBytes(bitfield.toBytes(), length);
      for (const field of [bitfield, copy]) {
        assert.equal(field.count, model.size);
        assert.equal(field.isFull, model.size === length);
        for (let index = 0; index < length; index += 1) {
          assert.equal(field.has(index), model.has(index));
          let missing = index;
          while (model.has(missing)) missing += 1;
          assert.equal(field.firstMissing(index), missing);
        }
      }
    }),
    { seed: 1, numRuns: 150 },
  );
});

test('arbitrary bytes are a bitfield in canonical form or a broken frame', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 6 }), fc.nat(40), (bytes, length) => {
      try {
        assert.deepEqual(Bitfield.fromBytes(bytes, length).toBytes(), Buffer.from(bytes));
      } catch (error) {
        assert.ok(isAppError(error, 'FRAME_INVALID'));
      }
    }),
    { seed: 1, numRuns: 500 },
  );
});

test('piece 0 is the high bit of the first byte (BEP 3)', () => {
  const bitfield = new Bitfield(10);
  bitfield.add(0);
  bitfield.add(9);
  assert.deepEqual([...bitfield.toBytes()], [0x80, 0x40]);
});

test('a set spare bit and a wrong length break the frame', () => {
  for (const bytes of [[0x80, 0x20], [0x80, 0x01], [0x80], [0x80, 0, 0], []]) {
    assert.throws(() => Bitfield.fromBytes(Uint8Array.from(bytes), 10), { code: 'FRAME_INVALID' });
  }
});

test('an index outside the set is never in it and cannot be added or taken out', () => {
  const bitfield = Bitfield.fromBytes(Uint8Array.of(0xff, 0xc0), 10);
  for (const index of [-1, 10, 0.5, Number.NaN, 2 ** 32]) {
    assert.equal(bitfield.has(index), false);
    assert.throws(() => bitfield.add(index), { code: 'FRAME_INVALID' });
    assert.throws(() => bitfield.delete(index), { code: 'FRAME_INVALID' });
  }
  assert.equal(bitfield.firstMissing(-5), 10);
});

test('the wire form is a copy', () => {
  const bitfield = new Bitfield(8);
  bitfield.toBytes().fill(0xff);
  assert.equal(bitfield.has(0), false);
  const bytes = Uint8Array.of(0);
  const parsed = Bitfield.fromBytes(bytes, 8);
  bytes.fill(0xff);
  assert.equal(parsed.has(0), false);
});
