import assert from 'node:assert/strict';
import { once } from 'node:events';
import { type AddressInfo, createServer as createTcpServer, type Server } from 'node:net';
import { after, before, test } from 'node:test';
import { createServer } from 'node:tls';
import { createSigningRequest, peerServerOptions, type TlsMaterial } from '@sealift/pki';
import type { ReachAnswer } from '@sealift/tracker-api';
import type { Agent } from 'undici';
import { TestTracker } from '../../packages/tracker/src/tracker.fixture.ts';

const cluster = new TestTracker({ limits: { reach: { burst: 6, perSecond: 0 } } });
const servers: Server[] = [];
before(() => cluster.start());
after(async () => {
  for (const server of servers) server.close();
  await cluster.stop();
});

const signal = (): AbortSignal => AbortSignal.timeout(20_000);

/** A node that asks over as many connections as there are questions, and what it shows to its peers. */
async function enrol(): Promise<{ reach: (port: number) => Promise<ReachAnswer>; agent: Agent; tls: TlsMaterial }> {
  const { token } = cluster.state.joinTokens.create({ isReusable: false, ttlMs: 60_000 });
  const { privateKeyPem, csrPem } = await createSigningRequest();
  const answer = await cluster.client(cluster.agent()).enrol({ csr: csrPem, joinToken: token }, { signal: signal() });
  const { trustAnchors } = answer.cluster;
  return {
    reach: (port) => cluster.node(answer, privateKeyPem).client.reach({ port }, { signal: signal() }),
    agent: cluster.node(answer, privateKeyPem).agent,
    tls: { trustAnchors, certificatePem: answer.certificate, privateKeyPem },
  };
}

async function portOf(server: Server): Promise<number> {
  servers.push(server);
  server.on('connection', (socket) => socket.on('error', () => {}));
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return (server.address() as AddressInfo).port;
}

test('T-40: the tracker dials who asks and nobody else, and a no tells nothing of what listens there', async (t) => {
  const [{ reach, agent, tls }, other] = [await enrol(), await enrol()];
  const peers = createServer(peerServerOptions(tls));
  peers.on('tlsClientError', () => {});
  assert.deepEqual(await reach(await portOf(peers)), { address: '127.0.0.1', isReached: true });

  await t.test(
    'a port that is closed, open, or the peer port of another node gives the same no, and no sooner',
    async () => {
      const closed = createTcpServer();
      const closedPort = await portOf(closed);
      closed.close();
      const ports = {
        closed: closedPort,
        'with something that closes at once': await portOf(createTcpServer((socket) => socket.destroy())),
        'with something that greets': await portOf(createTcpServer((socket) => socket.end('SSH-2.0-x\r\n'))),
        'of another node': await portOf(createServer(peerServerOptions(other.tls))),
      };
      const startedAt = performance.now();
      const answers = await Promise.all(
        Object.entries(ports).map(async ([name, port]) => {
          const answer = await reach(port);
          // Not how long it took, which a busy machine decides, but that none came at once.
          return { name, ...answer, isEarly: performance.now() - startedAt < 2_500 };
        }),
      );
      for (const { name, ...answer } of answers) {
        assert.deepEqual(answer, { address: '127.0.0.1', isReached: false, isEarly: false }, name);
      }
    },
  );

  await t.test('an address that the caller names is not looked at', async () => {
    const { statusCode, body } = await agent.request({
      origin: cluster.origin,
      method: 'POST',
      path: '/v1/reach',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ port: 22, address: '192.0.2.1' }),
    });
    assert.equal(statusCode, 400);
    assert.equal(((await body.json()) as { code: string }).code, 'INVALID_REQUEST');
  });

  await t.test('who has no certificate gets nobody dialled, and who asks on and on is told to wait', async () => {
    const stranger = cluster.client(cluster.agent());
    const refusedAs = (code: string) => ({
      code: 'TRACKER_REFUSED',
      details: { status: code === 'CERT_REQUIRED' ? 401 : 429, code },
    });
    await assert.rejects(stranger.reach({ port: 22 }, { signal: signal() }), refusedAs('CERT_REQUIRED'));
    const port = await portOf(createServer(peerServerOptions(tls)).on('tlsClientError', () => {}));
    await reach(port);
    await assert.rejects(reach(port), refusedAs('TOO_MANY_REQUESTS'));
  });
});
