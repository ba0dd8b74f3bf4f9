import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { connect } from 'node:tls';
import { AnnounceClient } from '@sealift/bittorrent';
import { type Digest, parseSwarmId } from '@sealift/core';
import { createSigningRequest } from '@sealift/pki';
import { buildCsr, HOSTILE_KINDS, HostileCertificates, nodeIdOf } from '@sealift/testkit';
import type { JoinRequest } from '@sealift/tracker-api';
import { request } from 'undici';
import { openTrackerState } from './state/tracker-state.ts';
import { TestTracker } from './tracker.fixture.ts';

const cluster = new TestTracker({
  registryToken: true,
  limits: { enrol: { burst: 1_000, perSecond: 0 }, join: { burst: 3, perSecond: 0 }, connectionsPerAddress: 60 },
});
const { registry } = cluster;
let digest: Digest;
let authorization: string;
const signal = (): AbortSignal => AbortSignal.timeout(10_000);

before(async () => {
  await cluster.start();
  digest = registry.addBlob('team/app', Buffer.from('a layer'));
  authorization = `Bearer ${await registry.tokens.issue({ repositories: ['team/app'] })}`;
});
after(() => cluster.stop());

function joinRequest(change: Partial<JoinRequest> = {}): JoinRequest {
  return { registry: registry.host, repository: 'team/app', digest, authorization, intent: 'pull', ...change };
}

const codeOf = (code: string) => (error: { code: string; details: { code?: string } }) => {
  assert.equal(error.code, 'TRACKER_REFUSED');
  assert.equal(error.details.code, code);
  return true;
};

test('registry credentials that were just accepted enrol a node, and its grant fits the new certificate', async () => {
  const { privateKeyPem, csrPem } = await createSigningRequest();
  const answer = await cluster.client(cluster.agent()).join(joinRequest({ csr: csrPem, name: 'rack-1' }), {
    signal: signal(),
  });
  assert.ok(answer.verdict === 'granted' && answer.enrolment !== undefined);
  const node = cluster.node(answer.enrolment, privateKeyPem);
  const announcer = new AnnounceClient({ origin: cluster.origin, dispatcher: () => node.agent });
  const announce = { swarmId: parseSwarmId(answer.swarmId), grant: answer.grant, left: 1, port: 1, denyVersion: 0 };
  await announcer.announce({ ...announce, uploaded: 0, downloaded: 0 }, { signal: signal() });
  assert.equal(cluster.state.nodes.get(node.nodeId)?.enrolledBy, 'registry-token');
});

test('registry credentials that are refused, absent or for another repository enrol nobody', async () => {
  const before = cluster.state.nodes.count();
  const client = cluster.client(cluster.agent());
  const csr = await buildCsr();
  const denied = await client.join(joinRequest({ csr, authorization: 'Bearer forged' }), { signal: signal() });
  assert.equal(denied.verdict, 'denied');
  const foreign = await client.join(joinRequest({ csr, repository: 'team/secret' }), { signal: signal() });
  assert.equal(foreign.verdict, 'denied');
  const { authorization: _, ...anonymous } = joinRequest({ csr });
  await assert.rejects(client.join(anonymous, { signal: signal() }), codeOf('ENROLMENT_REJECTED'));
  const bad = joinRequest({ csr: await buildCsr({ isCa: true }) });
  await assert.rejects(client.join(bad, { signal: signal() }), codeOf('CSR_REJECTED'));
  assert.equal(cluster.state.nodes.count(), before);
  assert.deepEqual(cluster.seeder.everAhead, [], 'for a stranger nothing is opened before the verdict');
});

test('a node with a certificate cannot enrol again by a join', async () => {
  const node = await cluster.enrol();
  await assert.rejects(
    node.client.join(joinRequest({ csr: await buildCsr() }), { signal: signal() }),
    codeOf('INVALID_REQUEST'),
  );
});

test('no certificate of the hostile cast counts as one', async () => {
  const cast = new HostileCertificates({ ca: cluster.state.ca });
  const valid = cluster.client(cluster.agent(await cast.material('valid')));
  assert.equal((await valid.join(joinRequest(), { signal: signal() })).verdict, 'granted');
  for (const kind of HOSTILE_KINDS) {
    const client = cluster.client(cluster.agent(await cast.material(kind)));
    await assert.rejects(client.join(joinRequest(), { signal: signal() }), codeOf('CERT_REQUIRED'), kind);
  }
  for (const role of ['seeder', 'tracker'] as const) {
    const client = cluster.client(cluster.agent(await cast.material('valid', { role })));
    await assert.rejects(client.renew({ csr: await buildCsr() }, { signal: signal() }), codeOf('CERT_REQUIRED'), role);
  }
});

test('a certificate that ends during a connection ends with it', async () => {
  const node = await cluster.enrol();
  await node.client.join(joinRequest(), { signal: signal() });
  cluster.clock.offsetMs = 3_600_001;
  try {
    await assert.rejects(node.client.join(joinRequest(), { signal: signal() }), codeOf('CERT_REQUIRED'));
  } finally {
    cluster.clock.offsetMs = 0;
  }
});

test('a node that joins too often is told to wait, and others are not', async () => {
  const [node, other] = [await cluster.enrol(), await cluster.enrol()];
  for (let count = 0; count < 3; count += 1) await node.client.join(joinRequest(), { signal: signal() });
  await assert.rejects(node.client.join(joinRequest(), { signal: signal() }), codeOf('TOO_MANY_REQUESTS'));
  assert.equal((await other.client.join(joinRequest(), { signal: signal() })).verdict, 'granted');
});

test('a header that claims another address is not believed', async () => {
  const [node, witness] = [await cluster.enrol(), await cluster.enrol()];
  const { grant, swarmId } = (await node.client.join(joinRequest(), { signal: signal() })) as Record<string, string>;
  const infoHash = String(swarmId).replaceAll(/../g, '%$&');
  const query = `info_hash=${infoHash}&peer_id=-XX0000-impostor-id-&port=7005&left=7`;
  const headers = {
    authorization: `Bearer ${grant}`,
    'x-forwarded-for': '198.51.100.9',
    forwarded: 'for=198.51.100.9',
  };
  const answer = await request(`${cluster.origin}/announce?${query}`, { dispatcher: node.agent, headers });
  await answer.body.dump();
  const joined = await witness.client.join(joinRequest(), { signal: signal() });
  assert.ok(joined.verdict === 'granted');
  const announcer = new AnnounceClient({ origin: cluster.origin, dispatcher: () => witness.agent });
  const { peers } = await announcer.announce(
    {
      swarmId: parseSwarmId(joined.swarmId),
      grant: joined.grant,
      left: 1,
      port: 1,
      denyVersion: 0,
      uploaded: 0,
      downloaded: 0,
    },
    { signal: signal() },
  );
  assert.deepEqual(
    peers.filter(({ port }) => port === 7005).map(({ host }) => host),
    ['127.0.0.1'],
  );
});

test('a denial by another process reaches the running tracker', async () => {
  const node = await cluster.enrol();
  await node.client.join(joinRequest(), { signal: signal() });
  const cli = await openTrackerState({ dataDirectory: cluster.directory, clock: cluster.clock });
  cli.denyList.deny(node.nodeId, { reason: 'lost laptop' });
  cli.close();
  await assert.rejects(node.client.join(joinRequest(), { signal: signal() }), codeOf('NODE_DENIED'));
  const lines = (await cluster.auditText()).trim().split('\n');
  const events = lines.map((line) => JSON.parse(line) as { event: string; nodeId?: string });
  assert.ok(cluster.logLines.some((line) => line.includes('"node_denied"') && line.includes(node.nodeId)));
  assert.ok(events.some(({ event, nodeId }) => event === 'denied_node_refused' && nodeId === node.nodeId));
});

test('an address with broken escapes and a HEAD of an announce are refused quietly', async () => {
  const get = async (path: string, method: 'GET' | 'HEAD' = 'GET') =>
    await request(`${cluster.origin}${path}`, { dispatcher: cluster.agent(), method });
  const broken = await get('/v1/%zz-marker');
  assert.equal(broken.statusCode, 400);
  assert.deepEqual(await broken.body.json(), {
    code: 'INVALID_REQUEST',
    message: 'the request does not fit its schema',
  });
  const head = await get('/announce', 'HEAD');
  await head.body.dump();
  assert.equal(head.statusCode, 404);
});

test('the seeder in the process gets a certificate of its own role, and grants that let it upload only', async () => {
  const { authority } = cluster;
  const { csrPem } = await createSigningRequest();
  const answer = await authority.issueSeederIdentity(csrPem);
  assert.equal(answer.nodeId, cluster.state.seederId);
  const blob = { registry: registry.host, repository: 'team/app' as never, digest };
  const holder = { id: nodeIdOf(answer.nodeId), x5tS256: 'A'.repeat(43), notAfter: answer.notAfter };
  const { claims } = await authority.mintSeederGrant(blob, holder);
  assert.equal(claims.use, 'seed');
  const swarmId = claims.swarmId;
  const announced = cluster.tracker.announceSeeder({ swarmId, denyVersion: -1 });
  assert.deepEqual(announced.peers, []);
  assert.ok(announced.deny !== undefined);
});

// Last, because it uses up the connections of the only address that the tests have.
test('connections above the bound of one address are cut before the handshake', async () => {
  const sockets = Array.from({ length: 80 }, () =>
    // Only whether the connection stands is asked here.
    connect({ host: '127.0.0.1', port: cluster.tracker.port, ca: cluster.state.clusterInfo.trustAnchors }),
  );
  const outcomes = await Promise.all(
    sockets.map(async (socket) => {
      socket.on('error', () => {});
      await Promise.race(['secureConnect', 'close'].map((event) => new Promise((done) => socket.once(event, done))));
      return socket.destroyed ? 'cut' : 'open';
    }),
  );
  for (const socket of sockets) socket.destroy();
  assert.ok(outcomes.filter((outcome) => outcome === 'cut').length >= 20);
});
