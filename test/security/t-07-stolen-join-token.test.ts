import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { readdir, readFile, stat } from 'node:fs/promises';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { identityOfCertificate } from '@sealift/pki';
import { buildCsr } from '@sealift/testkit';
import { TestTracker } from '../../packages/tracker/src/tracker.fixture.ts';

const cluster = new TestTracker();
before(() => cluster.start());
after(() => cluster.stop());

const signal = (): AbortSignal => AbortSignal.timeout(10_000);

test('T-07: who enrols with a stolen token is a node of no rights, however it asks to be more', async () => {
  const { token } = cluster.state.joinTokens.create({ isReusable: true, ttlMs: 60_000 });
  const digest = cluster.registry.addBlob('team/app', Buffer.from('a layer'));
  const client = cluster.client(cluster.agent());
  for (const change of [{ isCa: true }, { dnsNames: ['registry.example'] }]) {
    const csr = await buildCsr(change);
    await assert.rejects(client.enrol({ csr, joinToken: token }, { signal: signal() }), { code: 'TRACKER_REFUSED' });
  }
  const thief = await cluster.enrol('seeder-fake');
  const { certificate } = await client.enrol({ csr: await buildCsr(), joinToken: token }, { signal: signal() });
  const { role, id } = identityOfCertificate(new X509Certificate(certificate));
  assert.equal(role, 'node');
  assert.match(id, /^node-[0-9a-f]{16}$/, 'the tracker chooses the id');
  const blob = { registry: cluster.registry.host, repository: 'team/app', digest, intent: 'pull' } as const;
  for (const authorization of [
    undefined,
    `Bearer ${token}`,
    `Bearer ${await cluster.registry.tokens.issue({ repositories: [] })}`,
  ]) {
    const body = { ...blob, ...(authorization === undefined ? {} : { authorization }) };
    assert.equal((await thief.client.join(body, { signal: signal() })).verdict, 'denied');
  }
  assert.deepEqual(cluster.seeder.asked, []);
});

test('T-07: nothing that the tracker keeps is a token', async () => {
  const { token } = cluster.state.joinTokens.create({ isReusable: true, ttlMs: 60_000 });
  // After `slj_` and the id; it may hold underscores itself.
  const secret = token.split('_').slice(2).join('_');
  const names = await readdir(cluster.directory);
  for (const name of names) {
    const file = path.join(cluster.directory, name);
    const bytes = await readFile(file);
    for (const form of [secret, Buffer.from(secret, 'base64url'), Buffer.from(secret).toString('hex')])
      assert.equal(bytes.includes(form), false, name);
    assert.equal((await stat(file)).mode & 0o077, 0, name);
  }
  assert.ok(names.length > 0);
});
