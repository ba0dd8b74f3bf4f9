import assert from 'node:assert/strict';
import { mkdir, writeFile } from 'node:fs/promises';
import http from 'node:http';
import https from 'node:https';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { createLoopbackCertificate, FakeRegistry, type FakeRegistryOptions } from '@sealift/testkit';
import { readLogin } from './auth-file.ts';
import { credentialCheck } from './credential-check.ts';
import { credentialKindOf } from './credential-kind.ts';
import { directoryFor, examine, serve, subjectOf } from './doctor.fixture.ts';
import type { CheckResult } from './examination.ts';
import { registryCheck } from './registry-check.ts';
import type { Subject } from './subject.ts';

/** A node that has this CA beside the system's for the registry, in the runtime's trust directory. */
async function subjectWith(t: TestContext, { host, caPem }: { host: string; caPem?: string }): Promise<Subject> {
  const directory = await directoryFor(t);
  const certsDirectory = join(directory, 'certs.d');
  await mkdir(join(certsDirectory, host), { recursive: true });
  if (caPem !== undefined) await writeFile(join(certsDirectory, host, 'ca.crt'), caPem);
  return subjectOf(directory, { image: `${host}/team/app:1`, settings: { certsDirectory } });
}

async function registryOn(t: TestContext, options: FakeRegistryOptions = {}): Promise<FakeRegistry> {
  const registry = new FakeRegistry(options);
  await registry.start();
  t.after(() => registry.stop());
  return registry;
}

async function examineRegistry(t: TestContext, host: string, caPem?: string): Promise<CheckResult> {
  return await examine(registryCheck(await subjectWith(t, { host, ...(caPem === undefined ? {} : { caPem }) })));
}

test('a registry in order says what it asks for', async (t) => {
  for (const [auth, says] of [
    ['anonymous', /asks for no credentials/],
    ['basic', /asks for user and password/],
    ['bearer', /sends clients to https:\/\/127\.0\.0\.1:\d+\S* for a token/],
  ] as const) {
    const { host, caPem } = await registryOn(t, { auth });
    const result = await examineRegistry(t, host, caPem);
    assert.equal(result.status, 'ok', result.finding);
    assert.match(result.finding, says);
  }
});

test('a registry whose certificate has expired, or is not valid yet', async (t) => {
  for (const [hours, says] of [
    [-2, /^The certificate of 127\.0\.0\.1:\d+ has expired\./],
    [2, /^The certificate of 127\.0\.0\.1:\d+ is not valid yet\./],
  ] as const) {
    const { host, caPem } = await registryOn(t, { certifiedAt: Date.now() + hours * 3_600_000 });
    const result = await examineRegistry(t, host, caPem);
    assert.equal(result.status, 'fail');
    assert.match(result.finding, says);
    assert.match(result.advice ?? '', /clock of this host/);
  }
});

test('a registry that is not trusted, misnamed, without TLS, away, or wants a client certificate', async (t) => {
  const sound = await registryOn(t);
  const untrusted = await examineRegistry(t, sound.host);
  assert.match(untrusted.finding, /^The node does not trust the certificate of 127\.0\.0\.1:/);
  assert.match(untrusted.advice ?? '', /ca\.crt and start the node again; start the tracker with --registry-ca/);

  const misnamed = await registryOn(t, { certifiedFor: { dnsNames: ['other.example'], ipAddresses: [] } });
  assert.match((await examineRegistry(t, misnamed.host, misnamed.caPem)).finding, /is for another name/);

  const plain = await serve(
    t,
    http.createServer((_, response) => response.end()),
  );
  assert.match((await examineRegistry(t, `127.0.0.1:${plain}`)).finding, /speaks plain HTTP/);

  const closed = http.createServer();
  const port = await serve(t, closed);
  closed.close();
  assert.match((await examineRegistry(t, `127.0.0.1:${port}`)).finding, /does not answer at .*: nothing listens there/);

  const { caPem: clientCaPem } = await createLoopbackCertificate();
  const closedClub = await registryOn(t, { clientCaPem });
  const result = await examineRegistry(t, closedClub.host, closedClub.caPem);
  assert.match(result.finding, /wants a client certificate|cuts the connection/);
  assert.match(result.advice ?? '', /client\.cert with its key client\.key/);
});

test('what answers out of order is told apart', async (t) => {
  const { caPem, certificatePem: cert, privateKeyPem: key } = await createLoopbackCertificate();
  let [status, challenge] = [200, ''];
  const server = https.createServer({ cert, key }, (_, response) => {
    response.writeHead(status, challenge === '' ? {} : { 'www-authenticate': challenge }).end();
  });
  const host = `127.0.0.1:${await serve(t, server)}`;
  for (const [answer, header, says] of [
    [401, 'Digest realm="x"', /does not say of which kind/],
    [404, '', /is no registry \(404 to GET \/v2\/\)/],
    [429, '', /asked too often/],
    [503, '', /out of order \(503\)/],
  ] as const) {
    [status, challenge] = [answer, header];
    const result = await examineRegistry(t, host, caPem);
    assert.equal(result.status, 'fail');
    assert.match(result.finding, says);
  }
});

test('a CA file of the node that is gone is named', async (t) => {
  const { host } = await registryOn(t);
  const subject = await subjectWith(t, { host });
  const { registry } = subject.image;
  const settings = { ...subject.learned.settings, registryCa: [{ registry, path: '/nowhere/ca.crt' }] };
  Object.assign(subject.learned, { settings });
  assert.match((await examine(registryCheck(subject))).finding, /is not in order: .*\/nowhere\/ca\.crt/);
});

/** A registry with an image that alice may pull, and a subject that has found its challenge. */
async function withImage(t: TestContext, auth: 'basic' | 'bearer'): Promise<Subject> {
  const registry = await registryOn(t, { auth });
  registry.tokens.addUser('alice', 'wonder', ['team/app']);
  registry.tokens.addUser('bob', 'builder', ['team/other']);
  const config = registry.addBlob('team/app', Buffer.from('{}'));
  const manifest = { schemaVersion: 2, config: { digest: config, size: 2 }, layers: [] };
  registry.addManifest('team/app', '1', Buffer.from(JSON.stringify(manifest)));
  const subject = await subjectWith(t, registry);
  assert.equal((await examine(registryCheck(subject))).status, 'ok');
  return subject;
}

async function logIn(subject: Subject, login: object): Promise<CheckResult> {
  await writeFile(subject.authFile, JSON.stringify(login));
  return await examine(credentialCheck(subject));
}

const basicOf = (login: string): string => Buffer.from(login).toString('base64');

for (const auth of ['basic', 'bearer'] as const) {
  test(`a user of a registry with ${auth} may pull, may not, has a wrong password, or is not logged in`, async (t) => {
    const subject = await withImage(t, auth);
    const { registry } = subject.image;
    const as = (login: string) => logIn(subject, { auths: { [registry]: { auth: basicOf(login) } } });
    const good = await as('alice:wonder');
    assert.equal(good.status, 'ok', good.finding);
    assert.match(good.finding, /^User alice may pull /);
    assert.equal(credentialKindOf(subject.learned.authorization).kind, auth === 'basic' ? 'basic' : 'jwt');
    assert.ok(subject.learned.blob?.startsWith('sha256:'));
    assert.match((await as('bob:builder')).finding, /^User bob may not pull /);
    const wrong = await as('alice:wrong');
    assert.equal(wrong.status, 'fail');
    assert.doesNotMatch(JSON.stringify(wrong), /wrong/);
    const nobody = await logIn(subject, {});
    assert.match(nobody.finding, /^Without a login .* does not give .* away/);
    assert.match(nobody.advice ?? '', /^Log in: docker login 127\.0\.0\.1:/);
    const helper = await logIn(subject, { credsStore: 'pass' });
    assert.equal(helper.status, 'warn');
    assert.match(helper.finding, /kept by docker-credential-pass, which is not asked/);
  });
}

test('an image that is not there, and a login file that is none', async (t) => {
  const subject = await withImage(t, 'basic');
  const { registry } = subject.image;
  const missing = { ...subject, image: { ...subject.image, tag: '2' } };
  const login = { auths: { [registry]: { auth: basicOf('alice:wonder') } } };
  assert.match((await logIn(missing, login)).finding, /^There is no 127\.0\.0\.1:\d+\/team\/app:2/);
  await writeFile(subject.authFile, 'password = "hunter2"');
  const result = await examine(credentialCheck(subject));
  assert.match(result.finding, /cannot be read: it is no JSON/);
  assert.doesNotMatch(JSON.stringify(result), /hunter2/);
});

test('an image without a config, or an index without images, may be pulled all the same', async (t) => {
  const registry = await registryOn(t);
  const subject = await subjectWith(t, registry);
  for (const manifest of ['{"manifests":[]}', '{"config":{"digest":7}}', '{"manifests":[null]}', '[]', 'null']) {
    registry.addManifest('team/app', '1', Buffer.from(manifest));
    const result = await logIn(subject, {});
    assert.equal(result.status, 'ok', `${manifest}: ${result.finding}`);
    assert.equal(registry.requests.filter(({ path }) => path.endsWith('/manifests/')).length, 0);
  }
});

test('a refresh token is shown to the token service alone, and nothing of its answer is repeated', async (t) => {
  const { caPem, certificatePem: cert, privateKeyPem: key } = await createLoopbackCertificate();
  let [status, body, heard] = [200, '{"access_token": "hunter2', 0];
  const server = https.createServer({ cert, key }, (request, response) => {
    heard += 1;
    request.resume();
    response.writeHead(status).end(body);
  });
  const realm = `https://127.0.0.1:${await serve(t, server)}/token`;
  const stranger = await registryOn(t);
  const subject = await subjectWith(t, { host: stranger.host, caPem: `${stranger.caPem}\n${caPem}` });
  const login = { auths: { [stranger.host]: { auth: basicOf('a:'), identitytoken: 'refresh' } } };
  subject.learned.challenge = { scheme: 'bearer', realm };
  const garbled = await logIn(subject, login);
  assert.match(garbled.finding, /the token service sends no token/);
  assert.doesNotMatch(JSON.stringify(garbled), /hunter2/);
  [status, body] = [401, '{}'];
  assert.match((await logIn(subject, login)).finding, /refuses the login in/);
  assert.equal(heard, 2);

  subject.learned.challenge = { scheme: 'bearer', realm: realm.replace('https', 'http') };
  assert.match((await logIn(subject, login)).finding, /not a plain HTTPS URL/);
  const untrusting = await subjectWith(t, stranger);
  untrusting.learned.challenge = { scheme: 'bearer', realm };
  process.env['NODE_TLS_REJECT_UNAUTHORIZED'] = '0';
  t.after(() => delete process.env['NODE_TLS_REJECT_UNAUTHORIZED']);
  assert.equal((await logIn(untrusting, login)).status, 'fail');
  assert.equal(heard, 2);
});

test('a token service that is away is named', async (t) => {
  const subject = await withImage(t, 'bearer');
  subject.learned.challenge = { scheme: 'bearer', realm: 'https://127.0.0.1:1/token' };
  assert.match((await logIn(subject, {})).finding, /gives no token, or no answer with it: nothing listens there/);
});

test('a login file is read as Docker and podman write it', async (t) => {
  const path = join(await directoryFor(t), 'auth.json');
  const { registry } = subjectOf('/').image;
  const { registry: hub } = subjectOf('/', { image: 'alpine' }).image;
  const of = async (file: object, host = registry) => {
    await writeFile(path, JSON.stringify(file));
    return await readLogin(path, host);
  };
  assert.deepEqual(await readLogin(join(path, 'none'), registry), { kind: 'none' });
  assert.deepEqual(await of({ auths: { [registry]: { auth: basicOf('a:b:c') } } }), {
    kind: 'password',
    username: 'a',
    password: 'b:c',
  });
  assert.deepEqual(await of({ auths: { [registry]: { auth: basicOf('a:'), identitytoken: 't' } } }), {
    kind: 'refresh token',
    token: 't',
  });
  assert.deepEqual(await of({ auths: { 'https://index.docker.io/v1/': { auth: basicOf('a:b') } } }, hub), {
    kind: 'password',
    username: 'a',
    password: 'b',
  });
  const helper = { kind: 'helper', name: 'ecr-login' };
  assert.deepEqual(await of({ credHelpers: { [registry]: 'ecr-login' } }), helper);
  const left = { [registry.toUpperCase()]: { auth: basicOf('a:b') } };
  assert.equal((await of({ auths: left })).kind, 'password');
  assert.deepEqual(await of({ auths: left, credsStore: 'ecr-login' }), helper, 'Docker asks the helper alone');
  for (const odd of ['null', '[]', '{"auths":{"registry.example:5000":{"auth":7}}}']) {
    await writeFile(path, odd);
    assert.deepEqual(await readLogin(path, registry), { kind: 'none' }, odd);
  }
});

test('kinds of credentials are told apart by their form alone', () => {
  const jwt = (header: object): string =>
    `Bearer ${Buffer.from(JSON.stringify(header)).toString('base64url')}.e30.c2ln`;
  assert.deepEqual(credentialKindOf(undefined), { kind: 'none' });
  assert.deepEqual(credentialKindOf('Basic YTpi'), { kind: 'basic' });
  assert.deepEqual(credentialKindOf('Bearer ghp_16C7e42F292c6912E7'), { kind: 'opaque' });
  assert.deepEqual(credentialKindOf('Bearer a.b.c'), { kind: 'opaque' });
  assert.deepEqual(credentialKindOf(jwt({ alg: 'HS256' })), { kind: 'secret-jwt', algorithm: 'HS256' });
  assert.deepEqual(credentialKindOf(jwt({ alg: 'none' })), { kind: 'secret-jwt', algorithm: 'none' });
  assert.deepEqual(credentialKindOf(jwt({ alg: 'RS256', kid: 'x' })), {
    kind: 'jwt',
    algorithm: 'RS256',
    carriesKey: false,
  });
  assert.deepEqual(credentialKindOf(jwt({ alg: 'ES256', x5c: [] })), {
    kind: 'jwt',
    algorithm: 'ES256',
    carriesKey: true,
  });
});
