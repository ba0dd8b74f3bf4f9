import type { Socket } from 'node:net';
import { TLSSocket } from 'node:tls';
import { AppError, DOCKER_HUB, type RegistryHost, registryEndpoint } from '@sealift/core';
import type { InterceptCa } from '@sealift/pki';
import { CONNECTION_ESTABLISHED } from './tunnel.ts';

/**
 * Whether the proxy stands in for this registry on CONNECT. Not for Docker Hub: dockerd reads no `certs.d` for it, so it would
 * refuse our certificate, and lose its way to the Hub when the mirror has nothing for it. Its blobs go by the mirror.
 */
export function isIntercepted(registry: RegistryHost): boolean {
  return registry !== DOCKER_HUB;
}

/**
 * Takes the place of the registry on a CONNECT connection: TLS directly on that socket, with a leaf of the intercept CA.
 * `adopt` then gets the TLS socket, to read requests from it. Throws before the client was told anything, if there is no
 * leaf.
 */
export async function intercept({
  client,
  head,
  registry,
  interceptCa,
  adopt,
  onFailed,
}: {
  client: Socket;
  /** What the client sent right behind its request. */
  head: Buffer;
  registry: RegistryHost;
  interceptCa: Pick<InterceptCa, 'secureContextFor'>;
  adopt: (tlsSocket: TLSSocket) => void;
  /** Is told why the connection failed; there is nobody else to tell. */
  onFailed: (error: Error) => void;
}): Promise<void> {
  const { hostname } = registryEndpoint(registry);
  const secureContext = await interceptCa.secureContextFor(hostname);
  if (client.destroyed) return;
  client.write(CONNECTION_ESTABLISHED);
  if (head.length > 0) client.unshift(head);
  const tlsSocket = new TLSSocket(client, {
    isServer: true,
    secureContext,
    // What runtimes speak to registries behind a proxy; HTTP/2 would save nothing on loopback.
    ALPNProtocols: ['http/1.1'],
    SNICallback: (servername, callback) => {
      // A client that asks one host through a tunnel to another is not one that we can answer for.
      const isSame = servername.toLowerCase() === hostname;
      callback(isSame ? null : new AppError('HOST_MISDIRECTED', { reason: 'the TLS server name is another host' }));
    },
  });
  tlsSocket.on('error', onFailed);
  adopt(tlsSocket);
}
