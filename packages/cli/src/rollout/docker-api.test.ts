import assert from 'node:assert/strict';
import { afterEach, before, beforeEach, suite, test } from 'node:test';
import { parseDigest } from '@sealift/core';
import { DockerApi } from './docker-api.ts';
import { DockerPki, FakeDockerd, IMAGE, type PullScript } from './fake-dockerd.fixture.ts';
import type { PullProgress } from './pull-progress.ts';

const DIGEST = parseDigest(`sha256:${'a'.repeat(64)}`);

suite('a dockerd over mutual TLS', () => {
  let pki: DockerPki;
  let dockerd: FakeDockerd;
  let docker: DockerApi;
  before(async () => {
    pki = await DockerPki.create();
  });
  beforeEach(async () => {
    dockerd = await new FakeDockerd(pki, { resolvesTo: DIGEST }).start();
    docker = new DockerApi({
      host: dockerd.host,
      secureContext: pki.client,
      redact: (text) => text.replaceAll('s3cret', '…'),
    });
  });
  afterEach(async () => {
    docker.close();
    await dockerd.stop();
  });
  const signal = AbortSignal.timeout(60_000);
  const call = { image: IMAGE, registryAuth: 'e30=', signal };
  const pull = (onProgress: (progress: PullProgress) => void = () => {}) =>
    docker.pull(call, { digest: DIGEST, onProgress });

  test('an image is resolved, pulled by digest and tagged, with the credentials where a registry is asked', async () => {
    assert.equal(await docker.resolve(call, '1'), DIGEST);
    assert.deepEqual(await docker.digestsOf(IMAGE, '1', call), []);
    const seen: number[] = [];
    await pull(({ bytes }) => void seen.push(bytes));
    await docker.tag(IMAGE, { digest: DIGEST, tag: '1', signal });
    assert.deepEqual(seen, [0, 500, 1_000, 1_000]);
    assert.deepEqual(await docker.digestsOf(IMAGE, '1', call), [DIGEST]);
    const asked = dockerd.requests.map(({ method, url, registryAuth }) =>
      `${method} ${decodeURIComponent(url)} ${registryAuth ?? ''}`.trim(),
    );
    assert.deepEqual(asked, [
      'GET /_ping',
      `GET /v1.41/distribution/${IMAGE}:1/json e30=`,
      `GET /v1.41/images/${IMAGE}:1/json`,
      `POST /v1.41/images/create?fromImage=${IMAGE}&tag=${DIGEST} e30=`,
      `GET /v1.41/images/${IMAGE}@${DIGEST}/json`,
      `POST /v1.41/images/${IMAGE}@${DIGEST}/tag?repo=${IMAGE}&tag=1`,
      `GET /v1.41/images/${IMAGE}:1/json`,
    ]);
  });

  test('a newer daemon is spoken to in the API that we know', async () => {
    dockerd.apiVersion = '1.99';
    await docker.digestsOf(IMAGE, '1', call);
    assert.match(dockerd.requests[1]?.url ?? '', /^\/v1\.51\//);
  });

  test('a daemon that does not say what it speaks is none', async () => {
    dockerd.apiVersion = '1.41/../..';
    await assert.rejects(docker.digestsOf(IMAGE, '1', call), { code: 'DOCKER_UNAVAILABLE' });
  });

  test('whoever poses as a daemon with a certificate of another CA hears nothing', async (t) => {
    const posing = await new FakeDockerd(await DockerPki.create(), { resolvesTo: DIGEST, takesAnybody: true }).start();
    t.after(() => posing.stop());
    const deceived = new DockerApi({ host: posing.host, secureContext: pki.client, redact: (text) => text });
    t.after(() => deceived.close());
    await assert.rejects(deceived.resolve(call, '1'), { code: 'DOCKER_UNAVAILABLE' });
    assert.deepEqual(posing.requests, []);
  });

  test('a daemon is believed under the names of its certificate only', async () => {
    const host = { ...dockerd.host, host: 'localhost' };
    const renamed = new DockerApi({ host, secureContext: pki.client, redact: (text) => text });
    await assert.rejects(renamed.resolve(call, '1'), { code: 'DOCKER_UNAVAILABLE', message: /altnames/ });
    renamed.close();
  });

  test('a daemon takes no client of another CA', async () => {
    const other = await DockerPki.create();
    const stranger = new DockerApi({ host: dockerd.host, secureContext: other.client, redact: (text) => text });
    await assert.rejects(stranger.digestsOf(IMAGE, '1', call), { code: 'DOCKER_UNAVAILABLE' });
    assert.deepEqual(dockerd.requests, []);
    stranger.close();
  });

  const failures: Readonly<Record<string, { script: PullScript; code: string; reason: RegExp }>> = {
    'an error in the middle of the stream, under status 200': {
      script: (response) =>
        response.end('{"status":"Downloading","id":"a"}\r\n{"error":"no space left for s3cret\\u001b[2J"}\r\n'),
      code: 'DOCKER_REFUSED',
      reason: /^no space left for …\\u\{1b\}\[2J$/,
    },
    'a stream that is cut': {
      script: (response) => response.write('{"status":"Waiting","id":"a"}\n', () => response.destroy()),
      code: 'DOCKER_UNAVAILABLE',
      reason: /./,
    },
    'a line without an end': {
      script: (response) => {
        const more = (): void => {
          if (!response.destroyed) response.write('x'.repeat(16_384), () => setImmediate(more));
        };
        more();
      },
      code: 'DOCKER_UNAVAILABLE',
      reason: /too long/,
    },
    'lines that are no JSON': {
      script: (response) => void response.write('OK\n{"status":"Waiting"}\n'),
      code: 'DOCKER_UNAVAILABLE',
      reason: /not JSON/,
    },
    'a good end without an image': {
      script: (response) => response.end('{"status":"Status: Downloaded newer image"}\n'),
      code: 'DOCKER_UNAVAILABLE',
      reason: /does not have the image/,
    },
  };
  for (const [what, { script, code, reason }] of Object.entries(failures)) {
    test(`a pull that ends with ${what} has failed`, async () => {
      dockerd.script = script;
      await assert.rejects(pull(), (error: { code?: string; details?: { reason?: string } }) => {
        assert.equal(error.code, code);
        assert.match(error.details?.reason ?? '', reason);
        return true;
      });
    });
  }

  test('a secret that a daemon repeats is found whatever its length, also in the middle of a long story', async () => {
    const secret = 'q'.repeat(3_000);
    dockerd.script = (response) => response.end(`${JSON.stringify({ error: `no such user: ${secret}` })}\n`);
    const redact = (text: string): string => text.replaceAll(secret, '…');
    const careful = new DockerApi({ host: dockerd.host, secureContext: pki.client, redact });
    await assert.rejects(careful.pull(call, { digest: DIGEST, onProgress: () => {} }), {
      code: 'DOCKER_REFUSED',
      details: { host: dockerd.host.name, reason: 'no such user: …', status: 200 },
    });
    careful.close();
  });

  test('a daemon that begins an answer and does not end it is out of order, not our bug', async () => {
    dockerd.inspection = (response) => response.writeHead(200).write('{');
    const host = dockerd.host;
    const hasty = new DockerApi({ host, secureContext: pki.client, redact: (text) => text, answerTimeoutMs: 500 });
    await assert.rejects(hasty.digestsOf(IMAGE, '1', call), { code: 'DOCKER_UNAVAILABLE', message: /in time/ });
    hasty.close();
  });

  test('a pull that hangs ends with the signal, for its reason', async () => {
    const asked = Promise.withResolvers<void>();
    dockerd.script = () => asked.resolve();
    const end = new AbortController();
    const pulling = docker.pull({ ...call, signal: end.signal }, { digest: DIGEST, onProgress: () => {} });
    await asked.promise;
    end.abort(new Error('enough'));
    await assert.rejects(pulling, { message: 'enough' });
  });

  test('a tag without a digest, and a port where nobody listens, are told', async () => {
    dockerd.resolvesTo = 'latest';
    await assert.rejects(docker.resolve(call, '1'), { code: 'DOCKER_UNAVAILABLE' });
    const gone = new DockerApi({
      host: { ...dockerd.host, port: 1 },
      secureContext: pki.client,
      redact: (text) => text,
    });
    await assert.rejects(gone.digestsOf(IMAGE, '1', call), { code: 'DOCKER_UNAVAILABLE' });
  });
});
