import { createPrivateKey, X509Certificate } from 'node:crypto';
import { open } from 'node:fs/promises';
import { setTimeout as delay } from 'node:timers/promises';
import { createContentSigner, peerIdOf } from '@sealift/bittorrent';
import {
  type Digest,
  type NodeId,
  pieceGeometry,
  pieceSize,
  type RegistryHost,
  type SwarmId,
  silentLogger,
  systemClock,
} from '@sealift/core';
import { type IdentitySource, PeerEngine } from '@sealift/peer';
import { identityOfCertificate, type TlsMaterial } from '@sealift/pki';
import { BlobStore } from '@sealift/store';
import type { ClusterInfo } from '@sealift/tracker-api';
import { answerQuestions } from '../harness/party-side.ts';

/** Time between announces, in ms: longer than any transfer here. */
const ANNOUNCE_INTERVAL_MS = 600_000;

/** Where a peer is, as the tracker would say. */
export interface Neighbour {
  readonly host: string;
  readonly port: number;
  readonly nodeId: NodeId;
}

/** Who this process is. */
export interface StartOrder {
  readonly tls: TlsMaterial;
  readonly cluster: ClusterInfo;
  /** Directory of the store. */
  readonly store: string;
  readonly quotaBytes: number;
  readonly swarmId: SwarmId;
  readonly grant: string;
}

interface BlobOrder {
  readonly registry: RegistryHost;
  readonly digest: Digest;
  readonly swarmId: SwarmId;
  readonly size: number;
  readonly pieceLength: number;
}

/**
 * Puts a file into the store, as the seeder does with what it reads from a registry, no faster than `bytesPerSecond` if that
 * is given.
 */
export type IngestOrder = BlobOrder & {
  readonly file: string;
  readonly contentKeyPem: string;
  readonly bytesPerSecond?: number;
};

/** Fetches a blob; `batches` are base64. */
export type DownloadOrder = BlobOrder & { readonly batches: readonly string[] };

interface Running {
  readonly store: BlobStore;
  readonly engine: PeerEngine;
}

const never = new AbortController().signal;
let running: Running | undefined;
/** What the tracker would hand out. */
let neighbours: readonly { readonly host: string; readonly port: number; readonly peerId: Buffer }[] = [];

answerQuestions({
  start: async (order: StartOrder) => {
    running = await start(order);
    return running.engine.port;
  },
  meet: async (others: readonly Neighbour[]) => {
    neighbours = others.map(({ host, port, nodeId }) => ({ host, port, peerId: peerIdOf(nodeId) }));
  },
  ingest: (order: IngestOrder) => ingest(demandRunning(), order),
  download: (order: DownloadOrder) => download(demandRunning(), order),
  forget: async ({ swarmId }: BlobOrder) => {
    const { engine, store } = demandRunning();
    await engine.leave(swarmId);
    await store.delete(swarmId);
  },
  dataFile: async ({ swarmId }: BlobOrder) => {
    const file = demandRunning().store.get(swarmId)?.dataFile;
    if (file === undefined) throw new Error('the store does not hold the blob');
    return file;
  },
  stop: async () => {
    const { engine, store } = demandRunning();
    await engine.stop();
    await store.stop();
  },
});

async function start({ tls, cluster, store: directory, quotaBytes, swarmId, grant }: StartOrder): Promise<Running> {
  const [clock, log] = [systemClock, silentLogger];
  const store = new BlobStore({ directory, quotaBytes, clock, log });
  await store.start();
  const credentials = { identity: identityOfCertificate(new X509Certificate(tls.certificatePem)), tls, cluster };
  const identity: IdentitySource = { current: () => credentials, onChange: () => () => {} };
  const engine = new PeerEngine({
    identity,
    grants: {
      grantFor: (id) => (id === swarmId ? grant : undefined),
      onChange: () => () => {},
      dropRevoked: () => {},
    },
    store,
    announce: async () => ({
      intervalMs: ANNOUNCE_INTERVAL_MS,
      complete: 1,
      incomplete: neighbours.length,
      peers: neighbours,
    }),
    listen: { host: '127.0.0.1', port: 0 },
    clock,
    log,
  });
  await engine.start();
  return { store, engine };
}

async function ingest({ engine, store }: Running, order: IngestOrder): Promise<readonly string[]> {
  const { registry, digest, swarmId } = order;
  const geometry = pieceGeometry(order.size, order.pieceLength);
  const signer = createContentSigner(createPrivateKey(order.contentKeyPem));
  const target = await engine.ingest({ blob: { registry, digest }, swarmId, geometry, signer });
  await using file = await open(order.file);
  let buffer = new ArrayBuffer(order.pieceLength);
  const began = performance.now();
  for (let index = 0; index < geometry.pieceCount; index += 1) {
    await file.read(new Uint8Array(buffer), 0, pieceSize(geometry, index), index * order.pieceLength);
    if (order.bytesPerSecond !== undefined) {
      const readAt = began + (1_000 * ((index + 1) * order.pieceLength)) / order.bytesPerSecond;
      await delay(Math.max(0, readAt - performance.now()));
    }
    buffer = await target.addPiece(index, buffer);
  }
  await target.complete();
  // The final list takes the place of the many short batches that were signed along the way.
  await engine.swarm(swarmId)?.hashes.settled();
  return (store.get(swarmId)?.hashRecords ?? []).map((record) => record.toString('base64'));
}

async function download({ engine }: Running, order: DownloadOrder): Promise<void> {
  const { registry, digest, swarmId } = order;
  const swarm = await engine.download({
    blob: { registry, digest },
    swarmId,
    geometry: pieceGeometry(order.size, order.pieceLength),
    batches: order.batches.map((batch) => Buffer.from(batch, 'base64')),
  });
  const release = swarm.acquire();
  await swarm.waitForComplete({ signal: never });
  release();
}

function demandRunning(): Running {
  if (running === undefined) throw new Error('not started');
  return running;
}
