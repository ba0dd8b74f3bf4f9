import assert from 'node:assert/strict';
import { generateKeyPairSync } from 'node:crypto';
import { after, before, test } from 'node:test';
import { parseNodeId } from '@sealift/core';
import { parseKeySet } from '@sealift/registry';
import { buildCsr } from '@sealift/testkit';
import type { EnrolAnswer } from '@sealift/tracker-api';
import { SignJWT } from 'jose';
import { ServiceAccountTokens } from './kubernetes/service-account-tokens.ts';
import { TestTracker } from './tracker.fixture.ts';

const cluster = new TestTracker();
const closed = new TestTracker();
const keys = generateKeyPairSync('ec', { namedCurve: 'P-256' });
const subject = 'system:serviceaccount:sealift:node';
const known = parseKeySet(keys.publicKey.export({ type: 'spki', format: 'pem' }) as string).keys;
const shown: string[] = [];

before(async () => {
  cluster.serviceAccounts = new ServiceAccountTokens({
    config: { issuer: 'https://kubernetes', audience: 'sealift', subjects: [subject] },
    keys: { find: async (matches) => known.filter(matches) },
    clock: cluster.clock,
  });
  await Promise.all([cluster.start(), closed.start()]);
});
after(() => Promise.all([cluster.stop(), closed.stop()]));

async function tokenFor(node: string | undefined, audience = 'sealift'): Promise<string> {
  const bound = { namespace: 'sealift', serviceaccount: { name: 'node' }, pod: { name: `pod-${node}` } };
  const claims = { 'kubernetes.io': node === undefined ? bound : { ...bound, node: { name: node } } };
  const token = await new SignJWT(claims)
    .setProtectedHeader({ alg: 'ES256' })
    .setIssuer('https://kubernetes')
    .setAudience([audience])
    .setSubject(subject)
    .setIssuedAt()
    .setExpirationTime('1h')
    .sign(keys.privateKey);
  shown.push(token);
  return token;
}

async function enrol(body: object, tracker = cluster): Promise<EnrolAnswer> {
  const request = { csr: await buildCsr(), ...body };
  return await tracker.client(tracker.agent()).enrol(request, { signal: AbortSignal.timeout(10_000) });
}

const refused = (code: string) => (error: { code: string; details: { code?: string } }) => {
  assert.deepEqual([error.code, error.details.code], ['TRACKER_REFUSED', code]);
  return true;
};

test('a pod enrols with its service account, again after a restart, and is called what its host is', async () => {
  const serviceAccountToken = await tokenFor('worker-1');
  const first = await enrol({ serviceAccountToken, name: 'self-styled' });
  const second = await enrol({ serviceAccountToken });
  assert.notEqual(first.nodeId, second.nodeId);
  const record = cluster.state.nodes.list({ limit: 10 }).find(({ id }) => id === first.nodeId);
  assert.deepEqual(
    [record?.enrolledBy, record?.name, record?.tokenId],
    ['service-account', 'worker-1', 'node worker-1'],
  );
  assert.match(await cluster.auditText(), new RegExp(`"subject":"${subject}","name":"worker-1"`));
});

test('a token that is refused enrols nobody, and no token is ever written down', async () => {
  const before = cluster.state.nodes.count();
  const foreign = await tokenFor('worker-1', 'https://kubernetes');
  await assert.rejects(enrol({ serviceAccountToken: foreign }), refused('SERVICE_ACCOUNT_REJECTED'));
  await assert.rejects(enrol({ serviceAccountToken: 'x.y.z' }), refused('SERVICE_ACCOUNT_REJECTED'));
  const good = await tokenFor('worker-1');
  await assert.rejects(enrol({ serviceAccountToken: good, joinToken: 'slj_' }), refused('INVALID_REQUEST'));
  await assert.rejects(enrol({}), refused('INVALID_REQUEST'));
  const bad = { serviceAccountToken: good, csr: await buildCsr({ isCa: true }) };
  await assert.rejects(enrol(bad), refused('CSR_REJECTED'));
  assert.equal(cluster.state.nodes.count(), before);
  const written = `${await cluster.auditText()}${cluster.logLines.join('')}`;
  for (const token of shown) for (const part of token.split('.')) assert.ok(!written.includes(part));
});

test('a host whose node was denied does not come back by its next token, and others of the account go on', async () => {
  const node = await enrol({ serviceAccountToken: await tokenFor('worker-2') });
  cluster.state.denyList.deny(parseNodeId(node.nodeId));
  await assert.rejects(enrol({ serviceAccountToken: await tokenFor('worker-2') }), refused('NODE_DENIED'));
  await enrol({ serviceAccountToken: await tokenFor('worker-3') });
});

test('where it is not switched on, a service account enrols nobody', async () => {
  await assert.rejects(enrol({ serviceAccountToken: await tokenFor('w') }, closed), refused('ENROLMENT_REJECTED'));
});
