import assert from 'node:assert/strict';
import { createServer, type RequestListener } from 'node:http';
import type { AddressInfo } from 'node:net';
import { test } from 'node:test';
import { Agent } from 'undici';
import { TrackerClient } from './tracker-client.ts';

const signal = new AbortController().signal;

async function withTracker(
  listener: RequestListener,
  use: (client: TrackerClient) => Promise<void>,
  timeoutMs = 10_000,
): Promise<void> {
  const server = createServer(listener);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const agent = new Agent();
  const origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  try {
    await use(new TrackerClient({ origin, dispatcher: () => agent, timeoutMs }));
  } finally {
    await agent.destroy();
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  }
}

const join = {
  registry: 'r.example',
  repository: 'a',
  digest: `sha256:${'0'.repeat(64)}`,
  intent: 'pull',
  authorization: 'Bearer very-secret',
} as const;

test('an answer that fits its schema is handed back', async () => {
  await withTracker(
    (_request, response) => response.end('{"verdict":"denied","reason":"no"}'),
    async (client) => assert.deepEqual(await client.join(join, { signal }), { verdict: 'denied', reason: 'no' }),
  );
});

const junk = ['', 'null', '{', '{"verdict":"granted"}', '{"verdict":"denied","reason":"x","more":1}'];
for (const body of junk) {
  test(`the answer ${JSON.stringify(body)} counts as no answer`, async () => {
    await withTracker(
      (_request, response) => response.end(body),
      (client) => assert.rejects(client.join(join, { signal }), { code: 'TRACKER_UNAVAILABLE' }),
    );
  });
}

test('a refusal carries the code of the tracker and not what was sent', async () => {
  await withTracker(
    (_request, response) => response.writeHead(403).end('{"code":"NODE_DENIED","message":"no"}'),
    (client) =>
      assert.rejects(client.join(join, { signal }), (error: Error & { code: string; details: object }) => {
        assert.equal(error.code, 'TRACKER_REFUSED');
        assert.deepEqual(error.details, { status: 403, code: 'NODE_DENIED' });
        assert.doesNotMatch(String(error.stack), /very-secret/);
        return true;
      }),
  );
});

test('a fault of the tracker is not a refusal', async () => {
  await withTracker(
    (_request, response) => response.writeHead(500).end('{"code":"NODE_DENIED","message":"no"}'),
    (client) => assert.rejects(client.join(join, { signal }), { code: 'TRACKER_UNAVAILABLE' }),
  );
});

test('a tracker that never answers is given up after the deadline', async () => {
  await withTracker(
    () => {},
    (client) => assert.rejects(client.cluster({ signal }), { code: 'TRACKER_UNAVAILABLE' }),
    100,
  );
});

test('an answer without end is cut at the limit', async () => {
  await withTracker(
    (_request, response) => {
      const chunk = Buffer.alloc(1024 * 1024, 0x20);
      const more = () => {
        while (!response.destroyed && response.write(chunk));
      };
      response.on('drain', more);
      more();
    },
    (client) =>
      assert.rejects(client.cluster({ signal }), {
        code: 'TRACKER_UNAVAILABLE',
        details: { reason: 'the answer is too long' },
      }),
  );
});

test('a refresh that answers for fewer grants than asked is refused', async () => {
  await withTracker(
    (_request, response) => response.end('{"grants":[]}'),
    (client) => assert.rejects(client.refresh({ grants: ['g'] }, { signal }), { code: 'TRACKER_UNAVAILABLE' }),
  );
});

test('a report needs no body in the answer', async () => {
  await withTracker(
    (_request, response) => response.writeHead(204).end(),
    (client) => client.report({ swarmId: 's', nodeId: 'n', kind: 'corrupt-piece' }, { signal }),
  );
});
