import assert from 'node:assert/strict';
import { after, before, beforeEach, test } from 'node:test';
import { setTimeout } from 'node:timers/promises';
import { inspect } from 'node:util';
import { type BlobRef, isAppError, parseDigest, parseRegistryHost, parseRepository } from '@sealift/core';
import { createLoopbackCertificate, type FakeFault, FakeRegistry } from '@sealift/testkit';
import { RegistryClient } from './client.ts';

const SECRET = 'czNjcjN0LXZhbHVl';
const AUTHORIZATION = `Bearer ${SECRET}`;
const MISSING = parseDigest(`sha256:${'0'.repeat(64)}`);

const registry = new FakeRegistry();
let client: RegistryClient;
let count = 0;

before(async () => {
  await registry.start();
  client = new RegistryClient({ registries: [registry.config] });
});
after(async () => {
  await client.close();
  await registry.stop();
});
beforeEach(() => {
  registry.isRedirecting = false;
});

const never = (): AbortSignal => new AbortController().signal;

/** A blob of its own for each test, so that no test meets the faults of another. */
function newBlob(size = 100_000): { blob: BlobRef; bytes: Buffer } {
  count += 1;
  const bytes = Buffer.alloc(size, `blob ${count} `);
  const digest = registry.addBlob('team/app', bytes);
  return { blob: { registry: registry.host, repository: parseRepository('team/app'), digest }, bytes };
}

async function read(body: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of body) chunks.push(chunk);
  return Buffer.concat(chunks);
}

/** Opens and reads to the end. */
async function download(
  blob: BlobRef,
  { offset = 0, by = client }: { offset?: number; by?: RegistryClient } = {},
): Promise<Buffer> {
  const { body } = await by.openBlob(blob, { authorization: AUTHORIZATION, offset, signal: never() });
  return read(body);
}

/** Whatever is thrown: its code, reason and status, after a look that nothing secret is anywhere in it. */
async function refusal(work: Promise<unknown>): Promise<{ code: string; reason: unknown; status: unknown }> {
  try {
    await work;
  } catch (error) {
    const everything = inspect(error, { depth: 12, showHidden: true });
    assert.equal(everything.includes(SECRET), false, everything);
    assert.equal(everything.includes('signature='), false, everything);
    assert.ok(isAppError(error), everything);
    return { code: error.code, reason: error.details['reason'], status: error.details['status'] };
  }
  throw new assert.AssertionError({ message: 'it was not refused' });
}

/** A client with short waits, closed at the end of the test. */
function hasty(
  t: { after: (work: () => Promise<void>) => void },
  timeouts: { headersTimeoutMs?: number; bodyTimeoutMs?: number },
): RegistryClient {
  const hastyClient = new RegistryClient({ registries: [registry.config], ...timeouts });
  t.after(() => hastyClient.close());
  return hastyClient;
}

test('a HEAD that is answered with 200 is a yes, with the size', async () => {
  const { blob } = newBlob(1234);
  const verdict = await client.headBlob(blob, { authorization: AUTHORIZATION, signal: never() });
  assert.deepEqual(verdict, { kind: 'yes', size: 1234 });
  const { gets, heads } = registry.counts(blob.digest);
  assert.deepEqual({ gets, heads }, { gets: 0, heads: 1 });
});

test('a HEAD that is answered with a redirect is a yes once the first byte has come, without the credential', async () => {
  registry.isRedirecting = true;
  const { blob } = newBlob(1234);
  const verdict = await client.headBlob(blob, { authorization: AUTHORIZATION, signal: never() });
  assert.deepEqual(verdict, { kind: 'yes', size: 1234 });
  const [byte, ...others] = registry.requests.filter(({ at, path }) => at === 'cdn' && path.includes(blob.digest));
  assert.deepEqual([byte?.method, byte?.headers.range, byte?.headers.authorization], ['GET', 'bytes=0-0', undefined]);
  assert.deepEqual(others, []);
});

/** What a redirect leads to, which is no proof that the blob may be pulled. */
const nothings: readonly [name: string, fault: FakeFault][] = [
  ['a page in HTML', { kind: 'headers', headers: { 'content-type': 'text/html; charset=utf-8' } }],
  ['an answer for programs to read', { kind: 'status', status: 200 }],
  ['another range', { kind: 'headers', headers: { 'content-range': 'bytes 0-1/100000' } }],
  ['another digest', { kind: 'headers', headers: { 'docker-content-digest': MISSING } }],
  ['a refusal of the other host', { kind: 'status', status: 403 }],
  ['a login', { kind: 'status', status: 401 }],
  ['a fault', { kind: 'status', status: 503 }],
  ['a reset', { kind: 'reset' }],
];
for (const [name, fault] of nothings) {
  test(`a HEAD whose redirect leads to ${name} says nothing`, async () => {
    registry.isRedirecting = true;
    const { blob } = newBlob();
    // Two questions, and a request on a kept connection is sent again after a reset.
    registry.fail(blob.digest, fault, { at: 'cdn', times: 4 });
    const { kind } = await client.headBlob(blob, { authorization: AUTHORIZATION, signal: never() });
    assert.equal(kind, 'unavailable');
  });
}

test('a gateway that sends strangers to a login on its own address says nothing', async () => {
  const login: readonly FakeFault[] = [
    { kind: 'status', status: 200 },
    { kind: 'headers', headers: { 'content-type': 'text/html' } },
  ];
  for (const page of login) {
    const { blob } = newBlob();
    const { digest } = newBlob().blob;
    const headers = { location: `/v2/team/app/blobs/${digest}` };
    registry.fail(digest, page);
    registry.fail(blob.digest, { kind: 'status', status: 302, headers }, { times: 2 });
    const { kind } = await client.headBlob(blob, { authorization: undefined, signal: never() });
    assert.equal(kind, 'unavailable');
  }
});

test('a redirect to a host that knows no ranges is a yes, and the registry is asked only once', async () => {
  registry.isRedirecting = true;
  const { blob } = newBlob(1234);
  registry.fail(blob.digest, { kind: 'ignore-range' }, { at: 'cdn' });
  const verdict = await client.headBlob(blob, { authorization: AUTHORIZATION, signal: never() });
  assert.deepEqual(verdict, { kind: 'yes', size: 1234 });
  const asked = registry.requests.filter(({ at, path }) => at !== 'cdn' && path.includes(blob.digest));
  assert.deepEqual(
    asked.map(({ method }) => method),
    ['HEAD'],
  );
});

test('a redirect that is good for a HEAD only is asked for once more as a pull would', async () => {
  registry.isRedirecting = true;
  const { blob } = newBlob(1234);
  registry.fail(blob.digest, { kind: 'status', status: 403 }, { at: 'cdn', times: 1 });
  const verdict = await client.headBlob(blob, { authorization: AUTHORIZATION, signal: never() });
  assert.deepEqual(verdict, { kind: 'yes', size: 1234 });
});

test('a HEAD is redirected and the GET refused: the refusal counts', async () => {
  const { blob } = newBlob();
  const headers = { location: 'https://elsewhere.example/' };
  registry.fail(blob.digest, { kind: 'status', status: 307, headers }, { method: 'HEAD' });
  registry.fail(blob.digest, { kind: 'status', status: 403 }, { method: 'GET' });
  const verdict = await client.headBlob(blob, { authorization: AUTHORIZATION, signal: never() });
  assert.deepEqual(verdict, { kind: 'no', status: 403 });
});

for (const status of [401, 403, 404]) {
  test(`a HEAD that is answered with ${status} is a no`, async () => {
    const { blob } = newBlob();
    registry.fail(blob.digest, { kind: 'status', status });
    assert.deepEqual(await client.headBlob(blob, { authorization: undefined, signal: never() }), {
      kind: 'no',
      status,
    });
  });
}

const location = 'https://elsewhere.example/';
for (const status of [201, 204, 206, 300, 301, 303, 304, 308, 400, 402, 405, 410, 418, 429, 500, 502, 503]) {
  test(`a HEAD that is answered with ${status} says nothing`, async () => {
    const { blob } = newBlob();
    registry.fail(blob.digest, { kind: 'status', status, headers: { location } });
    const { kind } = await client.headBlob(blob, { authorization: undefined, signal: never() });
    assert.equal(kind, 'unavailable');
  });
}

const oddHeaders = [
  ['a page in HTML', { 'content-type': 'text/html; charset=utf-8' }],
  ['another digest', { 'docker-content-digest': MISSING }],
] as const;
for (const [name, headers] of oddHeaders) {
  test(`a 200 with ${name} says nothing`, async () => {
    const { blob } = newBlob();
    registry.fail(blob.digest, { kind: 'headers', headers });
    const { kind } = await client.headBlob(blob, { authorization: undefined, signal: never() });
    assert.equal(kind, 'unavailable');
  });
}

test('a redirect that nobody may follow says nothing', async () => {
  for (const headers of [
    {},
    { location: `http://cdn.example/?s=${SECRET}` },
    { location: `https://a:${SECRET}@cdn.example/` },
  ]) {
    const { blob } = newBlob();
    const fault = { kind: 'status', status: 307, headers: headers as Record<string, string> } as const;
    registry.fail(blob.digest, fault, { times: 2 });
    const verdict = await client.headBlob(blob, { authorization: undefined, signal: never() });
    assert.equal(verdict.kind, 'unavailable');
    assert.equal(JSON.stringify(verdict).includes(SECRET), false);
  }
});

test('a size that the registry does not tell, or that cannot be one, is not made up', async () => {
  for (const headers of [{ 'content-length': undefined }, { 'content-length': '0' }, { 'content-encoding': 'gzip' }]) {
    const { blob } = newBlob();
    registry.fail(blob.digest, { kind: 'headers', headers });
    const verdict = await client.headBlob(blob, { authorization: undefined, signal: never() });
    assert.deepEqual(verdict, { kind: 'yes', size: undefined });
  }
});

test('a registry that hangs up, hangs, or cannot be reached says nothing', async (t) => {
  const by = hasty(t, { headersTimeoutMs: 150 });
  for (const kind of ['reset', 'hang', 'slow-headers'] as const) {
    const { blob } = newBlob();
    registry.fail(blob.digest, { kind }, { times: 2 });
    assert.equal((await by.headBlob(blob, { authorization: AUTHORIZATION, signal: never() })).kind, 'unavailable');
  }
  const gone = parseRegistryHost('127.0.0.1:1');
  const lost = new RegistryClient({ registries: [{ registry: gone }] });
  t.after(() => lost.close());
  const verdict = await lost.headBlob(
    { ...newBlob().blob, registry: gone },
    { authorization: undefined, signal: never() },
  );
  assert.deepEqual(verdict, { kind: 'unavailable', reason: 'connection refused' });
});

test('the header is passed on as it is, and nothing is asked to be compressed', async () => {
  const { blob } = newBlob();
  await client.headBlob(blob, { authorization: AUTHORIZATION, signal: never() });
  await client.headBlob(blob, { authorization: undefined, signal: never() });
  const [first, second] = registry.requests.slice(-2);
  assert.equal(first?.headers.authorization, AUTHORIZATION);
  assert.equal(first?.headers['accept-encoding'], 'identity');
  assert.equal(second?.headers.authorization, undefined);
});

test('a header that would be two is never sent', async () => {
  const { blob } = newBlob();
  const before = registry.requests.length;
  const authorization = `${AUTHORIZATION}\r\nX-Evil: 1`;
  const work = [
    client.headBlob(blob, { authorization, signal: never() }),
    client.openBlob(blob, { authorization, signal: never() }),
    client.fetchManifest({ ...blob, reference: 'latest', authorization, signal: never() }),
  ];
  for (const attempt of work) assert.equal((await refusal(attempt)).code, 'AUTHORIZATION_INVALID');
  assert.equal(registry.requests.length, before);
});

test('a registry that is not configured is never asked', async () => {
  const stranger = parseRegistryHost('localhost:5000');
  assert.equal(client.isConfigured(registry.host), true);
  assert.equal(client.isConfigured(stranger), false);
  const blob = { ...newBlob().blob, registry: stranger };
  const work = [
    client.headBlob(blob, { authorization: AUTHORIZATION, signal: never() }),
    client.openBlob(blob, { authorization: AUTHORIZATION, signal: never() }),
    client.fetchManifest({ ...blob, reference: 'latest', authorization: AUTHORIZATION, signal: never() }),
  ];
  for (const attempt of work) assert.equal((await refusal(attempt)).code, 'REGISTRY_UNKNOWN');
});

test('a blob is read whole, with its size', async () => {
  const { blob, bytes } = newBlob();
  const opened = await client.openBlob(blob, { authorization: AUTHORIZATION, signal: never() });
  assert.deepEqual([opened.size, opened.offset], [bytes.length, 0]);
  assert.deepEqual(await read(opened.body), bytes);
});

test('a blob is read from an offset on', async () => {
  const { blob, bytes } = newBlob();
  const opened = await client.openBlob(blob, { authorization: AUTHORIZATION, offset: 99_000, signal: never() });
  assert.deepEqual([opened.size, opened.offset], [bytes.length, 99_000]);
  assert.deepEqual(await read(opened.body), bytes.subarray(99_000));
});

test('a blob without Content-Length is read whole, with its size unknown', async () => {
  const { blob, bytes } = newBlob();
  registry.fail(blob.digest, { kind: 'no-content-length' });
  const opened = await client.openBlob(blob, { authorization: AUTHORIZATION, signal: never() });
  assert.equal(opened.size, undefined);
  assert.deepEqual(await read(opened.body), bytes);
});

test('a redirect to the CDN is followed without the credentials', async () => {
  registry.isRedirecting = true;
  const { blob, bytes } = newBlob();
  assert.deepEqual(await download(blob), bytes);
  assert.deepEqual(await download(blob, { offset: 5 }), bytes.subarray(5));
  const seen = registry.requests.filter(({ at, path }) => at === 'cdn' && path.includes(blob.digest));
  assert.equal(seen.length, 2);
  for (const { headers } of seen) assert.equal(headers.authorization, undefined);
  assert.equal(seen[1]?.headers.range, 'bytes=5-');
});

test('a redirect within the registry keeps the credentials, and one back to it from outside does not', async () => {
  const { blob, bytes } = newBlob();
  const detour = newBlob().blob;
  const path = `/v2/team/app/blobs/${blob.digest}`;
  registry.fail(detour.digest, { kind: 'status', status: 307, headers: { location: path } });
  assert.deepEqual(await download(detour), bytes);
  assert.equal(registry.requests.at(-1)?.headers.authorization, AUTHORIZATION);

  registry.isRedirecting = true;
  const away = newBlob().blob;
  registry.fail(
    away.digest,
    { kind: 'status', status: 302, headers: { location: `https://${registry.host}${path}` } },
    { at: 'cdn' },
  );
  assert.deepEqual(await download(away), bytes);
  const back = registry.requests.filter(({ at }) => at === 'registry').at(-1);
  assert.equal(back?.headers.authorization, undefined);
});

test('five redirects are followed, a sixth is not', async () => {
  const { blob, bytes } = newBlob();
  const headers = { location: `https://${registry.host}/v2/team/app/blobs/${blob.digest}` };
  registry.fail(blob.digest, { kind: 'status', status: 307, headers }, { times: 5 });
  assert.deepEqual(await download(blob), bytes);
  registry.fail(blob.digest, { kind: 'status', status: 307, headers }, { times: 6 });
  assert.deepEqual(await refusal(download(blob)), {
    code: 'REGISTRY_UNAVAILABLE',
    reason: 'too many redirects',
    status: undefined,
  });
});

test('a redirect that leaves HTTPS or brings credentials is refused', async () => {
  for (const target of [`http://127.0.0.1:1/?x=${SECRET}`, `https://u:${SECRET}@127.0.0.1:1/`, `ftp://${SECRET}/`]) {
    const { blob } = newBlob();
    registry.fail(blob.digest, { kind: 'status', status: 307, headers: { location: target } });
    assert.equal((await refusal(download(blob))).code, 'REGISTRY_UNAVAILABLE');
  }
});

for (const status of [401, 403, 404]) {
  test(`a blob that the registry refuses with ${status} is refused with it`, async () => {
    const { blob } = newBlob();
    registry.fail(blob.digest, { kind: 'status', status });
    assert.deepEqual(await refusal(download(blob)), { code: 'REGISTRY_REFUSED', reason: undefined, status });
  });
}

for (const status of [204, 206, 304, 400, 416, 429, 500, 503]) {
  test(`a blob that the registry answers with ${status} is unavailable`, async () => {
    const { blob } = newBlob();
    registry.fail(blob.digest, { kind: 'status', status });
    const { code, status: told } = await refusal(download(blob));
    assert.deepEqual([code, told], ['REGISTRY_UNAVAILABLE', status]);
  });
}

test("a no of the CDN is not the registry's no", async () => {
  registry.isRedirecting = true;
  const { blob } = newBlob();
  registry.fail(blob.digest, { kind: 'status', status: 403 }, { at: 'cdn' });
  const { code, status } = await refusal(download(blob));
  assert.deepEqual([code, status], ['REGISTRY_UNAVAILABLE', 403]);
});

test('a Range that is ignored is refused', async () => {
  const { blob } = newBlob();
  registry.fail(blob.digest, { kind: 'ignore-range' });
  const { code, reason } = await refusal(download(blob, { offset: 10 }));
  assert.deepEqual([code, reason], ['REGISTRY_UNAVAILABLE', 'the registry ignores Range']);
});

const wrongRanges = [
  ['starts elsewhere', { 'content-range': 'bytes 0-99989/100000' }],
  ['ends early', { 'content-range': 'bytes 10-99998/100000', 'content-length': '99989' }],
  ['is missing', { 'content-range': undefined }],
  ['is of another unit', { 'content-range': 'pages 10-99999/100000' }],
  ['has no length', { 'content-length': undefined }],
] as const;
for (const [name, headers] of wrongRanges) {
  test(`a 206 whose range ${name} is refused`, async () => {
    const { blob } = newBlob();
    registry.fail(blob.digest, { kind: 'headers', headers });
    assert.equal((await refusal(download(blob, { offset: 10 }))).code, 'REGISTRY_UNAVAILABLE');
  });
}

test('a 206 that does not know the size of the blob is taken', async () => {
  const { blob, bytes } = newBlob();
  registry.fail(blob.digest, { kind: 'headers', headers: { 'content-range': 'bytes 10-99999/*' } });
  const opened = await client.openBlob(blob, { authorization: AUTHORIZATION, offset: 10, signal: never() });
  assert.equal(opened.size, undefined);
  assert.deepEqual(await read(opened.body), bytes.subarray(10));
});

test('an encoded body that was not asked for is refused', async () => {
  const { blob } = newBlob();
  registry.fail(blob.digest, { kind: 'headers', headers: { 'content-encoding': 'gzip' } });
  assert.equal((await refusal(download(blob))).code, 'REGISTRY_UNAVAILABLE');
});

test('a body that is cut never looks whole', async () => {
  for (const fault of [
    { kind: 'cut', afterBytes: 70_000 },
    { kind: 'content-length', length: 100_001 },
  ] as const) {
    const { blob, bytes } = newBlob();
    registry.fail(blob.digest, fault);
    const { body } = await client.openBlob(blob, { authorization: AUTHORIZATION, signal: never() });
    const received: Buffer[] = [];
    const { code } = await refusal(
      (async () => {
        for await (const chunk of body) received.push(chunk);
      })(),
    );
    assert.equal(code, 'REGISTRY_UNAVAILABLE');
    const start = Buffer.concat(received);
    assert.deepEqual(start, bytes.subarray(0, start.length));
  }
});

test('a chunked body that is cut never looks whole', async () => {
  const { blob } = newBlob();
  const held = registry.hold(blob.digest);
  registry.fail(blob.digest, { kind: 'no-content-length' });
  const { body } = await client.openBlob(blob, { authorization: AUTHORIZATION, signal: never() });
  await held.release(50_000);
  const work = refusal(read(body));
  registry.cutConnections();
  assert.equal((await work).code, 'REGISTRY_UNAVAILABLE');
  held.releaseAll();
});

test('a body that stalls is given up', async (t) => {
  const { blob } = newBlob();
  registry.fail(blob.digest, { kind: 'stall', afterBytes: 1000 });
  const { code, reason } = await refusal(download(blob, { by: hasty(t, { bodyTimeoutMs: 150 }) }));
  assert.deepEqual([code, reason], ['REGISTRY_UNAVAILABLE', 'the body stalls']);
});

test('an answer that does not come in time is given up, however slowly its headers drip', async (t) => {
  for (const kind of ['hang', 'slow-headers'] as const) {
    const { blob } = newBlob();
    registry.fail(blob.digest, { kind }, { times: 2 });
    const { code, reason } = await refusal(download(blob, { by: hasty(t, { headersTimeoutMs: 150 }) }));
    assert.deepEqual([code, reason], ['REGISTRY_UNAVAILABLE', 'no answer in time']);
  }
});

test('a connection that breaks before the answer is tried once more', async () => {
  const { blob, bytes } = newBlob();
  registry.fail(blob.digest, { kind: 'reset' });
  assert.deepEqual(await download(blob), bytes);
  registry.fail(blob.digest, { kind: 'reset' }, { times: 2 });
  assert.equal((await refusal(download(blob))).code, 'REGISTRY_UNAVAILABLE');
  assert.equal(registry.counts(blob.digest).gets, 4);
});

test('bytes come as the registry gives them, without waiting for the rest', async () => {
  const { blob, bytes } = newBlob();
  const held = registry.hold(blob.digest);
  const { body } = await client.openBlob(blob, { authorization: AUTHORIZATION, signal: never() });
  const chunks = body[Symbol.asyncIterator]();
  await held.release(1000);
  assert.deepEqual((await chunks.next()).value, bytes.subarray(0, 1000));
  await held.release(500);
  assert.deepEqual((await chunks.next()).value, bytes.subarray(1000, 1500));
  held.releaseAll();
  let length = 1500;
  for (let next = await chunks.next(); !next.done; next = await chunks.next()) length += next.value.length;
  assert.equal(length, bytes.length);
});

test('a reader that does not read holds the registry back, and loses nothing', async (t) => {
  const { blob, bytes } = newBlob(24 * 1024 * 1024);
  // Shorter than the pause: a slow reader is not a stalled registry.
  const by = hasty(t, { bodyTimeoutMs: 100 });
  const { body } = await by.openBlob(blob, { authorization: AUTHORIZATION, signal: never() });
  const chunks = body[Symbol.asyncIterator]();
  const { value: first } = await chunks.next();
  // The limit under test is a time, so time must pass.
  await setTimeout(250);
  const sent = registry.counts(blob.digest).bytesSent;
  assert.ok(sent < bytes.length, `${sent} bytes were taken without a reader`);
  const rest: Buffer[] = [first];
  for (let next = await chunks.next(); !next.done; next = await chunks.next()) rest.push(next.value);
  assert.equal(Buffer.compare(Buffer.concat(rest), bytes), 0);
});

test('an abort ends a request before its answer, with the reason of the signal', async () => {
  for (const start of ['headBlob', 'openBlob'] as const) {
    const { blob } = newBlob();
    const controller = new AbortController();
    const reason = new Error('no longer wanted');
    registry.fail(blob.digest, { kind: 'hang' });
    const work = client[start](blob, { authorization: AUTHORIZATION, signal: controller.signal });
    await registry.received(start === 'headBlob' ? 'HEAD' : 'GET', blob.digest);
    controller.abort(reason);
    await assert.rejects(work, reason);
    await assert.rejects(client[start](blob, { authorization: AUTHORIZATION, signal: controller.signal }), reason);
  }
});

test('an abort ends a body with the reason of the signal and frees the connection', async (t) => {
  const { blob } = newBlob();
  const held = registry.hold(blob.digest);
  const by = hasty(t, {});
  const controller = new AbortController();
  const reason = new Error('no longer wanted');
  const { body } = await by.openBlob(blob, { authorization: AUTHORIZATION, signal: controller.signal });
  await held.release(10);
  const work = read(body);
  controller.abort(reason);
  await assert.rejects(work, reason);
  await held.gone();
  assert.equal(held.senderCount, 0);
});

test('a body that is destroyed, or left in the middle of a loop, frees its connection', async () => {
  const { blob } = newBlob();
  const held = registry.hold(blob.digest);
  const first = await client.openBlob(blob, { authorization: AUTHORIZATION, signal: never() });
  first.body.destroy();
  await held.gone();
  await held.release(10);
  const second = await client.openBlob(blob, { authorization: AUTHORIZATION, signal: never() });
  for await (const _ of second.body) break;
  await held.gone();
});

test('a failure before anybody reads the body does not end the process, and is not forgotten', async () => {
  const { blob } = newBlob();
  registry.fail(blob.digest, { kind: 'cut', afterBytes: 10 });
  const { body } = await client.openBlob(blob, { authorization: AUTHORIZATION, signal: never() });
  await new Promise((resolve) => body.once('error', resolve).resume());
  assert.equal((await refusal(read(body))).code, 'REGISTRY_UNAVAILABLE');
});

test('headers without end are refused', async () => {
  const { blob } = newBlob();
  const headers = { location: `https://cdn.example/?signature=${SECRET.repeat(4000)}` };
  registry.fail(blob.digest, { kind: 'status', status: 307, headers }, { times: 2 });
  assert.equal((await refusal(download(blob))).code, 'REGISTRY_UNAVAILABLE');
});

test('a header that does not parse leaves none of its bytes in the error', async () => {
  const { blob } = newBlob();
  registry.fail(blob.digest, {
    kind: 'raw',
    text: `HTTP/1.1 307 x\r\nLocation: https://c.example/?s=${SECRET}\r\nBad Header\u0000: ${SECRET}\r\n\r\n`,
  });
  assert.equal((await refusal(download(blob))).code, 'REGISTRY_UNAVAILABLE');
});

test('a certificate of another CA is refused before anything is sent', async (t) => {
  const { blob } = newBlob();
  const { caPem } = await createLoopbackCertificate();
  const before = registry.requests.length;
  for (const config of [{ registry: registry.host }, { registry: registry.host, caPem }]) {
    const by = new RegistryClient({ registries: [config] });
    t.after(() => by.close());
    assert.equal((await refusal(download(blob, { by }))).code, 'REGISTRY_UNAVAILABLE');
  }
  assert.equal(registry.requests.length, before);
});

test('a certificate for another host is refused before anything is sent', async (t) => {
  const impostor = new FakeRegistry({ certifiedFor: { dnsNames: ['elsewhere.example'], ipAddresses: [] } });
  await impostor.start();
  t.after(() => impostor.stop());
  const by = new RegistryClient({ registries: [impostor.config] });
  t.after(() => by.close());
  const blob = { ...newBlob().blob, registry: impostor.host };
  assert.equal((await refusal(download(blob, { by }))).code, 'REGISTRY_UNAVAILABLE');
  assert.deepEqual(impostor.requests, []);
});

test('trust anchors that are not certificates are refused at once', () => {
  for (const caPem of [
    '',
    'garbage',
    '-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n',
    `${registry.caPem}-----BEGIN PRIVATE KEY-----`,
  ]) {
    assert.throws(() => new RegistryClient({ registries: [{ registry: registry.host, caPem }] }), {
      code: 'CONFIG_INVALID',
    });
  }
});

test('a manifest comes by tag and by digest, with its headers', async () => {
  const digest = registry.addManifest('team/app', '1.0', { schemaVersion: 2 });
  for (const reference of ['1.0', digest]) {
    const repository = parseRepository('team/app');
    const answer = await client.fetchManifest({
      registry: registry.host,
      repository,
      reference,
      authorization: AUTHORIZATION,
      signal: never(),
    });
    assert.equal(answer.status, 200);
    assert.equal(answer.headers['docker-content-digest'], digest);
    assert.deepEqual(JSON.parse(answer.body.toString()), { schemaVersion: 2 });
  }
  assert.match(registry.requests.at(-1)?.headers.accept ?? '', /oci\.image\.index/);
});

test('a refused manifest is an answer, a broken one is not', async () => {
  const repository = parseRepository('team/app');
  const ask = (reference: string, by = client) =>
    by.fetchManifest({
      registry: registry.host,
      repository,
      reference,
      authorization: AUTHORIZATION,
      accept: ['x/y'],
      signal: never(),
    });
  assert.equal((await ask('unknown')).status, 404);
  const digest = registry.addManifest('team/app', '2.0', { schemaVersion: 2 });
  registry.fail(digest, { kind: 'wrong-bytes' });
  assert.equal((await refusal(ask(digest))).reason, 'a manifest that does not match its digest');
  registry.addManifest('team/app', 'large', Buffer.alloc(4 * 1024 * 1024 + 1));
  assert.equal((await refusal(ask('large'))).reason, 'the body is too long');
  registry.fail('2.0', { kind: 'cut', afterBytes: 3 });
  assert.equal((await refusal(ask('2.0'))).code, 'REGISTRY_UNAVAILABLE');
  for (const reference of ['', 'a/b', '../x', 'a?b', '-a']) {
    assert.equal((await refusal(ask(reference))).code, 'REFERENCE_INVALID');
  }
});

test('a manifest that drips is given up', async (t) => {
  registry.addManifest('team/app', 'slow', { schemaVersion: 2 });
  registry.fail('slow', { kind: 'stall', afterBytes: 3 });
  const repository = parseRepository('team/app');
  const by = hasty(t, { bodyTimeoutMs: 150 });
  const work = by.fetchManifest({
    registry: registry.host,
    repository,
    reference: 'slow',
    authorization: undefined,
    signal: never(),
  });
  assert.equal((await refusal(work)).code, 'REGISTRY_UNAVAILABLE');
});

test('a client that is closed asks nothing, and what was under way fails', async () => {
  const { blob } = newBlob();
  registry.hold(blob.digest);
  const by = new RegistryClient({ registries: [registry.config] });
  const { body } = await by.openBlob(blob, { authorization: AUTHORIZATION, signal: never() });
  const work = refusal(read(body));
  await by.close();
  await by.close();
  assert.equal((await work).code, 'REGISTRY_UNAVAILABLE');
  assert.equal((await refusal(download(blob, { by }))).code, 'REGISTRY_UNAVAILABLE');
  const verdict = await by.headBlob(blob, { authorization: AUTHORIZATION, signal: never() });
  assert.deepEqual(verdict, { kind: 'unavailable', reason: 'the client is closed' });
});

test('what is configured for a registry can be replaced; a body that is being read goes on', async () => {
  const { blob, bytes } = newBlob(4_000_000);
  const { caPem } = await createLoopbackCertificate();
  const own = new RegistryClient({ registries: [registry.config] });
  try {
    const { body } = await own.openBlob(blob, { authorization: AUTHORIZATION, signal: never() });
    own.replace({ ...registry.config, caPem });
    const asked = () => own.headBlob(blob, { authorization: AUTHORIZATION, signal: never() });
    assert.equal((await asked()).kind, 'unavailable');
    assert.deepEqual(await read(body), bytes);
    own.replace(registry.config);
    assert.equal((await asked()).kind, 'yes');
    assert.throws(() => own.replace({ ...registry.config, caPem: 'nonsense' }), { code: 'CONFIG_INVALID' });
  } finally {
    await own.close();
  }
});
