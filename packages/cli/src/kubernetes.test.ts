import assert from 'node:assert/strict';
import { generateKeyPairSync, sign } from 'node:crypto';
import { once } from 'node:events';
import { writeFile } from 'node:fs/promises';
import { createServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import path from 'node:path';
import { test } from 'node:test';
import { silentLogger, systemClock } from '@sealift/core';
import { createLoopbackCertificate } from '@sealift/testkit';
import { CliProcess, inTemporaryDirectory } from './cli-process.fixture.ts';
import { enrolmentTokenOf } from './enrolment-token.ts';
import { loadServiceAccounts } from './kubernetes.ts';
import { ServiceStack } from './service-stack.ts';

const ISSUER = 'https://kubernetes.default.svc';
const keys = generateKeyPairSync('rsa', { modulusLength: 2048 });
const jwks = JSON.stringify({ keys: [{ ...keys.publicKey.export({ format: 'jwk' }), kid: 'k', use: 'sig' }] });

function projectedToken(): string {
  const now = Math.floor(Date.now() / 1000);
  const encode = (value: object): string => Buffer.from(JSON.stringify(value)).toString('base64url');
  const claims = { iss: ISSUER, aud: ['sealift'], sub: 'system:serviceaccount:sealift:node', iat: now, exp: now + 600 };
  const input = `${encode({ alg: 'RS256', kid: 'k' })}.${encode(claims)}`;
  return `${input}.${sign('sha256', Buffer.from(input), keys.privateKey).toString('base64url')}`;
}

test('a node enrols at the tracker with the token that its kubelet keeps fresh, and says it nowhere', () =>
  inTemporaryDirectory(async (directory) => {
    const at = (name: string): string => path.join(directory, name);
    const token = projectedToken();
    await writeFile(at('jwks.json'), jwks);
    // The mode is the kubelet's.
    await writeFile(at('token'), token, { mode: 0o644 });
    const tracker = new CliProcess([
      ...['tracker', '--data', at('tracker'), '--registry', 'registry.example', '--log-level', 'debug'],
      ...['--listen', '127.0.0.1:0', '--seeder-listen', '127.0.0.1:0', '--kubernetes-issuer', ISSUER],
      ...['--kubernetes-subject', 'sealift:node', '--kubernetes-jwks', at('jwks.json')],
    ]);
    const { address, fingerprint } = await tracker.logs('started');
    const node = new CliProcess([
      ...['node', '--data', at('node'), '--registry', 'registry.example', '--log-level', 'debug'],
      ...['--tracker', `https://${address}#${fingerprint}`, '--service-account-token-file', at('token')],
      ...['--listen', '127.0.0.1:0', '--peer-listen', '127.0.0.1:0'],
    ]);
    await node.logs('enrolled');
    assert.equal(await node.stop(), 0, node.said);
    assert.equal(await tracker.stop(), 0, tracker.said);
    assert.ok(!`${node.said}${tracker.said}`.includes(token.slice(-40)));
  }));

test('keys behind a URL are fetched with the CA and the token that are given, and kept', () =>
  inTemporaryDirectory(async (directory) => {
    const certificate = await createLoopbackCertificate();
    await writeFile(path.join(directory, 'ca.crt'), certificate.caPem);
    await writeFile(path.join(directory, 'own-token'), 'a.b.c\n');
    const seen: unknown[] = [];
    const server = createServer({ cert: certificate.certificatePem, key: certificate.privateKeyPem });
    server.on('request', (request, response) => {
      seen.push(request.headers.authorization);
      response.end(jwks);
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const services = new ServiceStack();
    try {
      const accounts = await loadServiceAccounts(
        {
          kubernetesIssuer: ISSUER,
          kubernetesAudience: 'sealift',
          kubernetesSubject: ['system:serviceaccount:sealift:node'],
          kubernetesJwks: `https://127.0.0.1:${(server.address() as AddressInfo).port}/openid/v1/jwks`,
          kubernetesCa: path.join(directory, 'ca.crt'),
          kubernetesTokenFile: path.join(directory, 'own-token'),
        },
        { clock: systemClock, log: silentLogger, services },
      );
      assert.ok(accounts);
      for (let count = 0; count < 3; count += 1) await accounts.verify(projectedToken());
      assert.deepEqual(seen, ['Bearer a.b.c']);
    } finally {
      await services.stop();
      server.close();
    }
  }));

test('settings for service accounts come together or not at all', async () => {
  const nothing = {
    kubernetesIssuer: undefined,
    kubernetesAudience: 'sealift',
    kubernetesSubject: [],
    kubernetesJwks: undefined,
    kubernetesCa: undefined,
    kubernetesTokenFile: undefined,
  };
  const parts = { clock: systemClock, log: silentLogger, services: new ServiceStack() };
  assert.equal(await loadServiceAccounts(nothing, parts), undefined);
  for (const some of [{ kubernetesIssuer: ISSUER }, { kubernetesSubject: ['a'] }, { kubernetesJwks: 'jwks.json' }]) {
    await assert.rejects(loadServiceAccounts({ ...nothing, ...some }, parts), { code: 'CONFIG_INVALID' });
  }
});

test('a node takes one token file, and one with a token in it', () =>
  inTemporaryDirectory(async (directory) => {
    const file = path.join(directory, 'token');
    assert.throws(() => enrolmentTokenOf({ joinTokenFile: file, serviceAccountTokenFile: file }), {
      code: 'CONFIG_INVALID',
    });
    const read = enrolmentTokenOf({ joinTokenFile: undefined, serviceAccountTokenFile: file });
    for (const text of ['', 'two words', 'x'.repeat(8193)]) {
      await writeFile(file, text);
      await assert.rejects(async () => await read?.(), { code: 'KEY_FILE_UNSAFE' });
    }
    await writeFile(file, 'a.b.c\n');
    assert.deepEqual(await read?.(), { serviceAccountToken: 'a.b.c' });
  }));
