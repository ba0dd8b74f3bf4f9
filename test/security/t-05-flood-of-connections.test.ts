import assert from 'node:assert/strict';
import { EventEmitter, once } from 'node:events';
import { connect } from 'node:net';
import { after, before, type TestContext, test } from 'node:test';
import { connect as connectTls } from 'node:tls';
import { peerClientContext, peerConnectOptions } from '@sealift/pki';
import { startProxy, startUpstream } from '../../packages/proxy/src/proxy.fixture.ts';
import { TestTracker } from '../../packages/tracker/src/tracker.fixture.ts';
import { setScene } from './mallory.ts';

const FLOOD = 40;
const tracker = new TestTracker({ limits: { strangers: 12, strangersPerAddress: 8 } });
before(() => tracker.start());
after(() => tracker.stop());

/** Many connections from one address on which nothing is said. */
class Flood {
  #cutCount = 0;
  readonly #events = new EventEmitter();

  constructor(t: TestContext, port: number, localAddress: string) {
    for (let count = 0; count < FLOOD; count += 1) {
      const socket = connect({ host: '127.0.0.1', port, localAddress }).resume();
      t.after(() => socket.destroy());
      socket.on('error', () => {});
      socket.once('close', () => {
        this.#cutCount += 1;
        this.#events.emit('cut');
      });
    }
  }

  /** Waits until all but so many of them are cut. */
  async cutTo(count: number): Promise<void> {
    while (this.#cutCount < FLOOD - count) await once(this.#events, 'cut');
  }
}

test('T-05: silent connections to a peer are bounded by address and in all, and leave room for another address', async (t) => {
  const limits = { maxPendingHandshakes: 12, maxPendingHandshakesPerAddress: 8, handshakeTimeoutMs: 60_000 };
  const { seeder, tls } = await setScene(t, { limits });
  await new Flood(t, seeder.engine.port, '127.0.0.2').cutTo(8);
  assert.equal(seeder.engine.stats.strangers, 8);
  await new Flood(t, seeder.engine.port, '127.0.0.3').cutTo(8);
  assert.ok(seeder.engine.stats.strangers <= 12);
  // The places of strangers are all taken: a third address gets one of those who hold most.
  const options = { ...peerConnectOptions(peerClientContext(tls)), host: '127.0.0.1', port: seeder.engine.port };
  const honest = connectTls({ ...options, localAddress: '127.0.0.4' } as never);
  await once(honest, 'secureConnect');
  honest.destroy();
  assert.ok(seeder.engine.stats.strangers <= 12);
});

test('T-05: handshakes that prove no right come at a rate only, whatever the number of connections at once', async (t) => {
  const limits = { strangerRate: { burst: 10, perSecond: 0 } };
  const { seeder, tls } = await setScene(t, { limits });
  const handshake = async (localAddress: string): Promise<'secure' | 'cut'> => {
    const options = { ...peerConnectOptions(peerClientContext(tls)), host: '127.0.0.1', port: seeder.engine.port };
    const socket = connectTls({ ...options, localAddress } as never);
    socket.on('error', () => {});
    const events = { secureConnect: 'secure', close: 'cut' } as const;
    const outcome = await Promise.race(
      Object.entries(events).map(
        ([event, name]) => new Promise<'secure' | 'cut'>((done) => socket.once(event, () => done(name))),
      ),
    );
    socket.destroy();
    return outcome;
  };
  const outcomes: string[] = [];
  for (let count = 0; count < 15; count += 1) outcomes.push(await handshake('127.0.0.2'));
  assert.deepEqual(outcomes, [...Array(10).fill('secure'), ...Array(5).fill('cut')]);
  assert.equal(await handshake('127.0.0.3'), 'secure');
});

test('T-05: strangers at the tracker are bounded by address, and stop neither another address nor a node', async (t) => {
  const node = await tracker.enrol();
  await new Flood(t, tracker.tracker.port, '127.0.0.2').cutTo(8);
  await new Flood(t, tracker.tracker.port, '127.0.0.3').cutTo(8);
  const ca = tracker.state.clusterInfo.trustAnchors;
  const options = { host: '127.0.0.1', port: tracker.tracker.port, ca, checkServerIdentity: () => undefined };
  const stranger = connectTls({ ...options, localAddress: '127.0.0.4' } as never);
  await once(stranger, 'secureConnect');
  stranger.destroy();
  const registry = tracker.registry.host;
  const request = { registry, repository: 'a', digest: `sha256:${'0'.repeat(64)}`, intent: 'pull' } as const;
  const { verdict } = await node.client.join(request, { signal: AbortSignal.timeout(10_000) });
  assert.equal(verdict, 'denied');
});

test('T-05: silent clients of the proxy make room for the next one, and one address does not get all places', async (t) => {
  const upstream = await startUpstream(t, (_, response) => void response.end());
  const limits = { maxConnections: 30, maxConnectionsPerAddress: 20, maxSilentConnections: 10 };
  const { port } = await startProxy(t, { registries: [upstream.config], limits });
  await new Flood(t, port, '127.0.0.1').cutTo(10);
  for (const localAddress of ['127.0.0.1', '127.0.0.2']) {
    const client = connect({ host: '127.0.0.1', port, localAddress });
    client.write('GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n');
    const [answer] = (await once(client, 'data')) as [Buffer];
    assert.match(answer.toString(), /^HTTP\/1\.1 200 /);
    client.destroy();
  }
});
