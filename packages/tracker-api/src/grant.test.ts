import assert from 'node:assert/strict';
import { generateKeyPairSync, randomBytes, verify } from 'node:crypto';
import { test } from 'node:test';
import {
  type ClusterId,
  parseClusterId,
  parseDigest,
  parseNodeId,
  parseRegistryHost,
  parseRepository,
  type RegistryHost,
  swarmIdOf,
} from '@sealift/core';
import fc from 'fast-check';
import { exportJWK, SignJWT, UnsecuredJWT } from 'jose';
import { GRANT_AUDIENCE, GRANT_TYPE, type GrantClaims, mintGrant } from './grant.ts';
import { GrantVerifier } from './grant-verifier.ts';
import type { PublicJwk } from './messages.ts';

const clock = { now: () => 1_700_000_000_000 };
const clusterId = parseClusterId('test');
const registry = parseRegistryHost('registry.example:5000');
const digest = parseDigest(`sha256:${'a'.repeat(64)}`);
const nodeId = parseNodeId('node-1');
const x5tS256 = randomBytes(32).toString('base64url');
const keys = generateKeyPairSync('ec', { namedCurve: 'P-256' });
const jwk = { ...(await exportJWK(keys.publicKey)), kid: 'k1' } as PublicJwk;
const verifier = new GrantVerifier({ clusterId, keys: [jwk], clock });
const claims: GrantClaims = {
  clusterId,
  nodeId,
  swarmId: swarmIdOf(clusterId, registry, digest),
  registry,
  repository: parseRepository('team/app'),
  digest,
  use: 'trade',
  authTime: clock.now() - 5000,
  expiresAt: clock.now() + 900_000,
  x5tS256,
  id: 'grant-1',
};
const signer = { privateKey: keys.privateKey, kid: 'k1', clock };
const expected = { nodeId, x5tS256, swarmId: claims.swarmId };
const rejected = (reason: string) => ({ code: 'GRANT_REJECTED', details: { reason } });

test('a minted grant verifies to the claims it was minted from', async () => {
  assert.deepEqual(await verifier.verify(await mintGrant(claims, signer), expected), claims);
});

test('a signature verifies also where one of its numbers begins with a zero, as one in 128 does', async () => {
  const key = { key: keys.publicKey, dsaEncoding: 'ieee-p1363' } as const;
  for (let count = 0; count < 1_000; count += 1) {
    const [head, body, signature = ''] = (await mintGrant({ ...claims, id: `grant-${count}` }, signer)).split('.');
    assert.ok(verify('sha256', Buffer.from(`${head}.${body}`), key, Buffer.from(signature, 'base64url')));
  }
});

test('a minted grant is the token that jose would sign', async () => {
  const minted = await mintGrant(claims, signer);
  const signed = await new SignJWT({
    swarm: claims.swarmId,
    registry,
    repository: claims.repository,
    digest,
    use: 'trade',
    auth_time: Math.floor(claims.authTime / 1000),
    cnf: { 'x5t#S256': x5tS256 },
  })
    .setProtectedHeader({ alg: 'ES256', typ: GRANT_TYPE, kid: 'k1' })
    .setIssuer(clusterId)
    .setAudience(GRANT_AUDIENCE)
    .setSubject(nodeId)
    .setIssuedAt(Math.floor(clock.now() / 1000))
    .setExpirationTime(Math.floor(claims.expiresAt / 1000))
    .setJti(claims.id)
    .sign(keys.privateKey);
  assert.deepEqual(minted.split('.').slice(0, 2), signed.split('.').slice(0, 2));
  assert.equal(minted.length, signed.length);
});

test('a grant that was good before is held against holder, certificate, swarm and end again', async () => {
  const moving = { at: clock.now(), now: () => moving.at };
  const own = new GrantVerifier({ clusterId, keys: [jwk], clock: moving });
  const grant = await mintGrant(claims, signer);
  assert.deepEqual(await own.verify(grant, expected), claims);
  assert.deepEqual(await own.verify(grant, expected), claims);
  const other = 'A'.repeat(43);
  await assert.rejects(own.verify(grant, { ...expected, nodeId: parseNodeId('node-2') }), { code: 'GRANT_REJECTED' });
  await assert.rejects(own.verify(grant, { ...expected, x5tS256: other }), { code: 'GRANT_REJECTED' });
  const swarmId = swarmIdOf(clusterId, registry, parseDigest(`sha256:${'b'.repeat(64)}`));
  await assert.rejects(own.verify(grant, { ...expected, swarmId }), { code: 'GRANT_REJECTED' });
  const forged = `${grant.slice(0, -4)}${grant.endsWith('AAAA') ? 'BBBB' : 'AAAA'}`;
  await assert.rejects(own.verify(forged, expected), rejected('the signature does not verify'));
  moving.at = claims.expiresAt;
  await assert.rejects(own.verify(grant, expected), rejected('the grant has expired'));
});

// Each row is a valid grant but for one field, so it can fail for one reason only.
const wrongClaims: readonly { change: Partial<GrantClaims>; reason: string }[] = [
  { change: { expiresAt: clock.now() - 1000 }, reason: 'the grant has expired' },
  { change: { nodeId: parseNodeId('node-2') }, reason: 'the grant is for another node' },
  { change: { x5tS256: 'A'.repeat(43) }, reason: 'the grant is bound to another certificate' },
  { change: { digest: parseDigest(`sha256:${'b'.repeat(64)}`) }, reason: 'the grant is for another swarm' },
  { change: { clusterId: parseClusterId('other') }, reason: 'a claim is missing or malformed' },
  { change: { registry: 'REGISTRY.example' as RegistryHost }, reason: 'the registry is not in its normal form' },
  { change: { use: 'own' as 'seed' }, reason: 'a claim is missing or malformed' },
];
for (const { change, reason } of wrongClaims) {
  test(`a grant with another ${Object.keys(change)[0]} is refused`, async () => {
    const grant = await mintGrant({ ...claims, ...change }, signer);
    await assert.rejects(verifier.verify(grant, expected), rejected(reason));
  });
}

const payload = {
  swarm: claims.swarmId as string,
  registry,
  repository: claims.repository,
  digest,
  use: 'trade',
  auth_time: 1_699_999_000,
  cnf: { 'x5t#S256': x5tS256 } as object,
};
function sign(change: object = {}, header: object = {}, key: Parameters<SignJWT['sign']>[0] = keys.privateKey) {
  return new SignJWT({ ...payload, ...change })
    .setProtectedHeader({ alg: 'ES256', typ: 'sealift-grant+jwt', kid: 'k1', ...header })
    .setIssuer(clusterId)
    .setAudience('peers')
    .setSubject(nodeId)
    .setIssuedAt(1_699_999_000)
    .setExpirationTime(1_700_000_500)
    .setJti('j')
    .sign(key);
}

test('the hand-made grant that the forgeries below start from is good', async () => {
  await verifier.verify(await sign(), expected);
});

test('a grant whose swarm is not that of its blob is refused', async () => {
  const grant = await sign({ swarm: 'f'.repeat(40) });
  await assert.rejects(verifier.verify(grant, { nodeId, x5tS256 }), rejected('the swarm is not that of the blob'));
});

test('a grant of another type, or without one, is refused', async () => {
  await assert.rejects(verifier.verify(await sign({}, { typ: 'JWT' }), expected), { code: 'GRANT_REJECTED' });
  await assert.rejects(verifier.verify(await sign({}, { typ: undefined }), expected), { code: 'GRANT_REJECTED' });
});

test('a grant without cnf, or with a second binding, is refused', async () => {
  await assert.rejects(verifier.verify(await sign({ cnf: undefined }), expected), { code: 'GRANT_REJECTED' });
  await assert.rejects(verifier.verify(await sign({ cnf: {} }), expected), { code: 'GRANT_REJECTED' });
  const two = await sign({ cnf: { 'x5t#S256': x5tS256, jkt: 'x' } });
  await assert.rejects(verifier.verify(two, expected), { code: 'GRANT_REJECTED' });
});

test('a grant signed with a foreign key under our kid is refused', async () => {
  const foreign = generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey;
  const grant = await sign({}, {}, foreign);
  await assert.rejects(verifier.verify(grant, expected), rejected('the signature does not verify'));
});

test('a key inside the header of a grant is never used', async () => {
  const foreign = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const header = { kid: undefined, jwk: await exportJWK(foreign.publicKey) };
  await assert.rejects(
    verifier.verify(await sign({}, header, foreign.privateKey), expected),
    rejected('the grant is signed with an unknown key'),
  );
});

test('algorithm none and a MAC over the public key are refused', async () => {
  const none = new UnsecuredJWT(payload).setIssuer(clusterId).setAudience('peers').setExpirationTime('1h').encode();
  await assert.rejects(verifier.verify(none, expected), { code: 'GRANT_REJECTED' });
  const publicPem = keys.publicKey.export({ type: 'spki', format: 'pem' }) as string;
  const mac = await sign({}, { alg: 'HS256' }, Buffer.from(publicPem));
  await assert.rejects(verifier.verify(mac, expected), rejected('the algorithm is not ES256'));
});

test('for a refresh the certificate may be another and the end a little ago, the node may not', async () => {
  const refresh = { nodeId, expiredAtMostMs: 300_000 };
  const ended = await mintGrant({ ...claims, x5tS256: 'A'.repeat(43), expiresAt: clock.now() - 299_000 }, signer);
  assert.equal((await verifier.verifyForRefresh(ended, refresh)).id, claims.id);
  const longEnded = await mintGrant({ ...claims, expiresAt: clock.now() - 301_000 }, signer);
  await assert.rejects(verifier.verifyForRefresh(longEnded, refresh), rejected('the grant has expired'));
  const other = await mintGrant({ ...claims, nodeId: parseNodeId('node-2') }, signer);
  await assert.rejects(verifier.verifyForRefresh(other, refresh), rejected('the grant is for another node'));
});

test('any text is refused with our error and no other', async () => {
  const other: ClusterId = parseClusterId('other');
  assert.notEqual(swarmIdOf(other, registry, digest), claims.swarmId);
  const good = await mintGrant(claims, signer);
  const mutated = fc.tuple(fc.nat(good.length - 1), fc.string({ minLength: 1, maxLength: 3 })).map(([at, text]) => {
    const changed = good.slice(0, at) + text + good.slice(at + text.length);
    return changed === good ? '' : changed;
  });
  await fc.assert(
    fc.asyncProperty(fc.oneof(fc.string(), mutated), async (text) => {
      await assert.rejects(verifier.verify(text, { nodeId: parseNodeId('n'), x5tS256 }), { code: 'GRANT_REJECTED' });
    }),
    { seed: 1, numRuns: 200 },
  );
});
