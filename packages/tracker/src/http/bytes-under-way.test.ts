import assert from 'node:assert/strict';
import { once } from 'node:events';
import http from 'node:http';
import { type AddressInfo, connect } from 'node:net';
import { test } from 'node:test';
import { BytesUnderWay } from './bytes-under-way.ts';

test('bytes count until their answer is over, and those of a caller who has gone do not count', async (t) => {
  const server = http.createServer().listen(0, '127.0.0.1');
  t.after(() => server.close());
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const open = async () => {
    const socket = connect({ host: '127.0.0.1', port });
    socket.write('GET / HTTP/1.1\r\nHost: x\r\n\r\n');
    const [, response] = (await once(server, 'request')) as [http.IncomingMessage, http.ServerResponse];
    return { socket, response };
  };
  const bytes = new BytesUnderWay({ maxBytes: 100 });
  const first = await open();
  assert.ok(bytes.admit(first.response, 60));
  const second = await open();
  assert.ok(!bytes.admit(second.response, 60));
  const over = once(first.response, 'close');
  first.socket.destroy();
  await over;
  // Its answer comes after it has gone.
  for (let attempt = 0; attempt < 3; attempt += 1) assert.ok(bytes.admit(first.response, 60));
  assert.ok(bytes.admit(second.response, 100));
  second.socket.destroy();
});
