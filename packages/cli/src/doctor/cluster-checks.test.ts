import assert from 'node:assert/strict';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import https from 'node:https';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { silentLogger, systemClock } from '@sealift/core';
import { InterceptCa } from '@sealift/pki';
import { INTERCEPT_CA_FILE, ProxyServer, TrustFiles } from '@sealift/proxy';
import { createLoopbackCertificate, FakeRegistry } from '@sealift/testkit';
import { TestTracker } from '../../../tracker/src/tracker.fixture.ts';
import { answerAsNode, directoryFor, examine, serve, subjectOf } from './doctor.fixture.ts';
import { certificateCheck, peerPortCheck } from './membership-checks.ts';
import { rightCheck } from './right-check.ts';
import type { Subject } from './subject.ts';
import { clockCheck, trackerCheck } from './tracker-checks.ts';
import { trustCheck } from './trust-check.ts';

/** A running proxy for a registry, with the files that it has written for the runtime. */
async function withProxy(t: TestContext): Promise<{ subject: Subject; interceptCa: InterceptCa; file: string }> {
  const directory = await directoryFor(t);
  const registry = new FakeRegistry();
  await registry.start();
  t.after(() => registry.stop());
  const { host } = registry;
  const interceptCa = await InterceptCa.create({ registries: [host], nodeName: 'n', clock: systemClock });
  const proxy = new ProxyServer({
    listen: { host: '127.0.0.1', port: 0 },
    registries: [registry.config],
    interceptCa,
    blobs: { open: async () => undefined },
    clock: systemClock,
    log: silentLogger,
    limits: { stopTimeoutMs: 0 },
  });
  await proxy.start();
  t.after(() => proxy.stop());
  const certsDirectory = join(directory, 'certs.d');
  const trust = new TrustFiles({ certsDirectory, registries: [host], interceptCa, log: silentLogger });
  await trust.start();
  t.after(() => trust.stop());
  const node = { proxy: `127.0.0.1:${proxy.port}` };
  const subject = subjectOf(directory, { image: `${host}/team/app:1`, node, settings: { certsDirectory } });
  return { subject, interceptCa, file: join(certsDirectory, host, INTERCEPT_CA_FILE) };
}

test('a trust file that is right, stale, gone, elsewhere, or that the node was not told of', async (t) => {
  const { subject, file } = await withProxy(t);
  const { certsDirectory } = subject;
  const set = (written: string | null): void => {
    const { settings } = subject.learned;
    if (settings !== undefined) subject.learned.settings = { ...settings, certsDirectory: written };
  };
  assert.equal((await examine(trustCheck(subject))).status, 'ok');
  const right = await readFile(file, 'utf8');
  await writeFile(file, (await createLoopbackCertificate()).caPem);
  const stale = await examine(trustCheck(subject));
  assert.match(stale.finding, /^docker does not believe the certificate .* is of an earlier start of the node/);
  assert.match(stale.advice ?? '', /systemctl restart sealift-node/);
  await writeFile(file, right);

  const elsewhere = { ...subject, certsDirectory: `${certsDirectory}-other` };
  assert.match(
    (await examine(trustCheck(elsewhere))).finding,
    /writes its certificate to .*, but docker reads .*-other/,
  );
  set(`${certsDirectory}-other`);
  assert.match(
    (await examine(trustCheck({ ...subject, certsDirectory: `${certsDirectory}-other` }))).finding,
    /somebody has removed it/,
  );
  set(null);
  const untold = await examine(trustCheck(elsewhere));
  assert.match(untold.finding, /was not told where docker looks/);
  assert.match(untold.advice ?? '', /--certs-directory .*-other/);
  assert.equal((await examine(trustCheck({ ...elsewhere, runtime: 'containerd' }))).status, 'ok');
});

test('a registry that the proxy lets through untouched for a while is told of', async (t) => {
  const { subject, file } = await withProxy(t);
  // What is in the file has not signed what is shown, and yet it is believed: some other CA of the directory has.
  await writeFile(join(file, '..', 'ca.crt'), await readFile(file));
  await writeFile(file, (await createLoopbackCertificate()).caPem);
  const result = await examine(trustCheck(subject));
  assert.equal(result.status, 'warn');
  assert.match(result.finding, /lets docker through to .* untouched/);
});

test('a tracker that is right, of another CA, no tracker, away, or whose CA file is gone', async (t) => {
  const cluster = new TestTracker();
  await cluster.start();
  t.after(() => cluster.stop());
  const directory = await directoryFor(t);
  const { cas } = cluster.state;
  const of = (settings: object): Subject => subjectOf(directory, { settings: { origin: cluster.origin, ...settings } });
  const good = of({ fingerprint: cas.newest.fingerprint });
  const result = await examine(trackerCheck(good));
  assert.equal(result.status, 'ok', result.finding);
  assert.equal((await examine(clockCheck(good))).status, 'ok');

  const mismatch = await examine(trackerCheck(of({})));
  assert.match(mismatch.finding, /is not the tracker that the node was told of: its CA has another fingerprint/);
  const trackerCa = join(directory, 'ca.pem');
  assert.match((await examine(trackerCheck(of({ trackerCa })))).finding, /tracker's CA, .*ca\.pem, cannot be read/);
  await writeFile(trackerCa, cas.trustAnchors);
  assert.equal((await examine(trackerCheck(of({ trackerCa, fingerprint: null })))).status, 'ok');
  await writeFile(trackerCa, (await createLoopbackCertificate()).caPem);
  assert.match(
    (await examine(trackerCheck(of({ trackerCa })))).finding,
    /has no certificate of a tracker by the CA in/,
  );

  const other = createServer((socket) => socket.end('SSH-2.0-x\r\n'));
  const origin = `https://127.0.0.1:${await serve(t, other)}`;
  assert.match((await examine(trackerCheck(of({ origin })))).finding, /^The tracker does not answer at /);
  const away = await examine(trackerCheck(of({ origin: 'https://127.0.0.1:1' })));
  assert.match(
    away.finding,
    /does not answer at https:\/\/127\.0\.0\.1:1: nothing listens there\. Pulls go to the registry/,
  );
  assert.match(away.advice ?? '', /let TCP port 1 through/);
});

test('a tracker whose certificate has expired, or is not valid yet', async (t) => {
  const directory = await directoryFor(t);
  const trackerCa = join(directory, 'ca.pem');
  for (const hours of [-2, 2]) {
    const issuedAt = Date.now() + hours * 3_600_000;
    const { caPem, certificatePem, privateKeyPem } = await createLoopbackCertificate(undefined, { issuedAt });
    await writeFile(trackerCa, caPem);
    const port = await serve(t, https.createServer({ cert: certificatePem, key: privateKeyPem }));
    const settings = { origin: `https://127.0.0.1:${port}`, trackerCa, fingerprint: null };
    const { status, finding } = await examine(trackerCheck(subjectOf(directory, { settings })));
    assert.equal(status, 'fail');
    assert.match(finding, /^By the clock of this host, the certificate of the tracker at .* is not valid now\./);
  }
});

test('clocks that agree, differ, or differ too much', async () => {
  const at = async (skewMs: number) =>
    await examine(clockCheck(subjectOf('/', { learned: { trackerTime: { theirs: 1e12, ours: 1e12 + skewMs } } })));
  assert.equal((await at(-9_000)).status, 'ok');
  const behind = await at(-60_000);
  assert.equal(behind.status, 'warn');
  assert.match(behind.finding, /60 seconds behind that of the tracker/);
  const ahead = await at(3_600_000);
  assert.equal(ahead.status, 'fail');
  assert.match(ahead.finding, /3600 seconds ahead of that of the tracker: certificates are refused/);
  assert.equal((await examine(clockCheck(subjectOf('/')))).status, 'warn');
});

const inMs = (ms: number): string => new Date(Date.now() + ms).toISOString();
const certificates = [
  { node: {}, status: 'ok', says: /is good until/ },
  { node: { certificateEnds: inMs(-1000) }, status: 'fail', says: /certificate ended at/ },
  {
    node: { certificateEnds: inMs(60_000), enrolmentFailure: { code: 'TRACKER_UNAVAILABLE', reason: 'no answer' } },
    status: 'warn',
    says: /should have been renewed before\. The last attempt failed: no answer/,
  },
  { node: { certificateEnds: null }, status: 'fail', says: /has no certificate yet/ },
  {
    node: { certificateEnds: null },
    enrolsBy: 'registry',
    status: 'warn',
    says: /enrols with the registry credentials/,
  },
  ...[
    ['JOIN_TOKEN_REJECTED', /unknown to it, spent, or has ended/],
    ['KEY_FILE_UNSAFE', /file with the join token cannot be used/],
    ['NODE_DENIED', /is on the deny list/],
    ['SERVICE_ACCOUNT_REJECTED', /refuses the service account token/],
    ['TOO_MANY_REQUESTS', /asked for certificates too often/],
    ['CSR_REJECTED', /gets no certificate: because/],
  ].map(([code, says]) => ({
    node: { certificateEnds: null, enrolmentFailure: { code: String(code), reason: 'because' } },
    status: 'fail',
    says: says as RegExp,
  })),
] as const;
for (const row of certificates) {
  const enrolsBy = 'enrolsBy' in row ? row.enrolsBy : 'join token';
  test(`a node whose state is ${JSON.stringify(row.node)} and that enrols by ${enrolsBy} is ${row.status}`, async () => {
    const result = await examine(certificateCheck(subjectOf('/', { node: row.node, settings: { enrolsBy } })));
    assert.equal(result.status, row.status);
    assert.match(result.finding, row.says);
  });
}

const reaches = [
  {
    answer: { port: 7445, told: null, address: '192.0.2.1', isReached: true },
    status: 'ok',
    says: /reaches this node at 192/,
  },
  {
    answer: { port: 7445, told: null, address: '192.0.2.1', isReached: false },
    status: 'fail',
    says: /does not reach this node/,
  },
  {
    answer: { port: 7, told: '192.0.2.9', address: '192.0.2.1', isReached: false },
    status: 'warn',
    says: /Peers are told 192\.0\.2\.9/,
  },
  { answer: { error: 'TOO_MANY_REQUESTS' }, status: 'warn', says: /does not dial this node so often/ },
  { answer: { error: 'the node is not enrolled' }, status: 'warn', says: /not known until it has a certificate/ },
  { answer: { error: 'NOT_FOUND' }, status: 'fail', says: /could not be asked to dial this node: NOT_FOUND/ },
] as const;
test('whether peers get through is what the tracker says of it', async (t) => {
  const subject = subjectOf(await directoryFor(t));
  let answer: object = {};
  await answerAsNode(t, subject, { reach: async () => answer });
  for (const row of reaches) {
    answer = row.answer;
    const result = await examine(peerPortCheck(subject));
    assert.equal(result.status, row.status, result.finding);
    assert.match(result.finding, row.says);
  }
});

const rights = [
  { answer: { verdict: 'granted' }, status: 'ok', says: /The tracker grants it\. The token is opaque/ },
  {
    answer: { verdict: 'denied', reason: 'the registry said 403' },
    status: 'fail',
    says: /said no when the tracker asked/,
  },
  {
    answer: { verdict: 'unavailable', reason: 'the registry took too long' },
    status: 'fail',
    says: /could not find out .*took too long/,
  },
  { answer: { error: 'REGISTRY_UNKNOWN' }, status: 'fail', says: /tracker does not handle registry\.example:5000/ },
  { answer: { error: 'the node is not enrolled' }, status: 'warn', says: /^Not asked/ },
] as const;
test('the right to the image is what the tracker makes of the credential, which nobody is shown', async (t) => {
  const directory = await directoryFor(t);
  const authorization = 'Bearer opaque-secret';
  const subject = subjectOf(directory, { learned: { authorization } });
  await mkdir(subject.data, { recursive: true });
  let answer: object = {};
  const asked: Record<string, unknown>[] = [];
  await answerAsNode(t, subject, {
    right: async (question) => {
      asked.push(question);
      return answer;
    },
  });
  for (const row of rights) {
    answer = row.answer;
    const result = await examine(rightCheck(subject));
    assert.equal(result.status, row.status, result.finding);
    assert.match(result.finding, row.says);
    assert.doesNotMatch(JSON.stringify(result), /secret/);
  }
  const { registry, repository } = subject.image;
  assert.deepEqual(asked[0], { registry, repository, digest: subject.learned.blob, authorization });
  const strict = subjectOf(directory, { settings: { tokenCheck: 'registry' }, learned: { authorization } });
  assert.match((await examine(rightCheck(strict))).finding, /this registry gives none: they share nothing/);
});
