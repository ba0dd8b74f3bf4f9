/**
 * Our codec against `bittorrent-protocol`, a second implementation of BEP 3, 6 and 10, over its in-memory duplex: what
 * we encode it must understand, and what it sends we must.
 */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { type TestContext, test } from 'node:test';
import { parseNodeId, parseSwarmId } from '@sealift/core';
import Wire from 'bittorrent-protocol';
import {
  decodeExtendedHandshake,
  EXTENSION,
  EXTENSION_NAME,
  encodeExtendedHandshake,
  OWN_EXTENSION_MESSAGES,
} from './extended-handshake.ts';
import { decodeHandshake, encodeHandshake, HANDSHAKE_LENGTH } from './handshake.ts';
import { collectingParser } from './message.arbitrary.ts';
import { encodeMessage, type Message } from './message.ts';
import { peerIdOf } from './peer-id.ts';

const SWARM_ID = parseSwarmId('77ddf026c6c8cde208dd6cb2718f815c63ee2a21');
const OUR_PEER_ID = peerIdOf(parseNodeId('node-1'));
const THEIR_PEER_ID = '2d5757303130302dff80fe010203040506070809';
const GRANT = 'header.claims.signature';

/** The other implementation with all that it sent so far, cut into chunks as it wrote them. */
function newWire(t: TestContext) {
  const wire = new Wire();
  const sent: Buffer[] = [];
  wire.on('data', (chunk: Uint8Array) => sent.push(Buffer.from(chunk)));
  wire.on('error', (error: Error) => assert.fail(error));
  t.after(() => wire.destroy());
  return { wire, sent };
}

/** A wire after both handshakes, and a parser that sees what it sends from then on. */
async function newConnection(t: TestContext) {
  const { wire, sent } = newWire(t);
  wire.handshake(SWARM_ID, THEIR_PEER_ID, { fast: true });
  const greeted = once(wire, 'handshake');
  wire.write(encodeHandshake({ swarmId: SWARM_ID, peerId: OUR_PEER_ID, supportsExtended: true, supportsFast: true }));
  await greeted;
  const { parser, messages } = collectingParser();
  await flushed();
  const stream = Buffer.concat(sent);
  parser.push(stream, HANDSHAKE_LENGTH);
  wire.on('data', (chunk: Uint8Array) => parser.push(chunk));
  return { wire, parser, messages };
}

/** The duplex hands on what was pushed in later turns of the event loop; two are enough for all of it. */
async function flushed(): Promise<void> {
  for (let turn = 0; turn < 2; turn += 1) await new Promise((resolve) => setImmediate(resolve));
}

test('our handshake is understood by the other implementation', async (t) => {
  const { wire } = newWire(t);
  const seen = once(wire, 'handshake');
  wire.write(encodeHandshake({ swarmId: SWARM_ID, peerId: OUR_PEER_ID, supportsExtended: true, supportsFast: true }));
  assert.deepEqual(await seen, [SWARM_ID, OUR_PEER_ID.toString('hex'), { dht: false, fast: true, extended: true }]);
});

for (const fast of [true, false]) {
  test(`the handshake of the other implementation ${fast ? 'with' : 'without'} BEP 6 is understood`, async (t) => {
    const { wire, sent } = newWire(t);
    wire.handshake(SWARM_ID, THEIR_PEER_ID, { fast });
    await flushed();
    assert.deepEqual(decodeHandshake(Buffer.concat(sent)), {
      swarmId: SWARM_ID,
      peerId: Buffer.from(THEIR_PEER_ID, 'hex'),
      supportsExtended: true,
      supportsFast: fast,
    });
  });
}

test('our extended handshake is understood by the other implementation', async (t) => {
  const { wire } = await newConnection(t);
  const handshake = { messages: OWN_EXTENSION_MESSAGES, version: 'sealift/0.1.0', requestQueue: 512, grant: GRANT };
  const seen = once(wire, 'extended');
  wire.write(encodeMessage({ type: 'extended', id: EXTENSION.handshake, payload: encodeExtendedHandshake(handshake) }));
  assert.equal((await seen)[0], 'handshake');
  assert.deepEqual({ ...wire.peerExtendedMapping }, { sl_hashes: 1, sl_progress: 2, sl_fetching: 3 });
  const { reqq, sl_grant: grant } = wire.peerExtendedHandshake;
  assert.deepEqual([reqq, Buffer.from(grant as Uint8Array).toString()], [512, GRANT]);
});

test('the extended handshake of the other implementation is understood', async (t) => {
  const { wire, sent } = newWire(t);
  Object.assign(wire.extendedHandshake, { sl_grant: GRANT, reqq: 250, v: 'Other 1.0', p: 6881 });
  Object.assign(wire.extendedMapping, { 4: EXTENSION_NAME.progress, 9: EXTENSION_NAME.hashes });
  wire.handshake(SWARM_ID, THEIR_PEER_ID, { fast: true });
  wire.write(encodeHandshake({ swarmId: SWARM_ID, peerId: OUR_PEER_ID, supportsExtended: true, supportsFast: true }));
  await flushed();
  const { parser, messages } = collectingParser();
  parser.push(Buffer.concat(sent), HANDSHAKE_LENGTH);
  const [message] = messages;
  assert.ok(message?.type === 'extended' && message.id === EXTENSION.handshake);
  assert.deepEqual(decodeExtendedHandshake(message.payload), {
    messages: new Map([
      [EXTENSION_NAME.hashes, 9],
      [EXTENSION_NAME.progress, 4],
    ]),
    version: 'Other 1.0',
    requestQueue: 250,
    grant: GRANT,
  });
});

const block = Buffer.alloc(16_384, 0x5a);

/** What we send, the event it must raise there, and what the event must say. */
const outgoing: readonly (readonly [Message, string, readonly unknown[]])[] = [
  [{ type: 'keep-alive' }, 'keep-alive', []],
  [{ type: 'unchoke' }, 'unchoke', []],
  [{ type: 'choke' }, 'choke', []],
  [{ type: 'interested' }, 'interested', []],
  [{ type: 'not-interested' }, 'uninterested', []],
  [{ type: 'have', index: 70_000 }, 'have', [70_000]],
  [{ type: 'have-all' }, 'have-all', []],
  [{ type: 'have-none' }, 'have-none', []],
  [{ type: 'suggest', index: 3 }, 'suggest', [3]],
  [{ type: 'allowed-fast', index: 3 }, 'allowed-fast', [3]],
  [{ type: 'cancel', index: 1, begin: 16_384, length: 16_384 }, 'cancel', [1, 16_384, 16_384]],
  [{ type: 'reject', index: 1, begin: 16_384, length: 16_384 }, 'reject', [1, 16_384, 16_384]],
  [{ type: 'piece', index: 1, begin: 16_384, block }, 'piece', [1, 16_384, new Uint8Array(block)]],
  [{ type: 'extended', id: 7, payload: Buffer.from('abc') }, 'extended', [7, new Uint8Array(Buffer.from('abc'))]],
];

for (const [message, event, expected] of outgoing) {
  test(`our ${message.type} is understood by the other implementation`, async (t) => {
    const { wire } = await newConnection(t);
    const seen = once(wire, event);
    wire.write(encodeMessage(message));
    assert.deepEqual((await seen).map(plainBytes), expected);
  });
}

test('our bitfield is understood by the other implementation', async (t) => {
  const { wire } = await newConnection(t);
  const seen = once(wire, 'bitfield');
  wire.write(encodeMessage({ type: 'bitfield', bytes: Buffer.from('a001', 'hex') }));
  const [pieces] = (await seen) as [{ get(index: number): boolean }];
  const held = Array.from({ length: 16 }, (_, index) => index).filter((index) => pieces.get(index));
  assert.deepEqual(held, [0, 2, 15]);
});

test('our request is understood by the other implementation, and its answer by us', async (t) => {
  const { wire, messages } = await newConnection(t);
  wire.on('request', (_index, _begin, _length, respond: (error: null, bytes: Uint8Array) => void) =>
    respond(null, block),
  );
  wire.unchoke();
  wire.write(encodeMessage({ type: 'request', index: 2, begin: 32_768, length: 16_384 }));
  await flushed();
  assert.deepEqual(messages.slice(1), [{ type: 'unchoke' }, { type: 'piece', index: 2, begin: 32_768, block }]);
});

/** What the other implementation does, and the messages that must come out of our parser. */
const incoming: readonly (readonly [string, (wire: Wire) => void, readonly Message[]])[] = [
  ['keep-alive', (wire) => wire.keepAlive(), [{ type: 'keep-alive' }]],
  ['unchoke and choke', (wire) => [wire.unchoke(), wire.choke()], [{ type: 'unchoke' }, { type: 'choke' }]],
  [
    'interested and not interested',
    (wire) => [wire.interested(), wire.uninterested()],
    [{ type: 'interested' }, { type: 'not-interested' }],
  ],
  ['have', (wire) => wire.have(70_000), [{ type: 'have', index: 70_000 }]],
  [
    'bitfield',
    (wire) => wire.bitfield(Buffer.from('a001', 'hex')),
    [{ type: 'bitfield', bytes: Buffer.from('a001', 'hex') }],
  ],
  ['have all', (wire) => wire.haveAll(), [{ type: 'have-all' }]],
  ['have none', (wire) => wire.haveNone(), [{ type: 'have-none' }]],
  ['suggest', (wire) => wire.suggest(3), [{ type: 'suggest', index: 3 }]],
  ['allowed fast', (wire) => wire.allowedFast(3), [{ type: 'allowed-fast', index: 3 }]],
  ['cancel', (wire) => wire.cancel(1, 2, 3), [{ type: 'cancel', index: 1, begin: 2, length: 3 }]],
  ['reject', (wire) => wire.reject(1, 2, 3), [{ type: 'reject', index: 1, begin: 2, length: 3 }]],
  ['piece', (wire) => wire.piece(1, 16_384, block), [{ type: 'piece', index: 1, begin: 16_384, block }]],
  [
    'extended message',
    (wire) => wire.extended(7, Buffer.from('abc')),
    [{ type: 'extended', id: 7, payload: Buffer.from('abc') }],
  ],
  ['port, which we skip,', (wire) => [wire.port(6881), wire.haveNone()], [{ type: 'have-none' }]],
];

for (const [what, act, expected] of incoming) {
  test(`the ${what} of the other implementation is understood`, async (t) => {
    const { wire, messages } = await newConnection(t);
    act(wire);
    await flushed();
    // The first message is the extended handshake that it sends by itself.
    assert.deepEqual(messages.slice(1), expected);
  });
}

test('the request of the other implementation is understood, and our answer by it', async (t) => {
  const { wire, messages } = await newConnection(t);
  wire.write(encodeMessage({ type: 'unchoke' }));
  await flushed();
  const answered = new Promise<Error | null>((resolve) => wire.request(2, 32_768, 16_384, resolve));
  await flushed();
  assert.deepEqual(messages.slice(1), [{ type: 'request', index: 2, begin: 32_768, length: 16_384 }]);
  wire.write(encodeMessage({ type: 'piece', index: 2, begin: 32_768, block }));
  assert.equal(await answered, null);
});

// A Buffer and a Uint8Array of the same bytes are not deeply equal.
function plainBytes(value: unknown): unknown {
  return value instanceof Uint8Array ? new Uint8Array(value) : value;
}
