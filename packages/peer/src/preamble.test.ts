import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  encodeExtendedHandshake,
  encodeHandshake,
  encodeMessage,
  OWN_EXTENSION_MESSAGES,
  peerIdOf,
} from '@sealift/bittorrent';
import { isAppError, parseSwarmId } from '@sealift/core';
import { nodeIdOf } from '@sealift/testkit';
import fc from 'fast-check';
import { Preamble } from './preamble.ts';

const swarmId = parseSwarmId('ab'.repeat(20));
const handshake = encodeHandshake({
  swarmId,
  peerId: peerIdOf(nodeIdOf('alice')),
  supportsExtended: true,
  supportsFast: true,
});
const payload = encodeExtendedHandshake({ messages: OWN_EXTENSION_MESSAGES, requestQueue: 9, grant: 'a.b.c' });
const extended = encodeMessage({ type: 'extended', id: 0, payload });

test('a greeting is read whatever its chunks, and what follows it is left alone', () => {
  const rest = Buffer.from('00000000', 'hex');
  const bytes = Buffer.concat([handshake, extended, rest]);
  fc.assert(
    fc.property(fc.array(fc.integer({ min: 1, max: bytes.length - rest.length - 1 })), (cuts) => {
      const preamble = new Preamble();
      const edges = [0, ...new Set(cuts)].sort((a, b) => a - b);
      const chunks = edges.map((edge, at) => bytes.subarray(edge, edges[at + 1] ?? bytes.length));
      const last = chunks.pop() as Buffer;
      for (const chunk of chunks) assert.equal(preamble.push(chunk), undefined);
      const greeting = preamble.push(last);
      assert.equal(greeting?.handshake.swarmId, swarmId);
      assert.equal(greeting?.extended?.grant, 'a.b.c');
      assert.deepEqual(greeting?.rest, rest);
    }),
    { seed: 7, numRuns: 200 },
  );
});

test('arbitrary bytes give a greeting or an error of ours', () => {
  const tail = fc.uint8Array({ maxLength: 200 });
  fc.assert(
    fc.property(fc.boolean(), tail, (isHonestStart, bytes) => {
      try {
        new Preamble().push(isHonestStart ? Buffer.concat([handshake, bytes]) : bytes);
      } catch (error) {
        assert.ok(isAppError(error), String(error));
      }
    }),
    { seed: 8, numRuns: 500 },
  );
});

test('a peer without the extensions that carry the grant is refused at its handshake', () => {
  const plain = encodeHandshake({
    swarmId,
    peerId: peerIdOf(nodeIdOf('alice')),
    supportsExtended: false,
    supportsFast: true,
  });
  assert.throws(() => new Preamble().push(plain), { code: 'HANDSHAKE_INVALID' });
});
