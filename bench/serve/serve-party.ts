import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { createServer, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import { TLSSocket } from 'node:tls';
import {
  type Digest,
  type RegistryHost,
  registryEndpoint,
  type SwarmId,
  silentLogger,
  systemClock,
} from '@sealift/core';
import { InterceptCa } from '@sealift/pki';
import { type BlobSource, ProxyServer } from '@sealift/proxy';
import { BlobReader, BlobStore, SharedBlob } from '@sealift/store';
import { answerQuestions } from '../harness/party-side.ts';

/** What both kinds of server are told. */
export interface ServeOrder {
  readonly registry: RegistryHost;
  readonly digest: Digest;
  readonly swarmId: SwarmId;
  /** Directory of a store that holds the blob. */
  readonly store: string;
  readonly quotaBytes: number;
  /** The blob as a plain file. */
  readonly file: string;
}

/** Where a server listens, and the CA of its certificate. */
export interface Serving {
  readonly port: number;
  readonly caPem: string;
}

/** Bytes of one write of the bare server; smaller ones cost more. */
const WRITE_LENGTH = 256 * 1024;

answerQuestions({ sealift: serveFromStore, bare: serveFromMemory });

/**
 * The proxy of a node, with a blob source that reads a complete blob of the store as in production: through a descriptor of
 * its own. The join and the talk with the engine before the first byte are left out.
 */
async function serveFromStore(order: ServeOrder): Promise<Serving> {
  const { registry, digest, swarmId, quotaBytes } = order;
  const [clock, log] = [systemClock, silentLogger];
  const store = new BlobStore({ directory: order.store, quotaBytes, clock, log });
  await store.start();
  const blob = store.get(swarmId);
  if (blob === undefined) throw new Error('the store does not hold the blob');
  const blobs: BlobSource = {
    open: async (request) => {
      if (request.blob.digest !== digest) return undefined;
      const unpin = blob.pin();
      const { dataFile, geometry, bitfield } = blob;
      const shared = await SharedBlob.open(dataFile, { geometry, bitfield });
      const reader = new BlobReader({
        blob: shared,
        waitForPiece: async () => {},
        waitForSignedComplete: async () => {},
        setReadPosition: () => {},
        revision: 0,
      });
      return {
        size: blob.geometry.size,
        read: (range, options) => reader.read(range, options),
        served: reader.served,
        close: () => {
          shared.close();
          unpin();
        },
      };
    },
  };
  const interceptCa = await InterceptCa.create({ registries: [registry], nodeName: 'bench' });
  const registries = [{ registry }];
  const listen = { host: '127.0.0.1', port: 0 };
  const proxy = new ProxyServer({ listen, registries, interceptCa, blobs, clock, log });
  await proxy.start();
  return { port: proxy.port, caPem: interceptCa.certificatePem };
}

/** The least that Node can do: the same bytes from memory, over the same kinds of connection, for whoever asks. */
async function serveFromMemory({ registry, file }: ServeOrder): Promise<Serving> {
  const bytes = readFileSync(file);
  const interceptCa = await InterceptCa.create({ registries: [registry], nodeName: 'bench' });
  const secureContext = await interceptCa.secureContextFor(registryEndpoint(registry).hostname);
  const server: Server = createServer((_request, response) => sendAll(response, bytes));
  server.on('connect', (_request, client: Socket) => {
    client.write('HTTP/1.1 200 Connection Established\r\n\r\n');
    const tlsSocket = new TLSSocket(client, { isServer: true, secureContext });
    tlsSocket.on('error', () => {});
    server.emit('connection', tlsSocket);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return { port: (server.address() as AddressInfo).port, caPem: interceptCa.certificatePem };
}

function sendAll(response: ServerResponse, bytes: Buffer): void {
  response.writeHead(200, { 'content-type': 'application/octet-stream', 'content-length': bytes.length });
  const next = (at: number): void => {
    if (at >= bytes.length) response.end();
    else response.write(bytes.subarray(at, at + WRITE_LENGTH), (error) => error ?? next(at + WRITE_LENGTH));
  };
  next(0);
}
