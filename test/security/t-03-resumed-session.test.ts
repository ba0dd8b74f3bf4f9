import assert from 'node:assert/strict';
import { once } from 'node:events';
import { after, before, test } from 'node:test';
import { connect } from 'node:tls';
import { peerClientContext, peerConnectOptions } from '@sealift/pki';
import { TestTracker } from '../../packages/tracker/src/tracker.fixture.ts';
import { mallory, setScene } from './mallory.ts';

const tracker = new TestTracker();
before(() => tracker.start());
after(() => tracker.stop());

test('T-03: no session of the peer port can be resumed', async (t) => {
  const { blob, seeder, tls, mint, dial } = await setScene(t);
  const first = await dial();
  let ticket: Buffer | undefined;
  first.socket.on('session', (session) => {
    ticket = session;
  });
  first.greet(blob.swarmId, mallory, await mint());
  await first.opened();
  first.socket.destroy();
  const session = ticket ?? first.socket.getSession();
  const options = { ...peerConnectOptions(peerClientContext(tls)), host: '127.0.0.1', port: seeder.engine.port };
  const second = connect({ ...options, ...(session === undefined ? {} : { session }) });
  second.on('error', () => {});
  await once(second, 'secureConnect');
  assert.equal(second.isSessionReused(), false);
  second.destroy();
});

test('T-03: no session of the tracker can be resumed', async () => {
  const open = async (session?: Buffer) => {
    const socket = connect({
      host: '127.0.0.1',
      port: tracker.tracker.port,
      ca: tracker.state.clusterInfo.trustAnchors,
      checkServerIdentity: () => undefined,
      ...(session === undefined ? {} : { session }),
    });
    const tickets: Buffer[] = [];
    socket.on('session', (ticket) => tickets.push(ticket));
    await once(socket, 'secureConnect');
    const isReused = socket.isSessionReused();
    socket.write('GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n');
    socket.resume();
    await once(socket, 'close');
    return { tickets, session: socket.getSession(), isReused };
  };
  const first = await open();
  // OpenSSL sends tickets all the same; they are worth nothing.
  for (const session of [...first.tickets, first.session]) assert.equal((await open(session)).isReused, false);
});
