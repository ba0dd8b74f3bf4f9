import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { type AppError, type Clock, createLogger, type LogEvent, silentLogger, systemClock } from '@sealift/core';
import { createSigningRequest } from '@sealift/pki';
import { nodeIdOf } from '@sealift/testkit';
import { type EnrolAnswer, GrantVerifier } from '@sealift/tracker-api';
import { TestCluster } from './cluster.fixture.ts';
import { NodeIdentity, type NodeIdentityOptions, renewalDelay } from './node-identity.ts';
import { TrackerServer } from './tracker-server.fixture.ts';

const TOKEN = 'the join token';

async function scene(t: TestContext, change: Partial<NodeIdentityOptions> & { clock?: Clock } = {}) {
  const cluster = await TestCluster.create(t);
  const tracker = await TrackerServer.create(t, cluster);
  const events: { event: LogEvent; line: string }[] = [];
  const waiting = new Set<() => void>();
  const write = (line: string): void => {
    events.push({ event: JSON.parse(line).event, line });
    for (const wake of waiting) wake();
  };
  const identity = new NodeIdentity({
    origin: tracker.origin,
    trust: { fingerprint: cluster.ca.fingerprint },
    readEnrolmentToken: async () => ({ joinToken: TOKEN }),
    clock: systemClock,
    log: createLogger({ write, level: 'debug', clock: systemClock }),
    random: () => 0,
    ...change,
  });
  t.after(() => identity.stop());
  /** Resolves with the line of the `count`th event of that name. */
  const logged = async (event: LogEvent, count = 1): Promise<string> => {
    for (;;) {
      const found = events.filter((each) => each.event === event)[count - 1];
      if (found !== undefined) return found.line;
      await new Promise<void>((resolve) => waiting.add(resolve));
    }
  };
  return { cluster, tracker, identity, logged };
}

const broken = { status: 503, body: { code: 'REQUEST_FAILED', message: 'down' } };

test('a node finds its tracker by the fingerprint and enrols with the token', async (t) => {
  const { tracker, identity, logged } = await scene(t, { name: 'host-1' });
  let changes = 0;
  identity.onChange(() => {
    changes += 1;
  });
  assert.throws(() => identity.dispatcher(), { code: 'TRACKER_UNAVAILABLE' });
  assert.throws(() => identity.source.current(), { code: 'CERT_REQUIRED' });
  await Promise.all([identity.start(), identity.start()]);
  await logged('enrolled');
  const [call, ...more] = tracker.callsTo('enrol');
  assert.equal(more.length, 0);
  assert.deepEqual([call?.body['joinToken'], call?.body['name'], call?.nodeId], [TOKEN, 'host-1', undefined]);
  assert.equal(identity.credentials?.identity.id, 'node-1');
  assert.equal(identity.source.current(), identity.credentials);
  assert.equal(changes, 1);
});

test('a tracker with another CA gets not one byte', async (t) => {
  const { tracker, identity, logged } = await scene(t, { trust: { fingerprint: `sha256:${'0'.repeat(64)}` } });
  await identity.start();
  assert.match(await logged('enrolment_failed'), /TRUST_ANCHOR_MISMATCH/);
  assert.equal(tracker.calls.length, 0);
});

test('an enrolment that fails is tried again', async (t) => {
  const { tracker, identity, logged } = await scene(t);
  const answers = [broken, {}];
  tracker.on('enrol', async ({ body }) => answers.shift() ?? { body: await tracker.enrol(String(body['csr'])) });
  await identity.start();
  assert.doesNotMatch(await logged('enrolment_failed', 2), new RegExp(TOKEN));
  await logged('enrolled');
  assert.equal(tracker.callsTo('enrol').length, 3);
});

test('a certificate is renewed in time, for a fresh key, over a connection that shows the old one', async (t) => {
  const { tracker, identity, logged } = await scene(t);
  tracker.on('enrol', async ({ body }) => ({ body: await tracker.enrol(String(body['csr']), { ttlMs: 3_000 }) }));
  await identity.start();
  await logged('enrolled');
  const before = identity.credentials;
  await logged('certificate_renewed');
  const after = identity.credentials;
  assert.ok(before && after && Date.now() < before.identity.notAfter);
  assert.equal(after.identity.id, before.identity.id);
  assert.notEqual(after.tls.privateKeyPem, before.tls.privateKeyPem);
  assert.equal(tracker.callsTo('renew')[0]?.nodeId, before.identity.id);
  await identity.client.cluster({ signal: t.signal }).catch(() => {});
  assert.equal(tracker.callsTo('cluster')[0]?.nodeId, before.identity.id);
});

test('renewals come around two thirds of the life, spread by chance, and never in a rush', () => {
  const hour = 3_600_000;
  const [early, late] = [renewalDelay(hour, 0), renewalDelay(hour, 0.999)];
  assert.ok(early > 0.6 * hour && late < 0.75 * hour && late - early > 0.05 * hour);
  for (const lifeMs of [-hour, 0, 1]) assert.ok(renewalDelay(lifeMs, 0) >= 500);
});

test('a node that is denied at its renewal stays out, though it still has its token', async (t) => {
  const { tracker, identity, logged } = await scene(t);
  tracker.on('enrol', async ({ body }) => ({ body: await tracker.enrol(String(body['csr']), { ttlMs: 5_000 }) }));
  tracker.on('renew', () => ({ status: 403, body: { code: 'NODE_DENIED', message: 'out' } }));
  await identity.start();
  assert.match(await logged('certificate_renewal_failed'), /NODE_DENIED/);
  assert.equal(identity.credentials, undefined);
  assert.equal(identity.enrolsByRegistry, false);
  // An attempt would set its timer in the very turn that logged the failure.
  await new Promise((resolve) => setImmediate(resolve));
  await identity.start();
  await identity.stop();
  assert.deepEqual([tracker.callsTo('enrol').length, tracker.callsTo('renew').length], [1, 1]);
});

test('a node whose certificate ended before it was renewed enrols again, as a new node', async (t) => {
  const { tracker, identity, logged } = await scene(t);
  const lives = [2_000];
  tracker.on('enrol', async ({ body }) => ({
    body: await tracker.enrol(String(body['csr']), { ttlMs: lives.shift() ?? 3_600_000 }),
  }));
  tracker.on('renew', () => broken);
  await identity.start();
  await logged('enrolled', 2);
  assert.equal(identity.credentials?.identity.id, 'node-2');
});

test('a certificate that is not ours is not adopted', async (t) => {
  const { cluster, tracker, identity } = await scene(t);
  const other = await TestCluster.create(t);
  const { csrPem, privateKeyPem } = await createSigningRequest();
  const stranger = await createSigningRequest();
  const good = await tracker.enrol(csrPem, { id: nodeIdOf('me') });
  const refused: Record<string, [EnrolAnswer, string]> = {
    'another node': [{ ...good, nodeId: nodeIdOf('you') }, privateKeyPem],
    'another cluster': [{ ...good, cluster: { ...other.info, clusterId: 'other' } }, privateKeyPem],
    'another key': [good, stranger.privateKeyPem],
    'another role': [await tracker.enrol(csrPem, { id: nodeIdOf('me'), role: 'seeder' }), privateKeyPem],
  };
  for (const [what, [answer, key]] of Object.entries(refused)) {
    assert.throws(() => identity.adopt(answer, key), { code: 'CERTIFICATE_REJECTED' }, what);
    assert.equal(identity.credentials, undefined, what);
  }
  identity.adopt(good, privateKeyPem);
  const next = await tracker.enrol(csrPem, { id: nodeIdOf('you') });
  assert.throws(() => identity.adopt(next, privateKeyPem), { code: 'CERTIFICATE_REJECTED' });
  assert.equal(identity.credentials?.identity.id, nodeIdOf('me'));
  assert.equal(identity.credentials?.tls.trustAnchors, cluster.ca.certificatePem);
});

const FIVE_MINUTES_MS = 300_000;
for (const skewMs of [-FIVE_MINUTES_MS, FIVE_MINUTES_MS]) {
  const way = skewMs < 0 ? 'behind' : 'ahead';
  test(`a node whose clock is five minutes ${way} enrols, renews in time and judges by the cluster's time`, async (t) => {
    const clock = { now: () => Date.now() + skewMs };
    const { cluster, tracker, identity, logged } = await scene(t, { clock });
    // With a life below the skew, a node that is behind would renew after the end if it went by its own clock.
    const ttlMs = skewMs < 0 ? 3_000 : 3_600_000;
    tracker.on('enrol', async ({ body }) => ({ body: await tracker.enrol(String(body['csr']), { ttlMs }) }));
    await identity.start();
    assert.match(await logged('clock_skewed'), new RegExp(`"skewSeconds":${skewMs / 1000 < 0 ? '-(?:29|30)' : '30'}`));
    assert.ok(Math.abs(identity.clusterClock.now() - Date.now()) < 10_000);
    const credentials = identity.credentials;
    assert.ok(credentials);
    if (skewMs < 0) {
      await logged('certificate_renewed');
      assert.ok(Date.now() < credentials.identity.notAfter);
    }
    const blob = cluster.blob(1);
    const expected = { nodeId: credentials.identity.id, x5tS256: credentials.identity.x5tS256 };
    const verifierAt = (judge: Clock): GrantVerifier =>
      new GrantVerifier({ clusterId: cluster.clusterId, keys: cluster.info.grantKeys, clock: judge });
    const [running, over] = await Promise.all(
      [60_000, -60_000].map((ms) => cluster.mint(blob, credentials, { expiresAt: Date.now() + ms })),
    );
    await verifierAt(identity.clusterClock).verify(running ?? '', expected);
    await assert.rejects(verifierAt(identity.clusterClock).verify(over ?? '', expected), { code: 'GRANT_REJECTED' });
    // By its own clock it would be wrong about one of the two.
    const own = verifierAt(clock).verify((skewMs < 0 ? over : running) ?? '', expected);
    await (skewMs < 0 ? own : assert.rejects(own, { code: 'GRANT_REJECTED' }));
  });
}

test('a certificate that is not valid now is not adopted, and the error tells how far the clocks are apart', async (t) => {
  for (const [hours, skewSeconds] of [
    [2, 7_200],
    [-2, -7_200],
  ] as const) {
    const { tracker, identity } = await scene(t, { clock: { now: () => Date.now() + hours * 3_600_000 } });
    const { csrPem, privateKeyPem } = await createSigningRequest();
    const answer = await tracker.enrol(csrPem);
    assert.throws(
      () => identity.adopt(answer, privateKeyPem),
      (error: AppError) => {
        assert.equal(error.code, 'CERTIFICATE_REJECTED');
        assert.ok(Math.abs(Number(error.details['skewSeconds']) - skewSeconds) <= 10);
        assert.match(error.message, /Compare the clocks/);
        return true;
      },
    );
  }
});

test('a tracker whose certificate is not valid yet by the clock of this host is refused with an error that says so', async (t) => {
  // A tracker that is an hour ahead issues to itself what begins in most of an hour.
  const ahead = await TestCluster.create(t, { clock: { now: () => Date.now() + 3_600_000 } });
  const distant = await TrackerServer.create(t, ahead);
  const lost = new NodeIdentity({
    ...{ origin: distant.origin, trust: { trustAnchors: ahead.ca.certificatePem }, clock: systemClock },
    ...{ log: silentLogger, readEnrolmentToken: async () => ({ joinToken: TOKEN }) },
  });
  t.after(() => lost.stop());
  await assert.rejects(lost.client.cluster({ signal: t.signal }), (error: AppError) => {
    assert.equal(error.code, 'TRACKER_UNAVAILABLE');
    assert.match(error.message, /Compare the clocks/);
    return true;
  });
});

test('a node that the tracker no longer knows by its certificate enrols again', async (t) => {
  const { tracker, identity, logged } = await scene(t);
  const lives = [4_000];
  tracker.on('enrol', async ({ body }) => ({
    body: await tracker.enrol(String(body['csr']), { ttlMs: lives.shift() ?? 3_600_000 }),
  }));
  tracker.on('renew', () => ({ status: 401, body: { code: 'CERT_REQUIRED', message: 'its CA is retired' } }));
  await identity.start();
  await logged('enrolled', 2);
  assert.equal(tracker.callsTo('renew').length, 1);
});

test('a stopped identity keeps no connection and takes no certificate', async (t) => {
  const { tracker, identity, logged } = await scene(t);
  await identity.start();
  await logged('enrolled');
  await identity.client.renew({ csr: 'x' }, { signal: t.signal }).catch(() => {});
  const { csrPem, privateKeyPem } = await createSigningRequest();
  const answer = await tracker.enrol(csrPem, { id: nodeIdOf('node-1') });
  await identity.stop();
  await identity.stop();
  assert.throws(() => identity.dispatcher(), { code: 'TRACKER_UNAVAILABLE' });
  assert.throws(() => identity.adopt(answer, privateKeyPem), { code: 'TRACKER_UNAVAILABLE' });
  while (tracker.connectionCount > 0) await new Promise((resolve) => setImmediate(resolve));
});
