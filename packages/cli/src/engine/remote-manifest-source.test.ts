import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseDigest, parseRegistryHost, parseRepository, silentLogger } from '@sealift/core';
import {
  ENGINE_MESSAGES,
  type EngineMessage,
  FRONT_MESSAGES,
  type FrontMessage,
  parseMessage,
} from './engine-messages.ts';
import { type ManifestFinder, ManifestService } from './manifest-service.ts';
import { RemoteManifestSource } from './remote-manifest-source.ts';

const manifest = {
  registry: parseRegistryHost('registry.example'),
  repository: parseRepository('team/app'),
  digest: parseDigest(`sha256:${'a'.repeat(64)}`),
};
const request = { manifest, authorization: 'Bearer x' };
const bytes = Buffer.from('{"schemaVersion":2}');

/** Both halves, with each message read and written as it crosses over. */
function wire(fetch: ManifestFinder['fetch']) {
  const source = new RemoteManifestSource();
  const service = new ManifestService({
    finder: { fetch },
    send: (message: EngineMessage) => source.take(parseMessage(ENGINE_MESSAGES, JSON.stringify(message))),
    log: silentLogger,
  });
  source.attach((message: FrontMessage) => {
    service.take(parseMessage(FRONT_MESSAGES, JSON.stringify(message)));
    return true;
  });
  return { source, service };
}

const signal = (): AbortSignal => AbortSignal.timeout(10_000);

test('a manifest crosses over whole, with the header of whoever asks', async () => {
  const asked: unknown[] = [];
  const { source } = wire(async (question) => {
    asked.push(question);
    return { bytes, mediaType: 'a/b' };
  });
  assert.deepEqual(await source.fetch(request, { signal: signal() }), { bytes, mediaType: 'a/b' });
  await source.fetch({ manifest, authorization: undefined }, { signal: signal() });
  assert.deepEqual(asked, [request, { manifest, authorization: undefined }]);
});

test('an engine that has nothing, fails, stops or is not there passes the request through', async () => {
  const { source: without } = wire(async () => undefined);
  assert.equal(await without.fetch(request, { signal: signal() }), undefined);
  const { source: failing, service } = wire(() => Promise.reject(new Error('a bug')));
  assert.equal(await failing.fetch(request, { signal: signal() }), undefined);
  service.stop();
  assert.equal(await failing.fetch(request, { signal: signal() }), undefined);
  assert.equal(await new RemoteManifestSource().fetch(request, { signal: signal() }), undefined);
  const deaf = new RemoteManifestSource();
  deaf.attach(() => false);
  assert.equal(await deaf.fetch(request, { signal: signal() }), undefined);
});

test('nobody waits for an engine that is gone, nor longer than the client does', async () => {
  const { source } = wire(() => new Promise(() => {}));
  const waiting = source.fetch(request, { signal: signal() });
  source.detach();
  assert.equal(await waiting, undefined);
  const { source: hanging } = wire(() => new Promise(() => {}));
  const client = new AbortController();
  const given = hanging.fetch(request, { signal: client.signal });
  client.abort(new Error('gone'));
  await assert.rejects(given, /gone/);
});
