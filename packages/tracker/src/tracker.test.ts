import assert from 'node:assert/strict';
import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { AnnounceClient, type AnnounceRequest } from '@sealift/bittorrent';
import { type Digest, parseSwarmId, parseZone, type SwarmId, swarmIdOf } from '@sealift/core';
import { createSigningRequest } from '@sealift/pki';
import { buildCsr, FakeRegistry } from '@sealift/testkit';
import { GrantVerifier, type JoinAnswer, type JoinRequest } from '@sealift/tracker-api';
import { request } from 'undici';
import { type TestNode, TestTracker } from './tracker.fixture.ts';

const cluster = new TestTracker();
const { registry } = cluster;
let digest: Digest;
let authorization: string;

before(async () => {
  await cluster.start();
  digest = registry.addBlob('team/app', Buffer.from('a layer'));
  authorization = `Bearer ${await registry.tokens.issue({ repositories: ['team/app', 'team/other'] })}`;
});
after(() => cluster.stop());

const signal = (): AbortSignal => AbortSignal.timeout(10_000);

function joinRequest(change: Partial<JoinRequest> = {}): JoinRequest {
  return { registry: registry.host, repository: 'team/app', digest, authorization, intent: 'pull', ...change };
}

type Granted = Extract<JoinAnswer, { verdict: 'granted' }>;

async function joined(node: TestNode, change: Partial<JoinRequest> = {}): Promise<Granted> {
  const answer = await node.client.join(joinRequest(change), { signal: signal() });
  assert.equal(answer.verdict, 'granted');
  return answer as Granted;
}

function announce(node: TestNode, change: Partial<AnnounceRequest> & { grant: string }) {
  const client = new AnnounceClient({ origin: cluster.origin, dispatcher: () => node.agent });
  const swarmId = swarmIdOf(cluster.state.clusterId, registry.host, digest);
  return client.announce(
    { swarmId, left: 7, uploaded: 0, downloaded: 0, port: 6881, denyVersion: 0, ...change },
    { signal: signal() },
  );
}

const refused = (code: string) => ({ code: 'TRACKER_REFUSED', details: { code, status: statusOf[code] } });
const statusOf: Record<string, number> = {
  CERT_REQUIRED: 401,
  NODE_DENIED: 403,
  JOIN_TOKEN_REJECTED: 403,
  ENROLMENT_REJECTED: 403,
  REGISTRY_UNKNOWN: 403,
  INVALID_REQUEST: 400,
  CSR_REJECTED: 400,
  DIGEST_INVALID: 400,
};
const announceRefused = (code: string) => (error: Error & { code: string; details: { failure?: string } }) => {
  assert.equal(error.code, 'ANNOUNCE_FAILED');
  assert.match(String(error.details.failure), new RegExp(`^${code}:`));
  return true;
};

test('a node enrols, joins, and gets a grant that is good for its certificate and blob only', async () => {
  const node = await cluster.enrol('alice');
  cluster.seeder.next = async () => ({ kind: 'swarm', size: 7, pieceLength: 16_384, batches: [Buffer.from('b1')] });
  const answer = await joined(node);
  const { nodeId, endpoint } = cluster.seeder;
  const offer = { kind: 'swarm', size: 7, pieceLength: 16_384, batches: ['YjE='] };
  assert.deepEqual(answer.offer, { ...offer, seeder: { nodeId, ...endpoint } });
  const asked = cluster.seeder.asked.at(-1);
  assert.equal(asked?.authorization, authorization);
  assert.equal(asked?.size, 7);
  const { clusterId, clusterInfo } = cluster.state;
  assert.equal(answer.swarmId, swarmIdOf(clusterId, registry.host, digest));
  const verifier = new GrantVerifier({ clusterId, keys: clusterInfo.grantKeys, clock: cluster.clock });
  await assert.rejects(verifier.verify(answer.grant, { nodeId: node.nodeId, x5tS256: 'A'.repeat(43) }), {
    code: 'GRANT_REJECTED',
  });
});

test('a check asks for the right and never makes the seeder read', async () => {
  const node = await cluster.enrol();
  const before = cluster.seeder.asked.length;
  const answer = await joined(node, { intent: 'check' });
  assert.deepEqual(answer.offer, { kind: 'none', reason: 'only a check', size: 7 });
  assert.equal(cluster.seeder.asked.length, before);
});

test('the seeder opens a blob while the registry is asked for the right to it, and lets go where there is none', async () => {
  const node = await cluster.enrol();
  const { ahead, everAhead } = cluster.seeder;
  const fresh = registry.addBlob('team/app', Buffer.from('opened ahead'));
  let wasOpen = false;
  cluster.seeder.next = async ({ blob }) => {
    wasOpen = ahead.has(blob.digest);
    return { kind: 'none', reason: 'enough' };
  };
  await joined(node, { digest: fresh });
  assert.ok(wasOpen, 'still open when the seeder is asked');
  assert.equal(ahead.size, 0, 'let go of at the end');
  const opened = everAhead.length;
  await joined(node, { digest: fresh });
  assert.equal(everAhead.length, opened, 'a known verdict asks nobody');
  const foreign = registry.addBlob('private/app', Buffer.from('not for this token'));
  const answer = await node.client.join(joinRequest({ digest: foreign, repository: 'private/app' }), {
    signal: signal(),
  });
  assert.equal(answer.verdict, 'denied');
  assert.deepEqual([everAhead.at(-1), ahead.size], [foreign, 0]);
  const unread = registry.addBlob('team/app', Buffer.from('only checked'));
  await joined(node, { digest: unread, intent: 'check' });
  assert.ok(!everAhead.includes(unread), 'a check reads nothing');
});

test('a small blob comes inside the answer', async () => {
  cluster.seeder.next = async () => ({ kind: 'inline', bytes: Buffer.from('a layer') });
  const answer = await joined(await cluster.enrol());
  assert.deepEqual(answer.offer, { kind: 'inline', bytes: Buffer.from('a layer').toString('base64') });
});

test('a seeder that fails leaves the right standing', async () => {
  cluster.seeder.next = async () => {
    throw new Error('disk on fire');
  };
  const answer = await joined(await cluster.enrol());
  assert.deepEqual(answer.offer, { kind: 'none', reason: 'the seeder did not answer', size: 7 });
});

test('a digest of another repository is denied although the token is good', async () => {
  const foreign = registry.addBlob('team/secret', Buffer.from('another layer'));
  const node = await cluster.enrol();
  const answer = await node.client.join(joinRequest({ digest: foreign, repository: 'team/other' }), {
    signal: signal(),
  });
  assert.deepEqual(answer, { verdict: 'denied', reason: 'the registry answered 404' });
});

test('a yes for one credential or repository is no yes for another', async () => {
  const node = await cluster.enrol();
  await joined(node);
  const stranger = `Bearer ${await registry.tokens.issue({ repositories: ['team/other'], subject: 'mallory' })}`;
  for (const change of [{ authorization: stranger }, { authorization: undefined }, { repository: 'team/other' }]) {
    const { authorization: header, ...rest } = joinRequest(change as Partial<JoinRequest>);
    const body = header === undefined ? rest : { ...rest, authorization: header };
    assert.equal((await node.client.join(body, { signal: signal() })).verdict, 'denied');
  }
});

test('nodes with the same credential cost the registry one question', async () => {
  const blob = registry.addBlob('team/app', Buffer.from('asked for by many'));
  const nodes = await Promise.all(['a', 'b', 'c'].map((name) => cluster.enrol(name)));
  await Promise.all(nodes.map((node) => joined(node, { digest: blob })));
  assert.equal(registry.counts(blob).heads, 1);
});

test('a registry that is not configured is refused and never dialled', async () => {
  const victim = new FakeRegistry();
  await victim.start();
  try {
    const node = await cluster.enrol();
    for (const host of [victim.host, 'localhost:1', '169.254.169.254']) {
      await assert.rejects(
        node.client.join(joinRequest({ registry: host }), { signal: signal() }),
        refused('REGISTRY_UNKNOWN'),
      );
    }
    assert.equal(victim.requests.length, 0);
  } finally {
    await victim.stop();
  }
});

test('a join without a certificate is refused', async () => {
  const client = cluster.client(cluster.agent());
  await assert.rejects(client.join(joinRequest(), { signal: signal() }), refused('CERT_REQUIRED'));
});

test('registry credentials enrol nobody where that is not switched on', async () => {
  const { csrPem } = await createSigningRequest();
  const client = cluster.client(cluster.agent());
  await assert.rejects(client.join(joinRequest({ csr: csrPem }), { signal: signal() }), refused('ENROLMENT_REJECTED'));
});

test('a join token enrols once, however many try at the same moment', async () => {
  const { token } = cluster.state.joinTokens.create({ isReusable: false, ttlMs: 60_000 });
  const client = cluster.client(cluster.agent());
  const attempts = await Promise.allSettled(
    [1, 2, 3].map(async () => client.enrol({ csr: await buildCsr(), joinToken: token }, { signal: signal() })),
  );
  assert.equal(attempts.filter(({ status }) => status === 'fulfilled').length, 1);
  await assert.rejects(
    client.enrol({ csr: await buildCsr(), joinToken: token }, { signal: signal() }),
    refused('JOIN_TOKEN_REJECTED'),
  );
});

test('a token that is unknown or malformed enrols nobody', async () => {
  const client = cluster.client(cluster.agent());
  const { token } = cluster.state.joinTokens.create({ isReusable: true, ttlMs: 60_000 });
  const forged = `${token.slice(0, -43)}${'A'.repeat(43)}`;
  for (const joinToken of ['x', `slj_${'0'.repeat(16)}_${'A'.repeat(43)}`, forged, `${token}A`]) {
    await assert.rejects(
      client.enrol({ csr: await buildCsr(), joinToken }, { signal: signal() }),
      refused('JOIN_TOKEN_REJECTED'),
    );
  }
});

test('a bad signing request is refused and does not spend the token', async () => {
  const { token } = cluster.state.joinTokens.create({ isReusable: false, ttlMs: 60_000 });
  const client = cluster.client(cluster.agent());
  for (const change of [{ isJunk: true }, { isNotPem: true }, { signedByOtherKey: true }, { isCa: true }]) {
    await assert.rejects(
      client.enrol({ csr: await buildCsr(change), joinToken: token }, { signal: signal() }),
      refused('CSR_REJECTED'),
    );
  }
  await client.enrol({ csr: await buildCsr(), joinToken: token }, { signal: signal() });
});

test('a renewal keeps the node id and takes a new key', async () => {
  const node = await cluster.enrol();
  const { csrPem } = await createSigningRequest();
  const answer = await node.client.renew({ csr: csrPem }, { signal: signal() });
  assert.equal(answer.nodeId, node.nodeId);
  await assert.rejects(
    cluster.client(cluster.agent()).renew({ csr: csrPem }, { signal: signal() }),
    refused('CERT_REQUIRED'),
  );
});

test('grants move to a new certificate of the same node and to no other', async () => {
  const node = await cluster.enrol();
  const { grant, swarmId } = await joined(node);
  const { privateKeyPem, csrPem } = await createSigningRequest();
  const renewed = cluster.node(await node.client.renew({ csr: csrPem }, { signal: signal() }), privateKeyPem);
  await assert.rejects(announce(renewed, { grant }), announceRefused('GRANT_REJECTED'));
  const { grants } = await renewed.client.refresh({ grants: [grant, 'junk'] }, { signal: signal() });
  assert.equal(grants[0]?.swarmId, swarmId);
  assert.deepEqual(grants[1], {});
  await announce(renewed, { grant: grants[0]?.grant ?? '' });
  const thief = await cluster.enrol('thief');
  assert.deepEqual(await thief.client.refresh({ grants: [grant] }, { signal: signal() }), { grants: [{}] });
});

test('peers of a swarm learn of each other, with addresses and ids taken from their connections', async () => {
  const blob = registry.addBlob('team/app', Buffer.from('a swarm of two'));
  const swarmId = swarmIdOf(cluster.state.clusterId, registry.host, blob);
  const [alice, bob] = [await cluster.enrol('alice'), await cluster.enrol('bob')];
  const [aliceGrant, bobGrant] = [await joined(alice, { digest: blob }), await joined(bob, { digest: blob })];
  const first = await announce(alice, { swarmId, grant: aliceGrant.grant, event: 'started', port: 7001 });
  assert.deepEqual(first.peers, []);
  assert.ok(first.intervalMs >= 27_000 && first.intervalMs <= 33_000);
  const claimed = Buffer.from('-XX0000-impostor-id-');
  const second = await announce(bob, { swarmId, grant: bobGrant.grant, ip: '192.0.2.7', port: 7002, peerId: claimed });
  assert.deepEqual(second.peers, [{ peerId: alice.peerId, host: '127.0.0.1', port: 7001 }]);
  const third = await announce(alice, { swarmId, grant: aliceGrant.grant, port: 7001 });
  assert.deepEqual(third.peers, [{ peerId: bob.peerId, host: '192.0.2.7', port: 7002 }]);
  assert.equal(third.incomplete, 2);
  await announce(bob, { swarmId, grant: bobGrant.grant, event: 'stopped' });
  assert.deepEqual((await announce(alice, { swarmId, grant: aliceGrant.grant })).peers, []);
});

test('a join names the seeder while the swarm is new, and not where it would draw nodes of other zones', async () => {
  const blob = registry.addBlob('team/app', Buffer.from('named'));
  const nodes = await Promise.all(Array.from({ length: 9 }, (_, index) => cluster.enrol(`peer-${index}`)));
  cluster.seeder.next = async () => ({ kind: 'swarm', size: 7, pieceLength: 16_384, batches: [] });
  const isNamed: boolean[] = [];
  for (const node of nodes) {
    const { grant, swarmId, offer } = await joined(node, { digest: blob });
    isNamed.push(offer.kind === 'swarm' && offer.seeder !== undefined);
    await announce(node, { swarmId: parseSwarmId(swarmId), grant });
  }
  assert.deepEqual(isNamed, [...Array(8).fill(true), false]);
  const fresh = registry.addBlob('team/app', Buffer.from('of a zone'));
  cluster.seeder.zone = parseZone('east');
  const { offer } = await joined(nodes[0] as TestNode, { digest: fresh });
  cluster.seeder.zone = undefined;
  assert.equal(offer.kind === 'swarm' && offer.seeder, undefined);
});

test('the seeder comes first, but not for a node that has all', async () => {
  const blob = registry.addBlob('team/app', Buffer.from('seeded'));
  const node = await cluster.enrol();
  const { grant, swarmId: id } = await joined(node, { digest: blob });
  const swarmId = parseSwarmId(id);
  cluster.seeder.seeding.add(swarmId);
  const { peers } = await announce(node, { swarmId, grant });
  assert.deepEqual(
    peers.map(({ host, port }) => ({ host, port })),
    [{ host: '192.0.2.1', port: 7444 }],
  );
  assert.deepEqual((await announce(node, { swarmId, grant, left: 0, event: 'completed' })).peers, []);
});

test("another node's grant does not announce, nor does a grant for another swarm, or none", async () => {
  const [alice, mallory] = [await cluster.enrol('alice'), await cluster.enrol('mallory')];
  const { grant } = await joined(alice);
  await assert.rejects(announce(mallory, { grant }), announceRefused('GRANT_REJECTED'));
  const other = 'f'.repeat(40) as SwarmId;
  await assert.rejects(announce(alice, { grant, swarmId: other }), announceRefused('GRANT_REJECTED'));
  await assert.rejects(announce(alice, { grant: '' }), announceRefused('GRANT_REJECTED'));
  const stranger = { ...alice, agent: cluster.agent() };
  await assert.rejects(announce(stranger, { grant }), announceRefused('CERT_REQUIRED'));
});

test('an address that is not one host, or no address, is not announced', async () => {
  const node = await cluster.enrol();
  const { grant } = await joined(node);
  for (const ip of ['registry.example', '0.0.0.0', '239.1.1.1', 'fe80::1%eth0', '::']) {
    await assert.rejects(announce(node, { grant, ip }), announceRefused('INVALID_REQUEST'));
  }
  await assert.rejects(announce(node, { grant, port: 0 }), announceRefused('INVALID_REQUEST'));
  await assert.rejects(announce(node, { grant, port: 65_536 }), announceRefused('INVALID_REQUEST'));
});

test('a stock client that asks for compact peers gets them', async () => {
  const blob = registry.addBlob('team/app', Buffer.from('compact'));
  const [alice, bob] = [await cluster.enrol('alice'), await cluster.enrol('bob')];
  const aliceGrant = await joined(alice, { digest: blob });
  const swarmId = parseSwarmId(aliceGrant.swarmId);
  await announce(alice, { swarmId, grant: aliceGrant.grant, port: 7001 });
  const { grant } = await joined(bob, { digest: blob });
  const infoHash = swarmId.replaceAll(/../g, '%$&');
  const query = `info_hash=${infoHash}&peer_id=-XX0000-impostor-id-&port=7002&left=7&compact=1`;
  const answer = await request(`${cluster.origin}/announce?${query}`, {
    dispatcher: bob.agent,
    headers: { authorization: `Bearer ${grant}` },
  });
  const bytes = Buffer.from(await answer.body.arrayBuffer());
  assert.ok(bytes.includes(Buffer.from([127, 0, 0, 1, 7001 >> 8, 7001 & 255])), bytes.toString('latin1'));
});

test('a scrape shows the swarm of the grant, and nothing without info_hash', async () => {
  const node = await cluster.enrol();
  const { grant, swarmId } = await joined(node);
  const scrape = async (query: string): Promise<Buffer> => {
    const answer = await request(`${cluster.origin}/scrape${query}`, {
      dispatcher: node.agent,
      headers: { authorization: `Bearer ${grant}` },
    });
    return Buffer.from(await answer.body.arrayBuffer());
  };
  const infoHash = swarmId.replaceAll(/../g, '%$&');
  const own = await scrape(`?info_hash=${infoHash}`);
  assert.ok(own.includes(Buffer.from(swarmId, 'hex')), own.toString('latin1'));
  for (const query of ['', '?', `?info_hash=${infoHash}&info_hash=${infoHash}`]) {
    assert.match((await scrape(query)).toString(), /^d14:failure reason\d+:INVALID_REQUEST/);
  }
  assert.match((await scrape(`?info_hash=${'%ff'.repeat(20)}`)).toString(), /^d14:failure reason\d+:GRANT_REJECTED/);
});

test('a denied node is out everywhere, and the others hear of it', async () => {
  const [node, witness] = [await cluster.enrol('node'), await cluster.enrol('witness')];
  const { grant } = await joined(node);
  const witnessGrant = (await joined(witness)).grant;
  await announce(node, { grant });
  cluster.state.denyList.deny(node.nodeId, { reason: 'stolen' });
  const { csrPem } = await createSigningRequest();
  await assert.rejects(announce(node, { grant }), announceRefused('NODE_DENIED'));
  await assert.rejects(node.client.join(joinRequest(), { signal: signal() }), refused('NODE_DENIED'));
  await assert.rejects(node.client.renew({ csr: csrPem }, { signal: signal() }), refused('NODE_DENIED'));
  await assert.rejects(node.client.refresh({ grants: [grant] }, { signal: signal() }), refused('NODE_DENIED'));
  const answer = await announce(witness, { grant: witnessGrant });
  assert.ok(answer.deny?.nodeIds.includes(node.nodeId));
  assert.ok(answer.peers.every(({ peerId }) => !peerId.equals(node.peerId)));
  const again = await announce(witness, { grant: witnessGrant, denyVersion: answer.deny?.version ?? 0 });
  assert.equal(again.deny, undefined);
});

test('a report is taken from a node and changes nothing by itself', async () => {
  const [node, other] = [await cluster.enrol(), await cluster.enrol()];
  const { swarmId } = await joined(node);
  await node.client.report({ swarmId, nodeId: other.nodeId, kind: 'corrupt-piece' }, { signal: signal() });
  await joined(other);
  const stranger = cluster.client(cluster.agent());
  await assert.rejects(
    stranger.report({ swarmId, nodeId: other.nodeId, kind: 'corrupt-piece' }, { signal: signal() }),
    refused('CERT_REQUIRED'),
  );
});

async function post(path: string, body: string, node?: TestNode, type = 'application/json') {
  const answer = await request(`${cluster.origin}${path}`, {
    method: 'POST',
    body,
    headers: { 'content-type': type },
    dispatcher: node?.agent ?? cluster.agent(),
  });
  return { status: answer.statusCode, body: (await answer.body.json()) as { code: string; message: string } };
}

test('junk bodies are refused with a code and never with their content', async () => {
  const node = await cluster.enrol();
  const good = joinRequest();
  const bodies = [
    '',
    '{',
    'null',
    '[]',
    '{"__proto__":{"x":1}}',
    JSON.stringify({ ...good, admin: true }),
    JSON.stringify({ ...good, intent: 'steal' }),
    JSON.stringify({ ...good, digest: 1 }),
    JSON.stringify({ ...good, digest: 'sha256:marker' }),
    JSON.stringify({ ...good, registry: 'user:marker@host' }),
    JSON.stringify({ ...good, repository: '../marker' }),
    JSON.stringify({ ...good, authorization: 'Bearer x\r\nX-Marker: 1' }),
    JSON.stringify({ ...good, csr: 'marker' }),
  ];
  for (const body of bodies) {
    const answer = await post('/v1/join', body, node);
    assert.equal(answer.status, 400, body);
    assert.doesNotMatch(JSON.stringify(answer.body), /marker/i);
  }
  assert.equal((await post('/v1/join', 'x=1', node, 'application/x-www-form-urlencoded')).status, 415);
});

test('a body that is too long is refused', async () => {
  const answer = await post('/v1/enrol', JSON.stringify({ csr: 'x'.repeat(70_000), joinToken: 'x' }));
  assert.equal(answer.status, 413);
  assert.equal(answer.body.code, 'INVALID_REQUEST');
});

test('what is public is public, what is not there is not found, and each route is described', async () => {
  const get = async (path: string) => {
    const answer = await request(`${cluster.origin}${path}`, { dispatcher: cluster.agent() });
    return { status: answer.statusCode, body: (await answer.body.json()) as Record<string, unknown> };
  };
  assert.deepEqual(await get('/healthz'), { status: 200, body: { ok: true } });
  assert.deepEqual((await get('/v1/cluster')).body, cluster.state.clusterInfo);
  assert.deepEqual((await get('/nothing')).body['code'], 'NOT_FOUND');
  const document = (await get('/openapi.json')).body as { paths: Record<string, Record<string, { summary?: string }>> };
  const routes = ['/announce', '/scrape', '/v1/enrol', '/v1/grants', '/v1/join', '/v1/renew', '/v1/reports'];
  for (const route of [...routes, '/healthz', '/openapi.json', '/v1/cluster', '/v1/status']) {
    assert.ok(
      Object.values(document.paths[route] ?? {}).every(({ summary }) => summary !== undefined),
      route,
    );
    assert.ok(document.paths[route] !== undefined, route);
  }
});

test('the status needs the admin token, which a certificate is not', async () => {
  const node = await cluster.enrol();
  const get = async (headers: Record<string, string>) => {
    const answer = await request(`${cluster.origin}/v1/status`, { dispatcher: node.agent, headers });
    return { status: answer.statusCode, body: (await answer.body.json()) as Record<string, unknown> };
  };
  assert.equal((await get({})).body['code'], 'ADMIN_TOKEN_REQUIRED');
  assert.equal((await get({ authorization: 'Bearer x' })).status, 401);
  const { readSecretFile } = await import('@sealift/pki');
  const token = (await readSecretFile(join(cluster.directory, 'admin-token'))).trim();
  const answer = await get({ authorization: `Bearer ${token}` });
  assert.equal(answer.status, 200);
  assert.equal(answer.body['clusterId'], 'test');
});

test('neither log nor audit holds a secret, and the audit tells each decision', async () => {
  const node = await cluster.enrol();
  const { token } = cluster.state.joinTokens.create({ isReusable: true, ttlMs: 60_000 });
  const { grant } = await joined(node);
  await announce(node, { grant });
  await node.client.join(joinRequest({ repository: 'team/secret' }), { signal: signal() });
  await node.client.refresh({ grants: [grant] }, { signal: signal() });
  const text = await cluster.auditText();
  const all = text + cluster.logLines.join('');
  for (const secret of [authorization.slice(7), authorization.slice(-40), grant, grant.slice(-40), token.slice(-43)]) {
    assert.ok(!all.includes(secret));
  }
  assert.doesNotMatch(all, /PRIVATE KEY|slj_/);
  const events = new Set(
    text
      .trim()
      .split('\n')
      .map((line) => (JSON.parse(line) as { event: string }).event),
  );
  for (const event of ['certificate_issued', 'grant_issued', 'join_refused', 'grants_refreshed']) {
    assert.ok(events.has(event), event);
  }
  assert.equal((await stat(join(cluster.directory, 'audit.jsonl'))).mode & 0o777, 0o600);
});
