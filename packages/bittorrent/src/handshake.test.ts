import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isAppError, parseNodeId, parseSwarmId } from '@sealift/core';
import fc from 'fast-check';
import { decodeHandshake, encodeHandshake, HANDSHAKE_LENGTH, type Handshake } from './handshake.ts';
import { PEER_ID_PREFIX, peerIdOf } from './peer-id.ts';

const handshake: fc.Arbitrary<Handshake> = fc
  .tuple(
    fc.uint8Array({ minLength: 20, maxLength: 20 }),
    fc.uint8Array({ minLength: 20, maxLength: 20 }),
    fc.boolean(),
    fc.boolean(),
  )
  .map(([swarmId, peerId, supportsExtended, supportsFast]) => ({
    swarmId: parseSwarmId(Buffer.from(swarmId).toString('hex')),
    peerId: Buffer.from(peerId),
    supportsExtended,
    supportsFast,
  }));

const example: Handshake = {
  swarmId: parseSwarmId('77ddf026c6c8cde208dd6cb2718f815c63ee2a21'),
  peerId: peerIdOf(parseNodeId('node-1')),
  supportsExtended: true,
  supportsFast: true,
};

test('a handshake decodes to itself', () => {
  fc.assert(
    fc.property(handshake, (original) => {
      assert.deepEqual(decodeHandshake(encodeHandshake(original)), original);
    }),
    { seed: 1, numRuns: 200 },
  );
});

test('arbitrary bytes give a handshake or HANDSHAKE_INVALID', () => {
  const mutated = fc
    .tuple(fc.integer({ min: 0, max: HANDSHAKE_LENGTH - 1 }), fc.integer({ min: 0, max: 255 }))
    .map(([offset, byte]) => {
      const bytes = encodeHandshake(example);
      bytes[offset] = byte;
      return bytes;
    });
  fc.assert(
    fc.property(fc.oneof(mutated, fc.uint8Array({ maxLength: 100 })), (bytes) => {
      try {
        decodeHandshake(bytes);
      } catch (error) {
        if (!isAppError(error, 'HANDSHAKE_INVALID')) throw error;
      }
    }),
    { seed: 1, numRuns: 1000 },
  );
});

test('a decoded handshake keeps nothing of the input buffer', () => {
  const bytes = encodeHandshake(example);
  const decoded = decodeHandshake(bytes);
  bytes.fill(0);
  assert.deepEqual(decoded, example);
});

test('reserved bits of other extensions are ignored', () => {
  const bytes = encodeHandshake(example);
  bytes[20] = 0x80;
  bytes[27] = (bytes[27] ?? 0) | 0x01;
  assert.deepEqual(decodeHandshake(bytes), example);
});

for (const [what, change] of [
  ['another length byte', (bytes: Buffer) => bytes.fill(18, 0, 1)],
  ['another protocol name', (bytes: Buffer) => bytes.write('b', 1)],
  ['a byte too few', (bytes: Buffer) => bytes.subarray(0, -1)],
  ['a byte too many', (bytes: Buffer) => Buffer.concat([bytes, Buffer.alloc(1)])],
] as const) {
  test(`a handshake with ${what} is refused`, () => {
    const bytes = encodeHandshake(example);
    const changed = change(bytes);
    assert.throws(() => decodeHandshake(Buffer.isBuffer(changed) ? changed : bytes), { code: 'HANDSHAKE_INVALID' });
  });
}

test('a peer id of a wrong length is not encoded', () => {
  assert.throws(() => encodeHandshake({ ...example, peerId: Buffer.alloc(19) }), { code: 'HANDSHAKE_INVALID' });
});

test('a peer id is 20 bytes, names the client, and differs from node to node', () => {
  const one = peerIdOf(parseNodeId('node-1'));
  assert.equal(one.length, 20);
  assert.equal(one.toString('latin1', 0, 8), PEER_ID_PREFIX);
  assert.notDeepEqual(one, peerIdOf(parseNodeId('node-2')));
  assert.deepEqual(one, peerIdOf(parseNodeId('node-1')));
});
