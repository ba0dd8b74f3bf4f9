import { mkdtemp, rm } from 'node:fs/promises';
import { type IncomingMessage, request } from 'node:http';
import { request as requestTls } from 'node:https';
import type { Socket } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { connect, type TLSSocket } from 'node:tls';
import { Child } from './child.ts';
import { compare, type Figures } from './rounds.ts';

const BODY_BYTES = 256 * 2 ** 20;
/** Makes the leaf, dials the upstream and compiles the path that is measured. */
const WARM_UP_BYTES = 16 * 2 ** 20;
/** Silence, in ms, after which an answer is taken for one that never ends. */
const SILENCE_MS = 5_000;

/** Reaches the upstream through the proxy that is measured. */
interface Route {
  readonly proxyPort: number;
  readonly upstreamPort: number;
  /** What the proxy's leaves are checked against. */
  readonly caPem: string;
}

/** An intercepted pass-through: our proxy against http-mitm-proxy, each in a process of its own. */
export async function compareInterception({ opponents, rounds }: { opponents: string; rounds: number }): Promise<void> {
  const endings = new Set<string>();
  const contender = (name: string) => ({
    name,
    measure: async () => {
      const directory = await mkdtemp(path.join(tmpdir(), 'sealift-bench-'));
      const [upstream, proxy] = [Child.start('interception-upstream.ts'), Child.start('interception-proxy.ts')];
      try {
        const { port: upstreamPort, caPem } = await upstream.ask<{ port: number; caPem: string }>('start');
        const started = await proxy.ask<{ port: number; caPem: string }>('start', {
          proxy: name,
          upstream: { port: upstreamPort, caPem },
          opponents,
          directory,
        });
        const route = { proxyPort: started.port, upstreamPort, caPem: started.caPem };
        await readAll(route, `/body/${WARM_UP_BYTES}`);
        // The stall first: later on, memory that an earlier body has used would hide what it takes.
        const figures = { ...(await measureStall(route, { proxy, upstream })), ...(await measureBody(route, proxy)) };
        for (const framing of ['length', 'chunked']) {
          endings.add(`${name}, body cut upstream, framed by ${framing}: ${await endingOf(route, `/cut/${framing}`)}`);
        }
        return figures;
      } finally {
        await Promise.all([upstream.stop(), proxy.stop()]);
        await rm(directory, { recursive: true, force: true });
      }
    },
  });
  await compare([contender('sealift'), contender('http-mitm-proxy')], { rounds });
  console.log([...endings].sort().join('\n'));
}

async function measureBody(route: Route, proxy: Child): Promise<Figures> {
  const cpuBefore = await proxy.ask<number>('cpuSeconds');
  const startedAt = performance.now();
  const { bytes } = await readAll(route, `/body/${BODY_BYTES}`);
  const seconds = (performance.now() - startedAt) / 1000;
  if (bytes !== BODY_BYTES) throw new Error(`the body had ${bytes} bytes`);
  const cpuSeconds = (await proxy.ask<number>('cpuSeconds')) - cpuBefore;
  return {
    'CPU of the proxy, s per GiB': (cpuSeconds * 2 ** 30) / BODY_BYTES,
    'speed, MB/s': BODY_BYTES / 1e6 / seconds,
  };
}

/** What a client that stops reading makes the proxy take and hold. */
async function measureStall(route: Route, { proxy, upstream }: { proxy: Child; upstream: Child }): Promise<Figures> {
  const rssBefore = await proxy.ask<number>('rssMiB');
  const sentBefore = await upstream.ask<number>('sentMiB');
  const { response, socket } = await open(route, `/body/${BODY_BYTES}`);
  response.pause();
  let sent = -1;
  for (let now = sentBefore; now !== sent; now = await upstream.ask<number>('sentMiB')) {
    sent = now;
    await sleep(500);
  }
  const rss = await proxy.ask<number>('rssMiB');
  socket.destroy();
  return {
    'taken from the upstream for a stalled client, MiB': sent - sentBefore,
    'memory that this costs the proxy, MiB': rss - rssBefore,
  };
}

/** What a client is told at the end of a body that broke off. */
async function endingOf(route: Route, target: string): Promise<string> {
  const { isComplete, isOver } = await readAll(route, target);
  if (!isOver) return 'neither the answer nor the connection ends';
  return isComplete ? 'the answer ends as if it were whole' : 'the connection is destroyed';
}

async function readAll(route: Route, target: string): Promise<{ bytes: number; isComplete: boolean; isOver: boolean }> {
  const { response, socket } = await open(route, target);
  let bytes = 0;
  response.on('data', (chunk: Buffer) => {
    bytes += chunk.length;
  });
  const isOver = await new Promise<boolean>((resolve) => {
    response.once('end', () => resolve(true)).once('close', () => resolve(true));
    socket.setTimeout(SILENCE_MS, () => resolve(false));
  });
  socket.destroy();
  return { bytes, isComplete: response.complete, isOver };
}

async function open(route: Route, target: string): Promise<{ response: IncomingMessage; socket: TLSSocket }> {
  const host = `localhost:${route.upstreamPort}`;
  const tunnel = await new Promise<Socket>((resolve, reject) => {
    request({
      host: '127.0.0.1',
      port: route.proxyPort,
      method: 'CONNECT',
      path: host,
      headers: { host },
      agent: false,
    })
      .once('connect', (_response, socket: Socket) => resolve(socket))
      .once('error', reject)
      .end();
  });
  const socket = connect({ socket: tunnel, servername: 'localhost', ca: route.caPem });
  socket.on('error', () => {});
  const response = await new Promise<IncomingMessage>((resolve, reject) => {
    requestTls({ createConnection: () => socket, path: target, headers: { host }, setHost: false })
      .once('response', resolve)
      .once('error', reject)
      .end();
  });
  // A cut shows as `complete` being false, which is what is asked.
  response.on('error', () => {});
  return { response, socket };
}
