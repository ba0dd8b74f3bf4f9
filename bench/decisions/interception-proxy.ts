// The proxy that is measured, ours or http-mitm-proxy. Both verify the upstream and keep their connections to it.
import { readFile } from 'node:fs/promises';
import { Agent } from 'node:https';
import path from 'node:path';
import { parseRegistryHost, silentLogger, systemClock } from '@sealift/core';
import { InterceptCa } from '@sealift/pki';
import { ProxyServer } from '@sealift/proxy';
import { listenOnLoopbackOnly, serve } from './child.ts';
import { loadOpponent } from './opponents.ts';

interface Upstream {
  readonly port: number;
  readonly caPem: string;
}
interface Started {
  readonly port: number;
  /** What clients trust. */
  readonly caPem: string;
}

/** What we use of http-mitm-proxy. */
interface MitmProxy {
  readonly httpPort: number;
  listen(options: object, callback: (error?: Error) => void): void;
}

listenOnLoopbackOnly();

serve({
  start: async (options: { proxy: string; upstream: Upstream; opponents: string; directory: string }) =>
    options.proxy === 'sealift' ? await startOurs(options.upstream) : await startMitmProxy(options),
});

async function startOurs(upstream: Upstream): Promise<Started> {
  const registry = parseRegistryHost(`localhost:${upstream.port}`);
  const interceptCa = await InterceptCa.create({ registries: [registry], nodeName: 'bench' });
  const proxy = new ProxyServer({
    listen: { host: '127.0.0.1', port: 0 },
    registries: [{ registry, caPem: upstream.caPem }],
    interceptCa,
    // Nothing comes from a swarm here: what is measured is the way through.
    blobs: { open: async () => undefined },
    clock: systemClock,
    log: silentLogger,
  });
  await proxy.start();
  return { port: proxy.port, caPem: interceptCa.certificatePem };
}

async function startMitmProxy({
  upstream,
  opponents,
  directory,
}: {
  upstream: Upstream;
  opponents: string;
  directory: string;
}): Promise<Started> {
  const { Proxy: MitmProxyClass } = await loadOpponent<{ Proxy: new () => MitmProxy }>('http-mitm-proxy', {
    directory: opponents,
  });
  const proxy = new MitmProxyClass();
  // Cut bodies and clients that leave are part of the measurement, and it reports each on the console.
  console.error = () => {};
  console.debug = () => {};
  const httpsAgent = new Agent({ keepAlive: true, ca: upstream.caPem });
  await new Promise<void>((resolve, reject) => {
    proxy.listen({ host: '127.0.0.1', port: 0, sslCaDir: directory, keepAlive: true, httpsAgent }, (error) => {
      if (error) reject(error);
      else resolve();
    });
  });
  return { port: proxy.httpPort, caPem: await readFile(path.join(directory, 'certs', 'ca.pem'), 'utf8') };
}
