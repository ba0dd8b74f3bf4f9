import { connect, type Socket } from 'node:net';
import { AppError } from '@sealift/core';
import type { ConnectTarget } from './connect-target.ts';
import type { ProxyLimits } from './limits.ts';

/** Says that a CONNECT request was accepted; what follows belongs to the client and its target. */
export const CONNECTION_ESTABLISHED = 'HTTP/1.1 200 Connection Established\r\n\r\n';

/** First probe of TCP keep-alive, in ms: finds a target that vanished without a word long before the idle limit. */
const KEEP_ALIVE_MS = 60_000;

/**
 * Joins `client` with a new connection to `target`, and looks at nothing that passes. Resolves once the tunnel stands, with
 * the far socket; it then lives until both ends are closed or one breaks. Throws `TUNNEL_FAILED` (status 502 or 504), or
 * what `admit` throws when it sees the connection, before the client was told anything.
 */
export async function openTunnel({
  client,
  head,
  target,
  limits,
  admit,
}: {
  client: Socket;
  /** What the client sent right behind its request. */
  head: Buffer;
  target: ConnectTarget;
  limits: ProxyLimits;
  admit: (upstream: Socket) => void;
}): Promise<Socket> {
  const upstream = await dial(target, { client, limits });
  try {
    admit(upstream);
  } catch (error) {
    upstream.destroy();
    throw error;
  }
  client.write(CONNECTION_ESTABLISHED);
  if (head.length > 0) upstream.write(head);
  join(client, upstream, limits.tunnelIdleTimeoutMs);
  return upstream;
}

function dial(target: ConnectTarget, { client, limits }: { client: Socket; limits: ProxyLimits }): Promise<Socket> {
  return new Promise((resolve, reject) => {
    // Half-open, so that a side that has said all it has to say can still listen.
    const upstream = connect({ host: target.hostname, port: target.port, allowHalfOpen: true, noDelay: true });
    const fail = (reason: string, cause?: unknown): void => {
      settle();
      upstream.destroy();
      reject(new AppError('TUNNEL_FAILED', { target: `${target.hostname}:${target.port}`, reason }, { cause }));
    };
    const onClientClose = (): void => fail('the client went away');
    const deadline = setTimeout(() => fail('no connection within the time limit'), limits.connectTimeoutMs);
    const settle = (): void => {
      clearTimeout(deadline);
      client.off('close', onClientClose);
    };
    client.once('close', onClientClose);
    upstream.on('error', (error: NodeJS.ErrnoException) => fail(error.code ?? 'connection failed', error));
    upstream.once('connect', () => {
      settle();
      upstream.setKeepAlive(true, KEEP_ALIVE_MS);
      resolve(upstream);
    });
  });
}

function join(client: Socket, upstream: Socket, idleTimeoutMs: number): void {
  for (const [from, to] of [
    [client, upstream],
    [upstream, client],
  ] as const) {
    // `pipe` passes on backpressure and an orderly end.
    from.pipe(to);
    // A side that closed in good order may still have bytes under way to the other one; any other end takes both.
    from.once('close', () => {
      if (!from.readableEnded || !from.writableFinished) to.destroy();
    });
    from.setTimeout(idleTimeoutMs, () => from.destroy());
  }
}
