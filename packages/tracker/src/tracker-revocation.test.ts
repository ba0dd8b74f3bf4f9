import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { AnnounceClient } from '@sealift/bittorrent';
import { type Digest, parseRepository, parseSwarmId } from '@sealift/core';
import { openTrackerState } from './state/tracker-state.ts';
import { type TestNode, TestTracker } from './tracker.fixture.ts';

const cluster = new TestTracker();
const { registry } = cluster;
const app = parseRepository('team/app');
let digest: Digest;
const signal = (): AbortSignal => AbortSignal.timeout(10_000);

before(async () => {
  await cluster.start();
  digest = registry.addBlob('team/app', Buffer.from('a layer'));
  registry.addBlob('team/other', Buffer.from('a layer'));
});
after(() => cluster.stop());

async function join(node: TestNode, repository = 'team/app', authorization?: string) {
  const header = authorization ?? `Bearer ${await registry.tokens.issue({ repositories: [repository] })}`;
  const body = { registry: registry.host, repository, digest, authorization: header, intent: 'pull' } as const;
  return await node.client.join(body, { signal: signal() });
}

async function granted(node: TestNode, repository?: string) {
  const answer = await join(node, repository);
  assert.ok(answer.verdict === 'granted');
  return answer;
}

async function announce(node: TestNode, { swarmId, grant }: { swarmId: string; grant: string }, denyVersion = 0) {
  const client = new AnnounceClient({ origin: cluster.origin, dispatcher: () => node.agent });
  const counts = { left: 1, port: 1, uploaded: 0, downloaded: 0 };
  return await client.announce({ swarmId: parseSwarmId(swarmId), grant, denyVersion, ...counts }, { signal: signal() });
}

/** Revokes as the command does: in another process, whose state is its own. */
async function revoke(repository = app): Promise<void> {
  const cli = await openTrackerState({ dataDirectory: cluster.directory, clock: cluster.clock });
  cli.revocations.revoke({ registry: registry.host, repository });
  cli.close();
  // Within the second of a revocation nothing is proven anew.
  cluster.clock.offsetMs += 1_000;
}

test('a grant whose right was revoked by another process is neither refreshed nor announced with', async () => {
  const node = await cluster.enrol();
  const revoked = await granted(node);
  const other = await granted(node, 'team/other');
  assert.equal((await announce(node, revoked)).refusal, undefined);
  await revoke();
  const { grants } = await node.client.refresh({ grants: [revoked.grant, other.grant] }, { signal: signal() });
  assert.deepEqual(grants[0], {});
  assert.ok(grants[1]?.grant !== undefined);
  // The node may have no other swarm in which to hear of it.
  const refused = await announce(node, revoked);
  assert.match(refused.refusal?.message ?? '', /GRANT_REJECTED/);
  assert.deepEqual(refused.peers, []);
  assert.equal(refused.deny?.revocations.length, 1);
  const answer = await announce(node, other);
  assert.deepEqual(answer.deny, refused.deny);
  const { version } = answer.deny ?? { version: 0 };
  assert.equal((await announce(node, other, version)).deny, undefined);
  await assert.rejects(announce(node, revoked, version), { code: 'ANNOUNCE_FAILED' });
  assert.ok(cluster.logLines.some((line) => line.includes('"grants_revoked"') && line.includes('team/app')));
  const audit = await cluster.auditText();
  assert.match(audit, /"announce_refused".*the right was revoked/);
  assert.match(audit, /"grants_refreshed".*the right was revoked: 1/);
});

test('what the registry said before a revocation is forgotten, and it is asked anew for everybody', async () => {
  const node = await cluster.enrol();
  const header = `Bearer ${await registry.tokens.issue({ repositories: ['team/app'] })}`;
  const asked = (): number => registry.requests.filter(({ path }) => path.includes(digest)).length;
  assert.equal((await join(node, 'team/app', header)).verdict, 'granted');
  const before = asked();
  assert.equal((await join(node, 'team/app', header)).verdict, 'granted');
  assert.equal(asked(), before);
  await revoke();
  assert.equal((await join(node, 'team/app', header)).verdict, 'granted');
  assert.equal(asked(), before + 1);
});

test('a right that is proven after the revocation works, and one of the same second is proven by nobody', async () => {
  const node = await cluster.enrol();
  cluster.state.revocations.revoke({ registry: registry.host, repository: app });
  assert.equal((await join(node)).verdict, 'unavailable');
  cluster.clock.offsetMs += 1_000;
  const anew = await granted(node);
  assert.equal((await announce(node, anew)).refusal, undefined);
  assert.ok((await node.client.refresh({ grants: [anew.grant] }, { signal: signal() })).grants[0]?.grant !== undefined);
});

test('grants for uploading only are revoked as well', async () => {
  const { authority, clock, state } = cluster;
  const holder = { id: state.seederId, x5tS256: 'A'.repeat(43), notAfter: clock.now() + 3_600_000 };
  const { grant, claims } = await authority.mintSeederGrant(
    { registry: registry.host, repository: app, digest },
    holder,
  );
  assert.equal(claims.use, 'seed');
  clock.offsetMs += 1_000;
  assert.equal((await authority.refreshGrant(grant, holder)).claims.use, 'seed');
  await revoke();
  const isRevoked = { code: 'GRANT_REJECTED', details: { reason: 'the right was revoked' } };
  await assert.rejects(authority.refreshGrant(grant, holder), isRevoked);
  await assert.rejects(authority.verifyGrant(grant, { swarmId: claims.swarmId, holder }), isRevoked);
});

test('the seeder keeps its own word: a grant that it mints in the second of a revocation is not covered by it', async () => {
  const blob = { registry: registry.host, repository: app, digest };
  cluster.state.revocations.revoke(blob);
  const holder = { id: cluster.state.seederId, x5tS256: 'A'.repeat(43), notAfter: cluster.clock.now() + 60_000 };
  const { claims } = await cluster.authority.mintSeederGrant(blob, holder);
  assert.equal(cluster.state.revocations.covers(claims), false);
});

test('a node that is refused over and over cannot fill the audit log', async () => {
  const node = await cluster.enrol();
  const forged = { swarmId: 'a'.repeat(40), grant: 'a.b.c' };
  const { version } = cluster.state.pushed.current;
  for (let attempt = 0; attempt < 40; attempt += 1) {
    assert.equal((await join(node, 'team/app', `Bearer forged-${attempt}`)).verdict, 'denied');
    await assert.rejects(announce(node, forged, version), { code: 'ANNOUNCE_FAILED' });
  }
  const lines = (await cluster.auditText()).split('\n').filter((line) => line.includes(node.nodeId));
  const refusals = lines.filter((line) => /"(?:join|announce)_refused"/.test(line));
  assert.ok(refusals.length >= 20 && refusals.length < 60, `${refusals.length} of 80 refusals`);
});
