import assert from 'node:assert/strict';
import { generateKeyPairSync, type KeyObject } from 'node:crypto';
import { test } from 'node:test';
import { type KeySet, parseKeySet } from '@sealift/registry';
import { FakeClock } from '@sealift/testkit';
import { SignJWT, UnsecuredJWT } from 'jose';
import { ServiceAccountTokens } from './service-account-tokens.ts';

const clock = new FakeClock();
const now = clock.now() / 1000;
const issuer = 'https://kubernetes.default.svc.cluster.local';
const subject = 'system:serviceaccount:sealift:node';
const rsa = generateKeyPairSync('rsa', { modulusLength: 2048 });
const ec = generateKeyPairSync('ec', { namedCurve: 'P-256' });
const stranger = generateKeyPairSync('rsa', { modulusLength: 2048 });
const jwk = (key: KeyObject, kid: string): object => ({ ...key.export({ format: 'jwk' }), kid, use: 'sig' });
const keySet: KeySet = parseKeySet(
  JSON.stringify({ keys: [jwk(rsa.publicKey, 'rsa-1'), { ...jwk(ec.publicKey, 'ec-1'), alg: 'ES256' }] }),
);
const verifier = new ServiceAccountTokens({
  config: { issuer, audience: 'sealift', subjects: [subject] },
  keys: { find: async (matches) => keySet.keys.filter(matches) },
  clock,
});

/** As the API server of 1.30 and later writes a projected token. */
const honest = {
  iss: issuer,
  aud: ['sealift'],
  sub: subject,
  iat: now - 60,
  nbf: now - 60,
  exp: now + 3_540,
  jti: 'f7f9d4e2-4b6f-4a0e-8d52-0d0e8b1d8a11',
  'kubernetes.io': {
    namespace: 'sealift',
    node: { name: 'worker-1', uid: '0a' },
    pod: { name: 'sealift-node-x7k2p', uid: '0b' },
    serviceaccount: { name: 'node', uid: '0c' },
  },
};

interface Shape {
  readonly claims?: Readonly<Record<string, unknown>>;
  readonly header?: Record<string, unknown>;
  readonly key?: Parameters<SignJWT['sign']>[0];
}

async function tokenOf({ claims = {}, header = {}, key = rsa.privateKey }: Shape): Promise<string> {
  return await new SignJWT({ ...honest, ...claims })
    .setProtectedHeader({ alg: 'RS256', kid: 'rsa-1', ...header } as { alg: string })
    .sign(key);
}

const accepted: Record<string, Shape & { readonly node?: string | undefined; readonly pod?: string | undefined }> = {
  'of a bound token of today': { node: 'worker-1', pod: 'sealift-node-x7k2p' },
  'without the claims of Kubernetes': { claims: { 'kubernetes.io': undefined } },
  'of a server that does not name the node': {
    claims: { 'kubernetes.io': { namespace: 'sealift', pod: { name: 'p' }, serviceaccount: { name: 'node' } } },
    pod: 'p',
  },
  'with several audiences, one of them ours': {
    claims: { aud: ['https://kubernetes', 'sealift'] },
    ...{ node: 'worker-1', pod: 'sealift-node-x7k2p' },
  },
  'signed with the ES256 key': {
    ...{ header: { alg: 'ES256', kid: 'ec-1' }, key: ec.privateKey },
    ...{ node: 'worker-1', pod: 'sealift-node-x7k2p' },
  },
  'signed with PS256': { header: { alg: 'PS256' }, node: 'worker-1', pod: 'sealift-node-x7k2p' },
  'without a key id': { header: { kid: undefined }, node: 'worker-1', pod: 'sealift-node-x7k2p' },
  'by a server whose clock is five minutes ahead': {
    claims: { iat: now + 299, nbf: now + 299, exp: now + 3_899 },
    ...{ node: 'worker-1', pod: 'sealift-node-x7k2p' },
  },
};

for (const [name, { node, pod, ...shape }] of Object.entries(accepted)) {
  test(`the token ${name} is accepted`, async () => {
    assert.deepEqual(await verifier.verify(await tokenOf(shape)), { subject, node, pod });
  });
}

// Each is the honest token but for one point.
const refused: Record<string, Shape & { readonly reason: string }> = {
  'of another service account': {
    claims: { sub: 'system:serviceaccount:default:default', 'kubernetes.io': undefined },
    reason: 'its service account is not one that enrols here',
  },
  'whose account only begins like ours': {
    claims: { sub: `${subject}-2`, 'kubernetes.io': undefined },
    reason: 'its service account is not one that enrols here',
  },
  'of another cluster': { claims: { iss: 'https://other' }, reason: 'its claim "iss" is missing or not as it must be' },
  'for the API server': {
    claims: { aud: ['https://kubernetes.default.svc'] },
    reason: 'its claim "aud" is missing or not as it must be',
  },
  'without an audience': { claims: { aud: undefined }, reason: 'its claim "aud" is missing or not as it must be' },
  'that has expired': { claims: { exp: now - 1 }, reason: 'it has expired' },
  'that never ends, as those in Secrets': {
    claims: { exp: undefined },
    reason: 'its claim "exp" is missing or not as it must be',
  },
  'that begins in six minutes': {
    claims: { nbf: now + 360 },
    reason: 'its claim "nbf" is missing or not as it must be',
  },
  'without a subject': { claims: { sub: undefined }, reason: 'its claim "sub" is missing or not as it must be' },
  'whose claims name another account than its subject': {
    claims: { 'kubernetes.io': { namespace: 'default', serviceaccount: { name: 'node' } } },
    reason: 'its claims contradict each other',
  },
  'whose claims are of another form': {
    claims: { 'kubernetes.io': { namespace: 'sealift', serviceaccount: 'node' } },
    reason: 'its claims about pod and node are malformed',
  },
  'signed with a foreign key under our key id': {
    key: stranger.privateKey,
    reason: 'its signature does not verify',
  },
  'of an unknown key': {
    ...{ header: { kid: 'rsa-2' }, key: stranger.privateKey },
    reason: 'no key of the Kubernetes cluster is known by its name',
  },
  'with a key of its own in the header': {
    ...{ header: { kid: undefined, jwk: stranger.publicKey.export({ format: 'jwk' }) }, key: stranger.privateKey },
    reason: 'its signature does not verify',
  },
  'that takes the RSA key for another algorithm': {
    ...{ header: { alg: 'ES256' }, key: ec.privateKey },
    reason: 'no key of the Kubernetes cluster is known by its name',
  },
  'with a MAC over the public key': {
    header: { alg: 'HS256' },
    key: Buffer.from(rsa.publicKey.export({ type: 'spki', format: 'pem' }) as string),
    reason: 'its algorithm is not allowed',
  },
};

for (const [name, { reason, ...shape }] of Object.entries(refused)) {
  test(`the token ${name} is refused`, async () => {
    const error = { code: 'SERVICE_ACCOUNT_REJECTED', details: { reason } };
    await assert.rejects(verifier.verify(await tokenOf(shape)), error);
  });
}

test('what is no signed token is refused', async () => {
  const unsigned = new UnsecuredJWT(honest).encode();
  for (const text of [unsigned, '', 'a', 'a.b.c', '..', (await tokenOf({})).slice(0, -400)]) {
    await assert.rejects(verifier.verify(text), { code: 'SERVICE_ACCOUNT_REJECTED' }, text);
  }
});
