import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  encodeExtendedHandshake,
  MAX_BLOCK_LENGTH,
  type Message,
  OWN_EXTENSION_MESSAGES,
  peerIdOf,
} from '@sealift/bittorrent';
import {
  BLOCK_LENGTH,
  parseClusterId,
  parseDigest,
  parseRegistryHost,
  parseRepository,
  parseSwarmId,
  pieceGeometry,
} from '@sealift/core';
import type { Identity } from '@sealift/pki';
import { FakeClock, nodeIdOf } from '@sealift/testkit';
import type { GrantClaims } from '@sealift/tracker-api';
import { Session } from './session.ts';

const clusterId = parseClusterId('test');
const swarmId = parseSwarmId('ab'.repeat(20));
const geometry = pieceGeometry(3 * 64 * 1024 + 100, 64 * 1024);
const block = { index: 0, begin: 0, length: BLOCK_LENGTH };
const limits = { maxQueuedRequests: 4, maxUselessMessagesPerMinute: 10 };

function scene({
  role = 'node' as 'node' | 'seeder',
  isDialer = false,
  maxBlockLength = BLOCK_LENGTH,
  demandsToken = false,
} = {}) {
  const clock = new FakeClock();
  const remote: Identity = {
    ...{ clusterId, role, id: nodeIdOf('alice'), x5tS256: 'x'.repeat(43), issuer: 'CN=test' },
    ...{ notBefore: clock.now() - 1_000, notAfter: clock.now() + 3_600_000 },
  };
  const claims: GrantClaims = {
    ...{ clusterId, nodeId: remote.id, swarmId, x5tS256: remote.x5tS256, use: 'trade', id: '1' },
    ...{ registry: parseRegistryHost('registry.example'), repository: parseRepository('a/b') },
    digest: parseDigest(`sha256:${'0'.repeat(64)}`),
    ...{ authTime: clock.now(), expiresAt: clock.now() + 60_000 },
  };
  const dialled = isDialer ? swarmId : undefined;
  const session = new Session({ remote, swarmId: dialled, maxBlockLength, demandsToken, clock, limits });
  const greet = ({
    blockLength,
    ...change
  }: {
    swarmId?: typeof swarmId;
    peerId?: Buffer;
    blockLength?: number;
  } = {}) =>
    session.greet(
      { swarmId, peerId: peerIdOf(remote.id), supportsExtended: true, supportsFast: true, ...change },
      {
        ...{ messages: OWN_EXTENSION_MESSAGES, requestQueue: 9, grant: 'a.b.c' },
        ...(blockLength === undefined ? {} : { blockLength }),
      },
    );
  const open = (change: Partial<GrantClaims> = {}) => {
    greet();
    session.open({ ...claims, ...change }, geometry);
    return session;
  };
  return { clock, session, claims, greet, open };
}

const broken = { code: 'PEER_PROTOCOL' };
const allMessages: Exclude<Message, { type: 'piece' }>[] = [
  { type: 'keep-alive' },
  { type: 'have-all' },
  { type: 'bitfield', bytes: Uint8Array.of(0) },
  { type: 'have', index: 0 },
  { type: 'interested' },
  { type: 'unchoke' },
  { type: 'request', ...block },
  { type: 'extended', id: 1, payload: new Uint8Array(200) },
];

test('nothing is taken before the grant is verified, not even a keep-alive', () => {
  for (const message of allMessages) {
    assert.throws(() => scene().session.receive(message), broken);
    const { session, greet } = scene();
    greet();
    assert.throws(() => session.receive(message), broken);
    assert.throws(() => session.acceptBlock(block), broken);
  }
});

test('a greeting must be for the swarm that was dialled, and carry the peer id of the certificate', () => {
  const other = parseSwarmId('cd'.repeat(20));
  assert.throws(() => scene({ isDialer: true }).greet({ swarmId: other }), broken);
  assert.throws(() => scene().greet({ peerId: peerIdOf(nodeIdOf('bob')) }), broken);
  assert.deepEqual(scene().greet(), { swarmId, grant: 'a.b.c' });
});

test('where a registry token is demanded, no block is asked for or given before it is proven, and it is proven once', () => {
  const { session, open, claims } = scene({ demandsToken: true });
  open();
  session.receive({ type: 'have-none' });
  session.isChoking = false;
  assert.equal(session.mayReceive, false);
  assert.deepEqual(session.receive({ type: 'request', ...block }), { type: 'refuse', ...block });
  session.proveToken({ ...claims, repository: parseRepository('mallory/own') });
  assert.equal(session.mayReceive, false, 'proven for another repository');
  session.proveToken(claims);
  assert.deepEqual(session.receive({ type: 'request', ...block }), { type: 'request', ...block });
  session.renew({ ...claims, id: '2' });
  assert.equal(session.mayReceive, true);
  session.renew({ ...claims, repository: parseRepository('other/app') });
  assert.equal(session.mayReceive, false, 'a grant for another repository needs a token anew');
});

test('a token in the greeting is refused: the other side has shown nothing yet', () => {
  const { session } = scene();
  const handshake = { swarmId, peerId: peerIdOf(nodeIdOf('alice')), supportsExtended: true, supportsFast: true };
  const extended = { messages: OWN_EXTENSION_MESSAGES, grant: 'a.b.c', token: 'd.e.f' };
  assert.throws(() => session.greet(handshake, extended), broken);
});

test('a session cannot be greeted twice, nor opened before it is greeted', () => {
  const { session, greet, claims } = scene();
  assert.throws(() => session.open(claims, geometry), broken);
  greet();
  assert.throws(() => greet(), broken);
});

test('claims of another node, certificate or swarm, or that have ended, do not open a session', () => {
  const { clock } = scene();
  const changes: Partial<GrantClaims>[] = [
    { nodeId: nodeIdOf('bob') },
    { x5tS256: 'y'.repeat(43) },
    { swarmId: parseSwarmId('cd'.repeat(20)) },
    { expiresAt: clock.now() },
  ];
  for (const change of changes) assert.throws(() => scene().open(change), { code: 'GRANT_REJECTED' });
});

test('a session ends with the grant, and a newer grant prolongs it, though never beyond the certificate', () => {
  const { session, clock, claims, open } = scene();
  open();
  assert.equal(session.expiresAt, claims.expiresAt);
  session.renew({ ...claims, expiresAt: claims.expiresAt + 60_000 });
  clock.advance(60_000);
  session.receive({ type: 'keep-alive' });
  session.renew({ ...claims, expiresAt: clock.now() + 100 * 3_600_000 });
  assert.equal(session.expiresAt, session.remote.notAfter);
  clock.advance(3_600_000);
  assert.throws(() => session.receive({ type: 'keep-alive' }), broken);
});

test('requests of a choked peer are refused, those of an unchoked one are queued up to the bound', () => {
  const session = scene().open();
  session.receive({ type: 'have-none' });
  assert.deepEqual(session.receive({ type: 'request', ...block }), { type: 'refuse', ...block });
  session.isChoking = false;
  for (let count = 0; count < limits.maxQueuedRequests; count += 1) {
    assert.deepEqual(session.receive({ type: 'request', ...block }), { type: 'request', ...block });
  }
  assert.throws(() => session.receive({ type: 'request', ...block }), broken);
  session.answered(block);
  assert.deepEqual(session.receive({ type: 'request', ...block }), { type: 'request', ...block });
});

test('a request for a long block is served up to the length that we name, and fills the queue by its bytes', () => {
  const session = scene({ maxBlockLength: 4 * BLOCK_LENGTH }).open();
  session.receive({ type: 'have-none' });
  session.isChoking = false;
  const [long, short] = [{ ...block, length: 3 * BLOCK_LENGTH + 1 }, block];
  const request = (asked: typeof block) => session.receive({ type: 'request', ...asked });
  assert.deepEqual(request(long), { type: 'request', ...long });
  assert.throws(() => request(short), broken, 'it took all four places');
  session.answered(long);
  assert.equal(session.queuedCount, 0);
  for (let count = 0; count < 4; count += 1) request(short);
  const narrow = scene({ maxBlockLength: 2 * BLOCK_LENGTH }).open();
  narrow.receive({ type: 'have-none' });
  narrow.isChoking = false;
  assert.throws(() => narrow.receive({ type: 'request', ...long }), broken);
});

test('a peer is asked for 16 KiB at most unless it says more, and never for more than we would ask of anybody', () => {
  const limitOf = (blockLength?: number): number => {
    const { session, greet } = scene();
    greet(blockLength === undefined ? {} : { blockLength });
    return session.blockLimit;
  };
  assert.deepEqual(
    [limitOf(), limitOf(65_536), limitOf(4 * MAX_BLOCK_LENGTH)],
    [BLOCK_LENGTH, 65_536, MAX_BLOCK_LENGTH],
  );
});

test('a request must lie within its piece, the short last one included', () => {
  const session = scene().open();
  session.receive({ type: 'have-none' });
  session.isChoking = false;
  for (const range of [
    { index: 4, begin: 0, length: 1 },
    { index: 0, begin: 64 * 1024 - 1, length: 2 },
    { index: 3, begin: 0, length: 101 },
    { index: 0, begin: 0, length: BLOCK_LENGTH + 1 },
    { index: 0, begin: 0xffff_ffff, length: 1 },
  ]) {
    assert.throws(() => session.receive({ type: 'request', ...range }), broken);
  }
  assert.ok(session.receive({ type: 'request', index: 3, begin: 0, length: 100 }));
});

test('a peer with a grant to seed may not ask for anything', () => {
  const session = scene().open({ use: 'seed' });
  session.receive({ type: 'have-all' });
  assert.equal(session.mayReceive, false);
  assert.throws(() => session.receive({ type: 'request', ...block }), broken);
});

test('a block counts only if it was asked for', () => {
  const session = scene().open();
  assert.throws(() => session.acceptBlock(block), broken);
  session.outstanding.add(block, 0);
  assert.equal(session.acceptBlock(block), 'wanted');
  session.outstanding.giveUp(block);
  assert.equal(session.acceptBlock(block), 'late');
});

test('progress comes from anybody, for its signature is what counts', () => {
  const payload = Buffer.alloc(100, 0);
  for (const role of ['seeder', 'node'] as const) {
    const event = scene({ role }).open().receive({ type: 'extended', id: 2, payload });
    assert.deepEqual(event, { type: 'progress', payload });
  }
});

test('messages that change nothing are tolerated up to a bound per minute', () => {
  const { clock, open } = scene();
  const session = open();
  for (let minute = 0; minute < 3; minute += 1) {
    for (let count = 0; count < limits.maxUselessMessagesPerMinute; count += 1) session.receive({ type: 'choke' });
    clock.advance(60_000 / 2);
    if (minute < 2) clock.advance(60_000 / 2);
    if (minute === 0) session.renew({ ...scene().claims, expiresAt: clock.now() + 600_000 });
  }
  assert.throws(() => session.receive({ type: 'choke' }), broken);
});

test('a later extended handshake asks for its grant to be verified', () => {
  const payload = encodeExtendedHandshake({ messages: OWN_EXTENSION_MESSAGES, grant: 'd.e.f' });
  assert.deepEqual(scene().open().receive({ type: 'extended', id: 0, payload }), {
    ...{ type: 'grant', grant: 'd.e.f', token: undefined },
  });
});
