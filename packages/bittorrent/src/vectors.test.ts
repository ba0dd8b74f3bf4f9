import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { parseDigest, parseNodeId, parseRegistryHost, parseRepository, parseSwarmId, parseZone } from '@sealift/core';
import { decodeAnnounceAnswer, encodeAnnounceAnswer } from './announce-answer.ts';
import { encodeAnnounceQuery } from './announce-request.ts';
import { newContentKey } from './content-key.fixture.ts';
import { createContentVerifier } from './content-key.ts';
import {
  decodeExtendedHandshake,
  type ExtendedHandshake,
  encodeExtendedHandshake,
  OWN_EXTENSION_MESSAGES,
} from './extended-handshake.ts';
import { decodeFetching, encodeFetching } from './fetching.ts';
import { decodeHandshake, encodeHandshake } from './handshake.ts';
import { openHashBatch, signHashBatch } from './hash-batch.ts';
import { encodeMessage, encodePieceHeader } from './message.ts';
import { peerIdOf } from './peer-id.ts';
import { openProgress, signProgress } from './progress.ts';

const document = readFileSync(new URL('../../../docs/protocol.md', import.meta.url), 'utf8');
const swarmId = parseSwarmId('77ddf026c6c8cde208dd6cb2718f815c63ee2a21');

/** The public key of RFC 7515 §A.3.1. */
const jwk = {
  kty: 'EC',
  crv: 'P-256',
  x: 'f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU',
  y: 'x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0',
};

/** The bytes of the fenced block that docs/protocol.md labels so. */
function vector(form: 'hex' | 'text', name: string): Buffer {
  const text = document.split(`\`\`\`${form} ${name}\n`)[1]?.split('\n```')[0];
  assert.ok(text !== undefined, `docs/protocol.md has no vector ${name}`);
  return form === 'hex' ? Buffer.from(text.replaceAll(/\s/g, ''), 'hex') : Buffer.from(text, 'latin1');
}

test('the handshake is that of the protocol document', () => {
  const handshake = { swarmId, peerId: peerIdOf(parseNodeId('node-1')), supportsExtended: true, supportsFast: true };
  assert.deepEqual(encodeHandshake(handshake), vector('hex', 'handshake'));
  assert.deepEqual(decodeHandshake(vector('hex', 'handshake')), handshake);
});

test('the extended handshake is that of the protocol document', () => {
  const handshake: ExtendedHandshake = {
    messages: OWN_EXTENSION_MESSAGES,
    version: 'sealift/0.1.0',
    requestQueue: 512,
    blockLength: 524_288,
    grant: 'head.claims.signature',
    zone: parseZone('zone-a'),
  };
  const payload = vector('text', 'extended-handshake');
  assert.deepEqual(encodeExtendedHandshake(handshake), payload);
  assert.deepEqual(decodeExtendedHandshake(payload), handshake);
  const frame = encodeMessage({ type: 'extended', id: 0, payload });
  assert.ok(document.includes(`\`${frame.toString('hex', 0, 6)}\``));
});

test('request, piece header and list of pieces are those of the protocol document', () => {
  const request = encodeMessage({ type: 'request', index: 7, begin: 32_768, length: 16_384 });
  assert.deepEqual(request, vector('hex', 'request'));
  assert.deepEqual(encodePieceHeader(7, 32_768, 16_384), vector('hex', 'piece-header'));
  assert.deepEqual(encodeFetching([7, 300]), vector('hex', 'fetching'));
  assert.deepEqual(decodeFetching(vector('hex', 'fetching'), 301), [7, 300]);
});

test('the signed progress of the protocol document opens under the key that it names', () => {
  const unsigned = vector('hex', 'progress-unsigned');
  const payload = Buffer.concat([vector('hex', 'progress-signature'), unsigned]);
  const progress = openProgress(payload, swarmId, createContentVerifier([jwk]));
  assert.deepEqual(progress, { swarmId, bytesRead: 1_048_576 });
  assert.deepEqual(signProgress(progress, newContentKey().signer).subarray(72), unsigned.subarray(8));
});

test('the signed hash batch of the protocol document opens under the key that it names', () => {
  const unsigned = vector('hex', 'hash-batch-unsigned');
  const bytes = Buffer.concat([vector('hex', 'hash-batch-signature'), unsigned]);
  const batch = openHashBatch(bytes, createContentVerifier([jwk]));
  assert.deepEqual(batch, {
    swarmId,
    digest: parseDigest('sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855'),
    size: 20_000,
    pieceLength: 16_384,
    startedAt: 1_800_000_000_000,
    firstIndex: 0,
    hashes: Buffer.concat([Buffer.alloc(32, 0x11), Buffer.alloc(32, 0x22)]),
    isComplete: true,
    isWithdrawn: false,
  });
  // Another key gives another key id and signature; the rest is bound to be the same.
  const again = signHashBatch(batch, newContentKey().signer);
  assert.deepEqual(again.subarray(72), unsigned.subarray(8));
});

test('the announce is that of the protocol document', () => {
  const query = encodeAnnounceQuery({
    swarmId,
    event: 'started',
    left: 20_000,
    uploaded: 0,
    downloaded: 0,
    port: 6881,
    ip: 'fd00::1',
    numwant: 50,
    grant: 'head.claims.signature',
    denyVersion: 3,
    zone: parseZone('zone-a'),
  });
  assert.equal(query, vector('text', 'announce-query').toString());
  const answer = {
    intervalMs: 30_000,
    complete: 1,
    incomplete: 2,
    peers: [{ peerId: Buffer.from('-SL0001-abcdefghijkl'), host: '10.0.0.7', port: 6881 }],
    deny: {
      version: 4,
      nodeIds: [parseNodeId('node-9')],
      revocations: [
        {
          registry: parseRegistryHost('registry.example'),
          repository: parseRepository('team/app'),
          provenBefore: 1_800_000_000_000,
        },
      ],
    },
  };
  assert.deepEqual(encodeAnnounceAnswer(answer), vector('text', 'announce-answer'));
  assert.deepEqual(decodeAnnounceAnswer(vector('text', 'announce-answer')), answer);
});
