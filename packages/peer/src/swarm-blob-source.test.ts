import assert from 'node:assert/strict';
import { createHash, randomFillSync } from 'node:crypto';
import { type TestContext, test } from 'node:test';
import {
  createLogger,
  digestFromSha256,
  parseRegistryHost,
  parseRepository,
  swarmIdOf,
  systemClock,
} from '@sealift/core';
import { FakeClock } from '@sealift/testkit';
import { hashOf, pieceOf, type TestBlob, TestCluster, type TestPeer } from './cluster.fixture.ts';
import { GrantKeeper } from './grant-keeper.ts';
import { NodeIdentity } from './node-identity.ts';
import { SwarmBlobSource } from './swarm-blob-source.ts';
import { TrackerServer } from './tracker-server.fixture.ts';

const registry = parseRegistryHost('registry.example');
const repository = parseRepository('team/app');

/** A node's blob source over a real engine and store, and a tracker that answers what the test says. */
async function scene(t: TestContext, { isEnrolled = true } = {}) {
  const cluster = await TestCluster.create(t);
  const tracker = await TrackerServer.create(t, cluster);
  const peer = await cluster.peer('node');
  const clock = new FakeClock();
  const lines: string[] = [];
  const identity = new NodeIdentity({
    origin: tracker.origin,
    trust: { trustAnchors: cluster.ca.certificatePem },
    clock: systemClock,
    log: createLogger({ write: (line) => lines.push(line), level: 'debug', clock }),
  });
  const grants = new GrantKeeper({ clock: systemClock, refresh: async () => [] });
  t.after(() => identity.stop());
  if (isEnrolled) {
    const { tls } = peer.credentials;
    const enrolment = { nodeId: peer.nodeId, certificate: tls.certificatePem, notAfter: 0, cluster: cluster.info };
    identity.adopt(enrolment, tls.privateKeyPem);
  }
  const source = new SwarmBlobSource({
    identity,
    engine: async () => peer.engine,
    store: peer.store,
    grants,
    clock,
    log: createLogger({ write: (line) => lines.push(line), level: 'debug', clock }),
  });
  return { cluster, tracker, peer, clock, lines, identity, grants, source, blob: cluster.blob(4) };
}

type Scene = Awaited<ReturnType<typeof scene>>;

const none = { kind: 'none', reason: 'nobody reads it' };

function granted({ swarmId }: TestBlob, offer: object = none, change: object = {}) {
  const grantExpiresAt = Date.now() + 3_600_000;
  return { body: { verdict: 'granted', swarmId, grant: 'a.b.c', grantExpiresAt, offer, ...change } };
}

function swarmOffer({ cluster, blob }: Pick<Scene, 'cluster' | 'blob'>) {
  const { size, pieceLength } = blob.geometry;
  return { kind: 'swarm', size, pieceLength, batches: cluster.batches(blob).map((batch) => batch.toString('base64')) };
}

function open(
  { source, blob }: Pick<Scene, 'source' | 'blob'>,
  { authorization = 'Bearer alice', intent = 'pull' as 'pull' | 'check', signal = AbortSignal.timeout(20_000) } = {},
) {
  return source.open({ blob: { registry, repository, digest: blob.digest }, authorization, intent }, { signal });
}

async function collect(chunks: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const copies: Buffer[] = [];
  for await (const chunk of chunks) copies.push(Buffer.from(chunk));
  return Buffer.concat(copies);
}

/** Puts the whole blob into the node's store, as an earlier pull left it there. */
async function hold({ store }: TestPeer, cluster: TestCluster, blob: TestBlob): Promise<void> {
  const stored = await store.create(blob.request);
  for (let index = 0; index < blob.geometry.pieceCount; index += 1)
    await stored.writePiece(index, pieceOf(blob, index), hashOf(blob, index));
  for (const batch of cluster.batches(blob)) await stored.appendHashes(batch);
  await stored.markComplete();
}

test('a granted blob comes from the swarm, and the next time from the store', async (t) => {
  const subject = await scene(t);
  const { tracker, peer, cluster, blob } = subject;
  await cluster.seeder(blob);
  await peer.grant(blob);
  tracker.on('join', () => granted(blob, swarmOffer(subject)));
  for (const from of ['peers', 'cache'] as const) {
    const opened = await open(subject);
    assert.ok(opened);
    assert.deepEqual(await collect(opened.read({ start: 0, end: opened.size }, { signal: t.signal })), blob.bytes);
    assert.equal(opened.served[from], blob.bytes.length);
    opened.close();
    await peer.engine.swarm(blob.swarmId)?.waitForComplete({ signal: t.signal });
    // As the swarm does just now: on the disk it is held a moment later.
    await peer.store.get(blob.swarmId)?.markComplete();
  }
  assert.equal(subject.grants.grantFor(blob.swarmId), 'a.b.c');
  const intents = tracker.callsTo('join').map(({ body }) => body['intent']);
  assert.deepEqual(intents, ['pull', 'check'], 'what is held makes the seeder read nothing');
});

test('a seeder that the join names is dialled at once, and no announce is waited for', async (t) => {
  const subject = await scene(t);
  const { tracker, peer, cluster, blob } = subject;
  const seeder = await cluster.seeder(blob);
  await peer.grant(blob);
  cluster.tracker.isDown = true;
  const { nodeId, engine } = seeder;
  const offer = { ...swarmOffer(subject), seeder: { nodeId, host: '127.0.0.1', port: engine.port } };
  tracker.on('join', () => granted(blob, offer));
  const opened = await open(subject);
  assert.ok(opened);
  assert.deepEqual(await collect(opened.read({ start: 0, end: opened.size }, { signal: t.signal })), blob.bytes);
  opened.close();
});

for (const verdict of ['denied', 'unavailable'] as const) {
  test(`a verdict of ${verdict} opens nothing`, async (t) => {
    const subject = await scene(t);
    subject.tracker.on('join', () => ({ body: { verdict, reason: 'no' } }));
    assert.equal(await open(subject), undefined);
    assert.equal(subject.peer.engine.stats.swarms, 0);
  });
}

test('a reader of a blob that was withdrawn before anybody had it is told as soon as the tracker is asked again', async (t) => {
  const subject = await scene(t);
  const { tracker, peer, cluster, blob } = subject;
  await peer.grant(blob);
  tracker.on('join', () => granted(blob, tracker.callsTo('join').length === 1 ? swarmOffer(subject) : none));
  const opened = await open(subject);
  assert.ok(opened);
  cluster.tracker.isVisible = () => false;
  const reading = collect(opened.read({ start: 0, end: opened.size }, { signal: t.signal }));
  await assert.rejects(reading, { code: 'SWARM_STALLED', details: { reason: 'nobody is left who has it' } });
  const intents = tracker.callsTo('join').map(({ body }) => body['intent']);
  assert.deepEqual(intents, ['pull', 'pull']);
});

test('of two users of one cache, each sees only what the tracker grants to him at that moment', async (t) => {
  const subject = await scene(t);
  const { tracker, peer, cluster, blob } = subject;
  await hold(peer, cluster, blob);
  tracker.on('join', ({ body }) =>
    body['authorization'] === 'Bearer alice' ? granted(blob) : { body: { verdict: 'denied', reason: 'no' } },
  );
  const opened = await open(subject);
  assert.ok(opened);
  assert.deepEqual(await collect(opened.read({ start: 0, end: opened.size }, { signal: t.signal })), blob.bytes);
  for (const intent of ['pull', 'check'] as const) {
    assert.equal(await open(subject, { authorization: 'Bearer bob', intent }), undefined);
  }
  opened.close();
  assert.equal(tracker.callsTo('join').length, 3, 'nothing is answered from memory');
});

test('without a tracker nothing is opened, a blob in the store included, and nobody asks again for 5 s', async (t) => {
  const subject = await scene(t);
  const { tracker, peer, cluster, blob, clock } = subject;
  await hold(peer, cluster, blob);
  tracker.on('join', () => ({}));
  assert.equal(await open(subject), undefined);
  tracker.on('join', () => granted(blob));
  clock.advance(4_999);
  assert.equal(await open(subject), undefined);
  assert.equal(tracker.callsTo('join').length, 1);
  clock.advance(1);
  (await open(subject))?.close();
  assert.equal(tracker.callsTo('join').length, 2);
});

test('a tracker that hangs is left alone for longer than one that refuses', async (t) => {
  const subject = await scene(t);
  const { tracker, clock } = subject;
  tracker.on('join', () => {
    clock.advance(20_000);
    return {};
  });
  assert.equal(await open(subject), undefined);
  clock.advance(59_999);
  assert.equal(await open(subject), undefined);
  assert.equal(tracker.callsTo('join').length, 1);
  clock.advance(1);
  assert.equal(await open(subject), undefined);
  assert.equal(tracker.callsTo('join').length, 2);
});

test('a refusal of the tracker is about this request alone', async (t) => {
  const subject = await scene(t);
  subject.tracker.on('join', () => ({ status: 429, body: { code: 'TOO_MANY_REQUESTS', message: 'slow' } }));
  assert.equal(await open(subject), undefined);
  subject.tracker.on('join', () => granted(subject.blob, swarmOffer(subject)));
  const opened = await open(subject);
  assert.equal(opened?.size, subject.blob.bytes.length);
  opened?.close();
});

test('one pull enrols the node by its registry credentials, and the others wait for it', async (t) => {
  const subject = await scene(t, { isEnrolled: false });
  const { tracker, blob } = subject;
  assert.equal(
    await subject.source.open(
      { blob: { registry, repository, digest: blob.digest }, authorization: undefined, intent: 'pull' },
      { signal: t.signal },
    ),
    undefined,
  );
  assert.equal(tracker.calls.length, 0, 'who shows nothing proves nothing');
  tracker.on('join', async ({ body }) => {
    const { csr } = body;
    return granted(blob, swarmOffer(subject), csr === undefined ? {} : { enrolment: await tracker.enrol(String(csr)) });
  });
  const opened = await Promise.all(Array.from({ length: 8 }, () => open(subject)));
  for (const each of opened) {
    assert.equal(each?.size, blob.bytes.length);
    each?.close();
  }
  const joins = tracker.callsTo('join');
  assert.equal(joins.filter(({ body }) => body['csr'] !== undefined).length, 1);
  assert.deepEqual(
    joins.map(({ nodeId }) => nodeId),
    [undefined, ...Array.from({ length: 7 }, () => 'node-1')],
  );
});

test('who waits for the enrolment of another can go away, and a failed one is tried anew', async (t) => {
  const subject = await scene(t, { isEnrolled: false });
  const { tracker, blob } = subject;
  const asked = Promise.withResolvers<void>();
  const answer = Promise.withResolvers<object>();
  tracker.on('join', () => {
    asked.resolve();
    return answer.promise;
  });
  const first = open(subject);
  await asked.promise;
  const impatient = new AbortController();
  const second = open(subject, { signal: impatient.signal });
  const third = open(subject);
  impatient.abort();
  await assert.rejects(second, { name: 'AbortError' });
  answer.resolve({ body: { verdict: 'denied', reason: 'no' } });
  assert.deepEqual(await Promise.all([first, third]), [undefined, undefined]);
  tracker.on('join', async ({ body }) =>
    granted(blob, swarmOffer(subject), { enrolment: await tracker.enrol(String(body['csr'])) }),
  );
  const opened = await open(subject);
  assert.ok(opened);
  opened.close();
});

test('an enrolment with a certificate of another key opens nothing', async (t) => {
  const subject = await scene(t, { isEnrolled: false });
  const { tracker, peer, blob, cluster } = subject;
  const { certificatePem: certificate } = peer.credentials.tls;
  const enrolment = { nodeId: peer.nodeId, certificate, notAfter: 1, cluster: cluster.info };
  tracker.on('join', () => granted(blob, swarmOffer(subject), { enrolment }));
  assert.equal(await open(subject), undefined);
  assert.equal(subject.identity.credentials, undefined);
});

test('a small blob comes with the answer, and one with other bytes than its digest says is refused', async (t) => {
  const subject = await scene(t);
  const bytes = randomFillSync(Buffer.alloc(5_000));
  const blob = { ...subject.blob, bytes, digest: digestFromSha256(createHash('sha256').update(bytes).digest()) };
  const small = { ...blob, swarmId: swarmIdOf(subject.cluster.clusterId, registry, blob.digest) };
  subject.tracker.on('join', () => granted(small, { kind: 'inline', bytes: bytes.toString('base64') }));
  const opened = await open({ ...subject, blob: small });
  assert.ok(opened);
  assert.deepEqual(await collect(opened.read({ start: 10, end: 5_000 }, { signal: t.signal })), bytes.subarray(10));
  assert.deepEqual({ ...opened.served }, { peers: 4_990, cache: 0 });
  const other = Buffer.from(bytes);
  other[0] = (other[0] ?? 0) ^ 1;
  subject.tracker.on('join', () => granted(small, { kind: 'inline', bytes: other.toString('base64') }));
  assert.equal(await open({ ...subject, blob: small }), undefined);
  assert.match(subject.lines.at(-1) ?? '', /PIECE_REJECTED/);
});

test('an answer about another swarm opens nothing, and its grant is not kept', async (t) => {
  const subject = await scene(t);
  const { cluster, tracker, blob } = subject;
  const other = cluster.blob(2, { seed: 2 });
  tracker.on('join', () => granted(other, swarmOffer(subject)));
  assert.equal(await open(subject), undefined);
  for (const { swarmId } of [blob, other]) assert.equal(subject.grants.grantFor(swarmId), undefined);
});

test('an offer that is signed by nobody of the cluster opens nothing', async (t) => {
  const subject = await scene(t);
  const stranger = await TestCluster.create(t);
  subject.tracker.on('join', () => granted(subject.blob, swarmOffer({ ...subject, cluster: stranger })));
  assert.equal(await open(subject), undefined);
});

test('an offer of a size that cannot be opens nothing', async (t) => {
  const subject = await scene(t);
  for (const change of [{ size: 0 }, { pieceLength: 5 }, { size: 2 ** 52 }]) {
    subject.tracker.on('join', () => granted(subject.blob, { ...swarmOffer(subject), ...change }));
    assert.equal(await open(subject), undefined);
  }
});

test('a check tells the size, and starts nothing', async (t) => {
  const subject = await scene(t);
  const { tracker, peer, blob } = subject;
  tracker.on('join', () => granted(blob, { ...none, size: blob.bytes.length }));
  const opened = await open(subject, { intent: 'check' });
  assert.equal(opened?.size, blob.bytes.length);
  await assert.rejects(async () => collect(opened.read({ start: 0, end: 1 }, { signal: t.signal })), {
    code: 'PIECE_MISSING',
  });
  opened.close();
  tracker.on('join', () => granted(blob, swarmOffer(subject)));
  assert.equal((await open(subject, { intent: 'check' }))?.size, blob.bytes.length);
  tracker.on('join', () => granted(blob));
  assert.equal(await open(subject, { intent: 'check' }), undefined, 'a size that nobody knows');
  assert.ok(tracker.callsTo('join').every(({ body }) => body['intent'] === 'check'));
  assert.equal(peer.engine.stats.swarms, 0);
});

test('no line of the log holds a credential', async (t) => {
  const subject = await scene(t);
  subject.tracker.on('join', () => ({}));
  await open(subject, { authorization: 'Bearer do-not-tell' });
  assert.ok(subject.lines.length > 0);
  for (const line of subject.lines) assert.doesNotMatch(line, /do-not-tell/);
});
