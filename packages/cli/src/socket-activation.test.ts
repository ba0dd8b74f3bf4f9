import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { mkdir, readFile } from 'node:fs/promises';
import { type AddressInfo, connect, createServer, type Server } from 'node:net';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { test } from 'node:test';
import { inTemporaryDirectory, lonelyNode, MAIN } from './cli-process.fixture.ts';

/**
 * What a service manager does for a socket unit: it keeps the socket at descriptor 3 and starts the node on it, and a second
 * time when that has ended. `LISTEN_PID` is set by the very process that becomes the node.
 */
const MANAGER = `
  for start in 1 2; do
    sh -c 'LISTEN_PID=$$ LISTEN_FDS=1 exec "$@"' sh "$@"
  done`;
const LIMIT_MS = 60_000;

async function listening(server: Server): Promise<number> {
  await once(server.listen(0, '127.0.0.1'), 'listening');
  return (server.address() as AddressInfo).port;
}

/** A service manager, and a port that it keeps. */
async function startManager(flags: readonly string[]): Promise<{ manager: ChildProcess; port: number }> {
  const holder = createServer();
  const port = await listening(holder);
  const { fd } = (holder as unknown as { _handle: { fd: number } })._handle;
  const args = ['-c', MANAGER, 'sh', process.execPath, MAIN, ...flags];
  const manager = spawn('sh', args, { stdio: ['ignore', 'ignore', 'pipe', fd], timeout: LIMIT_MS });
  holder.close();
  return { manager, port };
}

/** Gives the nth log line of an event, as often as it is asked. */
function listen(manager: ChildProcess): (event: string, nth: number) => Promise<Record<string, unknown>> {
  const seen: Record<string, unknown>[] = [];
  const lines = createInterface({ input: manager.stderr as NodeJS.ReadableStream });
  lines.on('line', (text) =>
    seen.push(text.startsWith('{') ? (JSON.parse(text) as Record<string, unknown>) : { text }),
  );
  const ended = once(lines, 'close').then(() => assert.fail(`it ended early: ${JSON.stringify(seen)}`));
  ended.catch(() => {});
  return async (event, nth) => {
    for (;;) {
      const found = seen.filter((line) => line['event'] === event)[nth - 1];
      if (found !== undefined) return found;
      await Promise.race([once(lines, 'line'), ended]);
    }
  };
}

/** The node that the manager has started. */
async function nodeOf({ pid }: ChildProcess): Promise<number> {
  return Number((await readFile(`/proc/${pid}/task/${pid}/children`, 'latin1')).trim());
}

/** Asks for a tunnel; all that comes back until the other side ends. */
async function throughProxy(port: number, target: string): Promise<string> {
  const socket = connect(port, '127.0.0.1');
  socket.write(`CONNECT ${target} HTTP/1.1\r\nhost: ${target}\r\n\r\n`);
  const chunks: Buffer[] = [];
  for await (const chunk of socket as AsyncIterable<Buffer>) chunks.push(chunk);
  return Buffer.concat(chunks).toString();
}

test(
  'a client that connects while the node is started anew waits, and reaches the registry itself',
  { skip: process.platform === 'linux' ? false : 'it needs /proc' },
  () =>
    inTemporaryDirectory(async (directory) => {
      const trust = path.join(directory, 'certs.d');
      await mkdir(trust);
      // It speaks no TLS: whoever hears it was not intercepted.
      const upstream = createServer((socket) => socket.on('error', () => {}).end('the registry itself'));
      const registry = `127.0.0.1:${await listening(upstream)}`;
      const ownFlags = ['--registry', registry, '--certs-directory', trust];
      const { manager, port } = await startManager([...lonelyNode(path.join(directory, 'data')), ...ownFlags]);
      const closed = once(manager, 'close');
      const isTrusted = () => existsSync(path.join(trust, registry, 'sealift-intercept.crt'));
      try {
        const hears = listen(manager);
        await hears('started', 1);
        assert.equal(isTrusted(), true);
        process.kill(await nodeOf(manager), 'SIGTERM');
        await hears('stopped', 1);
        assert.equal(isTrusted(), false);
        assert.match(await throughProxy(port, registry), /^HTTP\/1\.1 200 .*the registry itself$/s);
        await hears('started', 2);
        assert.equal(isTrusted(), true);
        process.kill(await nodeOf(manager), 'SIGTERM');
        await hears('stopped', 2);
        await closed;
      } finally {
        manager.kill('SIGKILL');
        upstream.close();
      }
    }),
);
