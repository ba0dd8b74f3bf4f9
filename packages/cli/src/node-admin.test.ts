import assert from 'node:assert/strict';
import { once } from 'node:events';
import { statSync } from 'node:fs';
import { stat } from 'node:fs/promises';
import { createServer, type ServerResponse } from 'node:http';
import { connect, Server, type Socket } from 'node:net';
import { test } from 'node:test';
import { inTemporaryDirectory } from './cli-process.fixture.ts';
import { adminSocketPath, askNode, NodeAdmin, readNodeStatus } from './node-admin.ts';

/** Gives `work` a running admin socket. */
async function withAdmin(work: (dataDirectory: string) => Promise<void>, { timeoutMs = 200 } = {}): Promise<void> {
  await inTemporaryDirectory(async (dataDirectory) => {
    const admin = new NodeAdmin({ dataDirectory, status: async () => ({ name: 'rack-1' }), timeoutMs });
    await admin.start();
    try {
      await work(dataDirectory);
    } finally {
      await admin.stop();
    }
  });
}

async function open(dataDirectory: string): Promise<Socket> {
  const socket = connect(adminSocketPath(dataDirectory));
  socket.on('error', () => {});
  await once(socket, 'connect');
  return socket.resume();
}

test('the socket is for its own user, and answers', () =>
  withAdmin(async (dataDirectory) => {
    const { mode } = await stat(adminSocketPath(dataDirectory));
    assert.equal(mode & 0o777, 0o600);
    assert.deepEqual(await readNodeStatus(dataDirectory), { name: 'rack-1' });
  }));

test('who is silent, slow with a head or slow with a body is cut off in time', () =>
  withAdmin(async (dataDirectory) => {
    const texts = ['', 'GET /v1/status HT', 'POST /v1/status HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nabc'];
    for (const text of texts) {
      const socket = await open(dataDirectory);
      const closed = once(socket, 'close');
      if (text !== '') socket.write(text);
      await closed;
    }
    assert.deepEqual(await readNodeStatus(dataDirectory), { name: 'rack-1' });
  }));

test('more connections than a person needs are cut at once', () =>
  withAdmin(
    async (dataDirectory) => {
      const sockets = await Promise.all(Array.from({ length: 17 }, () => open(dataDirectory)));
      await Promise.race(sockets.map((socket) => once(socket, 'close')));
      assert.equal(sockets.filter(({ destroyed }) => destroyed).length, 1);
      for (const socket of sockets) socket.destroy();
    },
    { timeoutMs: 20_000 },
  ));

test('a question that is asked by POST is answered with what was asked, and no other', () =>
  inTemporaryDirectory(async (dataDirectory) => {
    const answers = { echo: async (question: object) => ({ heard: question }) };
    const admin = new NodeAdmin({ dataDirectory, status: async () => ({}), answers });
    await admin.start();
    try {
      assert.deepEqual(await askNode(dataDirectory, 'echo', { a: 1 }), { heard: { a: 1 } });
      await assert.rejects(askNode(dataDirectory, 'constructor'), { code: 'NOT_FOUND' });
      // Cut off: too long, and no object.
      await assert.rejects(askNode(dataDirectory, 'echo', { long: 'x'.repeat(40_000) }));
      await assert.rejects(askNode(dataDirectory, 'echo', ['x']));
    } finally {
      await admin.stop();
    }
  }));

test('a state that cannot be told cuts who asks, and nothing else', () =>
  inTemporaryDirectory(async (dataDirectory) => {
    let isTold = false;
    const tell = async () => (isTold ? { ok: true } : assert.fail('not now'));
    const admin = new NodeAdmin({ dataDirectory, status: tell, answers: { reach: tell } });
    await admin.start();
    try {
      await assert.rejects(readNodeStatus(dataDirectory));
      await assert.rejects(askNode(dataDirectory, 'reach'));
      isTold = true;
      assert.deepEqual(await readNodeStatus(dataDirectory), { ok: true });
    } finally {
      await admin.stop();
    }
  }));

test('the socket is never open to others, whatever the umask', (t) =>
  inTemporaryDirectory(async (dataDirectory) => {
    const umask = process.umask(0);
    t.after(() => process.umask(umask));
    const modes: number[] = [];
    const { listen } = Server.prototype;
    t.mock.method(Server.prototype, 'listen', function (this: Server, ...args: Parameters<typeof listen>) {
      listen.apply(this, args);
      modes.push(statSync(adminSocketPath(dataDirectory)).mode & 0o077);
      return this;
    });
    const admin = new NodeAdmin({ dataDirectory, status: async () => ({}) });
    await admin.start();
    await admin.stop();
    assert.deepEqual(modes, [0]);
    assert.equal(process.umask(), 0);
  }));

test('an answer that is no JSON, or is cut, is no answer', () =>
  inTemporaryDirectory(async (dataDirectory) => {
    let answer: (response: ServerResponse) => void = (response) => response.end('ssh: forwarding failed');
    const server = createServer((_request, response) => answer(response));
    server.listen(adminSocketPath(dataDirectory));
    await once(server, 'listening');
    try {
      await assert.rejects(readNodeStatus(dataDirectory), SyntaxError);
      answer = (response) => response.write('{', () => response.destroy());
      await assert.rejects(readNodeStatus(dataDirectory));
    } finally {
      server.closeAllConnections();
      server.close();
    }
  }));
