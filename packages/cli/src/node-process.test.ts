import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { mkdir, readdir, writeFile } from 'node:fs/promises';
import http from 'node:http';
import { type AddressInfo, createServer } from 'node:net';
import path from 'node:path';
import { suite, test } from 'node:test';
import { setTimeout } from 'node:timers/promises';
import { CliProcess, inTemporaryDirectory, lonelyNode } from './cli-process.fixture.ts';
import { adminSocketPath, readNodeStatus } from './node-admin.ts';

const isRoot = process.getuid?.() === 0 && process.platform === 'linux';

suite('sealift node', () => {
  test('holds its data directory and its port alone, and says so to others', () =>
    inTemporaryDirectory(async (directory) => {
      const node = new CliProcess(lonelyNode(path.join(directory, 'one')));
      const { proxy } = await node.logs('started');
      const sameData = new CliProcess(lonelyNode(path.join(directory, 'one')));
      assert.equal(await sameData.ended(), 1);
      assert.match(sameData.said, /another process uses this data directory .*pid=/);
      const samePort = new CliProcess([...lonelyNode(path.join(directory, 'two')), '--listen', String(proxy)]);
      assert.equal(await samePort.ended(), 1);
      assert.match(samePort.said, /EADDRINUSE.*Something listens there already/);
      for (const other of [sameData, samePort]) assert.doesNotMatch(other.said, /^ {4}at /m);
      assert.equal(await node.stop(), 0);
    }));

  for (const signal of ['SIGTERM', 'SIGINT'] as const) {
    test(`ends with 0 on ${signal} and takes back what it wrote for the runtime`, () =>
      inTemporaryDirectory(async (directory) => {
        const [data, trust, caFile] = ['data', 'certs.d', 'ca.crt'].map((name) => path.join(directory, name));
        assert.ok(data && trust && caFile);
        await mkdir(trust);
        const node = new CliProcess([...lonelyNode(data), '--certs-directory', trust, '--intercept-ca-file', caFile]);
        await node.logs('started');
        assert.ok(existsSync(path.join(trust, 'registry.example', 'sealift-intercept.crt')) && existsSync(caFile));
        assert.equal((await readNodeStatus(data))['nodeId'], null);
        assert.equal(await node.stop(signal), 0, node.said);
        assert.deepEqual(await readdir(trust), []);
        assert.equal(existsSync(caFile), false);
        assert.equal(existsSync(adminSocketPath(data)), false);
      }));
  }

  test('goes on when nobody reads its log any more', () =>
    inTemporaryDirectory(async (directory) => {
      const node = new CliProcess([...lonelyNode(directory), '--log-level', 'debug']);
      const { proxy } = await node.logs('started');
      node.child.stderr?.destroy();
      // Each refused request is a line of the log.
      for (let attempt = 0; attempt < 3; attempt += 1) assert.notEqual(await connectTo(String(proxy), 'x'), 200);
      assert.equal((await readNodeStatus(directory))['proxy'], proxy);
      assert.equal(await node.stop(), 0);
    }));

  test('whose front is killed leaves no engine behind, and the next front has the store', () =>
    inTemporaryDirectory(async (directory) => {
      const killed = new CliProcess(lonelyNode(directory));
      await killed.logs('started');
      const { engine } = await readNodeStatus(directory);
      assert.equal(await killed.stop('SIGKILL'), 'SIGKILL');
      const node = new CliProcess(lonelyNode(directory));
      await node.logs('store_opened');
      // One that still had the store would have kept the new one out; it may be about to end, and must do so now.
      await gone((engine as { pid: number }).pid);
      assert.equal(await node.stop(), 0, node.said);
    }));

  test('goes on, as its status shows, while its engine is started again', () =>
    inTemporaryDirectory(async (directory) => {
      const node = new CliProcess(lonelyNode(directory));
      await node.logs('started');
      const { pid } = (await readNodeStatus(directory))['engine'] as { pid: number };
      process.kill(pid, 'SIGKILL');
      const exit = await node.logs('engine_exited');
      assert.deepEqual([exit['pid'], exit['signal'], exit['restartInMs']], [pid, 'SIGKILL', 0]);
      const { engine } = (await readNodeStatus(directory)) as { engine: { pid: number; restarts: number } };
      assert.equal(engine.restarts, 1);
      assert.notEqual(engine.pid, pid);
      assert.equal(await node.stop(), 0, node.said);
    }));

  test('is asked for its engine by no other name', () =>
    inTemporaryDirectory(async (directory) => {
      const [, ...flags] = lonelyNode(directory);
      const engine = new CliProcess(['node-engine', ...flags]);
      assert.equal(await engine.ended(), 64);
      assert.match(engine.said, /started by `sealift node` only/);
    }));

  const diskFaults = [
    {
      name: 'full',
      after: (disk: string) => writeFile(path.join(disk, 'ballast'), Buffer.alloc(2 ** 20)).catch(() => {}),
    },
    { name: 'read-only', after: async (disk: string) => void execFileSync('mount', ['-o', 'remount,ro', disk]) },
  ];
  for (const { name, after } of diskFaults) {
    const skip = isRoot ? false : 'mounting a small tmpfs needs root';
    test(`is a plain proxy, and says so once, where its disk is ${name}`, { skip }, () =>
      inTemporaryDirectory(async (directory) => {
        execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=64k', 'tmpfs', directory]);
        const server = createServer((socket) => socket.end()).listen(0, '127.0.0.1');
        try {
          await once(server, 'listening');
          await after(directory);
          const node = new CliProcess(lonelyNode(path.join(directory, 'data')));
          const { proxy } = await node.logs('started');
          const target = `127.0.0.1:${(server.address() as AddressInfo).port}`;
          assert.equal(await connectTo(String(proxy), target), 200);
          assert.equal(await node.stop(), 0, node.said);
          assert.equal(node.said.match(/"event":"store_unavailable"/g)?.length, 1, node.said);
        } finally {
          server.close();
          execFileSync('umount', [directory]);
        }
      }),
    );
  }
});

suite('sealift tracker', () => {
  test('ends with 0 on SIGTERM, and its data stays with its cluster', () =>
    inTemporaryDirectory(async (directory) => {
      const args = ['tracker', '--data', path.join(directory, 'data'), '--registry', 'registry.example'];
      const listen = ['--listen', '127.0.0.1:0', '--seeder-listen', '127.0.0.1:0'];
      const tracker = new CliProcess([...args, ...listen, '--cluster', 'one']);
      await tracker.logs('started');
      assert.equal(await tracker.stop(), 0, tracker.said);
      const other = new CliProcess([...args, ...listen, '--cluster', 'two']);
      assert.equal(await other.ended(), 64);
      assert.match(other.said, /belongs to another cluster \(found=one\)/);
    }));
});

/** The status with which a proxy answers CONNECT. */
async function connectTo(proxy: string, target: string): Promise<number | undefined> {
  const { hostname: host, port } = new URL(`http://${proxy}`);
  const request = http.request({ host, port, method: 'CONNECT', path: target, agent: false }).end();
  const { promise, resolve, reject } = Promise.withResolvers<number | undefined>();
  request.on('error', reject);
  request.on('connect', (response, socket) => {
    socket.destroy();
    resolve(response.statusCode);
  });
  request.on('response', (response) => {
    response.resume();
    resolve(response.statusCode);
  });
  return await promise;
}

/** Resolves once no process has this id; the time limit of the test bounds it. */
async function gone(pid: number): Promise<void> {
  for (;;) {
    try {
      process.kill(pid, 0);
    } catch {
      return;
    }
    await setTimeout(20);
  }
}
