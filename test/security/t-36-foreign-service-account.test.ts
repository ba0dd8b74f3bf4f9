import assert from 'node:assert/strict';
import { generateKeyPairSync } from 'node:crypto';
import { after, before, test } from 'node:test';
import { parseKeySet } from '@sealift/registry';
import { buildCsr } from '@sealift/testkit';
import { SignJWT } from 'jose';
import { ServiceAccountTokens } from '../../packages/tracker/src/kubernetes/service-account-tokens.ts';
import { TestTracker } from '../../packages/tracker/src/tracker.fixture.ts';

const cluster = new TestTracker();
const keys = generateKeyPairSync('ec', { namedCurve: 'P-256' });
const stranger = generateKeyPairSync('ec', { namedCurve: 'P-256' });
const subject = 'system:serviceaccount:sealift:node';

before(async () => {
  const known = parseKeySet(keys.publicKey.export({ type: 'spki', format: 'pem' }) as string).keys;
  cluster.serviceAccounts = new ServiceAccountTokens({
    config: { issuer: 'https://kubernetes', audience: 'sealift', subjects: [subject] },
    keys: { find: async (matches) => known.filter(matches) },
    clock: cluster.clock,
  });
  await cluster.start();
});
after(() => cluster.stop());

interface Change {
  readonly issuer?: string;
  readonly audience?: string;
  readonly subject?: string;
  readonly ends?: string;
  readonly key?: typeof keys.privateKey;
}

async function token(change: Change = {}): Promise<string> {
  const bound = {
    namespace: 'sealift',
    serviceaccount: { name: 'node' },
    pod: { name: 'p' },
    node: { name: 'worker-1' },
  };
  return await new SignJWT({ 'kubernetes.io': bound })
    .setProtectedHeader({ alg: 'ES256' })
    .setIssuer(change.issuer ?? 'https://kubernetes')
    .setAudience([change.audience ?? 'sealift'])
    .setSubject(change.subject ?? subject)
    .setIssuedAt()
    .setExpirationTime(change.ends ?? '1h')
    .sign(change.key ?? keys.privateKey);
}

async function enrol(serviceAccountToken: string): Promise<unknown> {
  const body = { csr: await buildCsr(), serviceAccountToken };
  return await cluster.client(cluster.agent()).enrol(body, { signal: AbortSignal.timeout(10_000) });
}

const changes: Record<string, Change> = {
  'another issuer': { issuer: 'https://other' },
  'the audience of the API server': { audience: 'https://kubernetes' },
  'another service account': { subject: 'system:serviceaccount:default:default' },
  'an end that is past': { ends: '-10m' },
  'another key': { key: stranger.privateKey },
};

test('T-36: a service account token that is wrong in one point enrols nobody', async (t) => {
  await enrol(await token());
  const before = cluster.state.nodes.count();
  for (const [name, change] of Object.entries(changes)) {
    await t.test(`one with ${name} is refused`, async () => {
      const forged = await token(change);
      await assert.rejects(enrol(forged), (error: { details: { code?: string } }) => {
        assert.equal(error.details.code, 'SERVICE_ACCOUNT_REJECTED');
        return true;
      });
    });
  }
  const [, claims = ''] = (await token()).split('.');
  const none = `${Buffer.from('{"alg":"none"}').toString('base64url')}.${claims}.`;
  await assert.rejects(enrol(none), { code: 'TRACKER_REFUSED' });
  assert.equal(cluster.state.nodes.count(), before);
});
