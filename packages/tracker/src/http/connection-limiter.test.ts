import { once } from 'node:events';
import { test } from 'node:test';
import { connect } from 'node:tls';
import { TestTracker } from '../tracker.fixture.ts';

test('a stop does not wait for a connection that never sends a request', async () => {
  const cluster = new TestTracker();
  await cluster.start();
  const { port } = cluster.tracker;
  // Checks nothing, since it only has to stand.
  const socket = connect({ host: '127.0.0.1', port, ca: cluster.state.clusterInfo.trustAnchors });
  socket.on('error', () => {});
  await once(socket, 'secureConnect');
  const closed = once(socket, 'close');
  await cluster.stop();
  await closed;
});
