import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { type AddressInfo, connect } from 'node:net';
import { type TestContext, test } from 'node:test';
import { isAppError, parseSwarmId } from '@sealift/core';
import { Agent } from 'undici';
import { encodeAnnounceAnswer, MAX_ANNOUNCE_ANSWER_LENGTH } from './announce-answer.ts';
import { AnnounceClient } from './announce-client.ts';
import type { AnnounceRequest } from './announce-request.ts';

const GRANT = 'header.claims.signature';
const request: AnnounceRequest = {
  swarmId: parseSwarmId('77ddf026c6c8cde208dd6cb2718f815c63ee2a21'),
  event: 'started',
  left: 10,
  uploaded: 0,
  downloaded: 0,
  port: 6881,
  grant: GRANT,
  denyVersion: 0,
};
const answer = {
  intervalMs: 30_000,
  complete: 1,
  incomplete: 0,
  peers: [{ peerId: Buffer.alloc(20, 0xfe), host: '10.0.0.7', port: 6881 }],
};

/** A tracker on loopback that answers with `handle`. TLS is the dispatcher's business, so here it connects without. */
async function newTracker(t: TestContext, handle: (request: IncomingMessage, response: ServerResponse) => void) {
  const requests: IncomingMessage[] = [];
  const server = createServer((incoming, response) => {
    requests.push(incoming);
    handle(incoming, response);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const agent = new Agent({
    connect: (_options, callback) => {
      const socket = connect(port, '127.0.0.1', () => callback(null, socket)).once('error', (error) =>
        callback(error, null),
      );
    },
  });
  t.after(async () => {
    await agent.destroy();
    server.closeAllConnections();
    server.close();
  });
  return { requests, client: new AnnounceClient({ origin: 'https://tracker.example:7443', dispatcher: () => agent }) };
}

function signal(): AbortSignal {
  return new AbortController().signal;
}

test('an announce brings the answer, and the grant travels in its header only', async (t) => {
  const { client, requests } = await newTracker(t, (_, response) => response.end(encodeAnnounceAnswer(answer)));
  assert.deepEqual(await client.announce(request, { signal: signal() }), answer);
  const [seen] = requests;
  assert.equal(seen?.method, 'GET');
  assert.equal(seen?.headers.authorization, `Bearer ${GRANT}`);
  assert.match(seen.url ?? '', /^\/announce\?info_hash=w%DD%F0/);
  assert.doesNotMatch(seen.url ?? '', /signature/);
});

test('the dispatcher of the moment is used for each announce', async (t) => {
  const { client } = await newTracker(t, (_, response) => response.end(encodeAnnounceAnswer(answer)));
  await client.announce(request, { signal: signal() });
  let asked = 0;
  const gone = new Agent();
  await gone.close();
  const other = new AnnounceClient({
    origin: 'https://tracker.example',
    dispatcher: () => {
      asked += 1;
      return gone;
    },
  });
  for (let turn = 1; turn <= 2; turn += 1) {
    await assert.rejects(other.announce(request, { signal: signal() }), { code: 'ANNOUNCE_FAILED' });
    assert.equal(asked, turn);
  }
});

test('a redirect is a failure and nobody else hears of the grant', async (t) => {
  const { client, requests } = await newTracker(t, (_, response) => {
    response.writeHead(302, { location: 'https://elsewhere.example/announce' }).end();
  });
  await assert.rejects(client.announce(request, { signal: signal() }), {
    code: 'ANNOUNCE_FAILED',
    details: { reason: 'the tracker refused', status: 302 },
  });
  assert.equal(requests.length, 1);
});

test('a refusal with an endless body does not hold the announce', async (t) => {
  const { client } = await newTracker(t, (_, response) => {
    response.writeHead(403);
    response.write(Buffer.alloc(256 * 1024));
  });
  await assert.rejects(client.announce(request, { signal: signal() }), { code: 'ANNOUNCE_FAILED' });
});

test('a failure reason in an answer is an ANNOUNCE_FAILED', async (t) => {
  const { client } = await newTracker(t, (_, response) => response.end('d14:failure reason14:not authorizede'));
  await assert.rejects(client.announce(request, { signal: signal() }), {
    code: 'ANNOUNCE_FAILED',
    details: { reason: 'the tracker refused', failure: 'not authorized' },
  });
});

test('an answer above the limit is cut off while it comes in', async (t) => {
  const { client } = await newTracker(t, (_, response) => {
    response.write(Buffer.alloc(MAX_ANNOUNCE_ANSWER_LENGTH + 1));
  });
  await assert.rejects(client.announce(request, { signal: signal() }), {
    code: 'ANNOUNCE_FAILED',
    details: { reason: 'the answer is too long' },
  });
});

test('an answer that is cut in the middle is a failure', async (t) => {
  const { client } = await newTracker(t, (_, response) => {
    response.writeHead(200, { 'content-length': 100 });
    response.write('d8:interval', () => response.destroy());
  });
  await assert.rejects(client.announce(request, { signal: signal() }), { code: 'ANNOUNCE_FAILED' });
});

test('a caller that gives up gets its own reason back', async (t) => {
  const controller = new AbortController();
  const reason = new Error('node stops');
  const { client } = await newTracker(t, () => controller.abort(reason));
  await assert.rejects(client.announce(request, { signal: controller.signal }), reason);
  await assert.rejects(client.announce(request, { signal: controller.signal }), reason);
});

test('a caller that gives up while the answer comes in gets its own reason back', async (t) => {
  const controller = new AbortController();
  const reason = new Error('node stops');
  const { client } = await newTracker(t, (_, response) => {
    response.write('d', () => controller.abort(reason));
  });
  await assert.rejects(client.announce(request, { signal: controller.signal }), reason);
});

test('no error tells the grant', async (t) => {
  const { client } = await newTracker(t, (_, response) => response.destroy());
  const withGrant = { ...request, grant: 'bad\r\nsecret-grant' };
  for (const announce of [request, withGrant]) {
    await assert.rejects(client.announce(announce, { signal: signal() }), (error: Error) => {
      assert.ok(isAppError(error, 'ANNOUNCE_FAILED'));
      for (let cause: unknown = error; cause instanceof Error; cause = cause.cause) {
        assert.doesNotMatch(`${cause.message} ${cause.stack}`, /signature|secret-grant/);
      }
      return true;
    });
  }
});

for (const origin of [
  'http://tracker.example',
  'https://u:p@tracker.example',
  'https://tracker.example/x',
  'tracker',
  '',
]) {
  test(`"${origin}" is no tracker to announce to`, () => {
    const dispatcher = (): never => assert.fail('nothing is sent');
    assert.throws(() => new AnnounceClient({ origin, dispatcher }), { code: 'CONFIG_INVALID' });
  });
}
