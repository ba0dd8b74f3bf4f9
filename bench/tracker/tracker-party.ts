import { setImmediate } from 'node:timers/promises';
import { createContentSigner, signHashBatch } from '@sealift/bittorrent';
import {
  type BlobRef,
  parseClusterId,
  parseDigest,
  parseNodeId,
  parseRegistryHost,
  parseRepository,
  pieceGeometry,
  silentLogger,
  swarmIdOf,
  systemClock,
} from '@sealift/core';
import { checkCsr } from '@sealift/pki';
import { RegistryClient } from '@sealift/registry';
import { AuditFile, Authority, openTrackerState, type Seeder, Tracker } from '@sealift/tracker';
import { answerQuestions } from '../harness/party-side.ts';

/** What the tracker process is told. */
export interface TrackerOrder {
  readonly dataDirectory: string;
  readonly registry: { readonly host: string; readonly caPem: string };
  readonly repository: string;
  readonly digest: string;
}

/** What the load generator needs to know of it. */
export interface TrackerAddress {
  readonly port: number;
  readonly trustAnchors: string;
  readonly joinToken: string;
  readonly swarmId: string;
}

/** A node that the tracker has enrolled, with a grant for the one blob. */
export interface LoadMember {
  readonly nodeId: string;
  readonly certificatePem: string;
  readonly grant: string;
}

/** One generator stands for thousands of nodes behind one address, so what is meant for one node must not stop it. */
const UNLIMITED = { burst: 1e9, perSecond: 1e9 };
const COLLECTIONS = 5;
const JOIN_TOKEN_TTL_MS = 3_600_000;
/** The blob that everybody joins: 64 pieces, so its signed hash list is 2 KiB. */
const GEOMETRY = pieceGeometry(64 * 1024 * 1024, 1024 * 1024);

let running: Awaited<ReturnType<typeof start>> | undefined;

answerQuestions({
  start: async (order: TrackerOrder): Promise<TrackerAddress> => {
    running = await start(order);
    return running.address;
  },
  members: async ({ csrPem, count }: { csrPem: string; count: number }): Promise<readonly LoadMember[]> => {
    const { authority, blob } = demandRunning();
    const members: LoadMember[] = [];
    for (let index = 0; index < count; index += 1) {
      // Checked each time: what has passed the check is good for one certificate.
      const csr = await checkCsr(csrPem);
      const { answer, holder } = await authority.enrolNode(csr, { enrolledBy: 'join-token' });
      const { grant } = await authority.grantJoin(blob, holder, { authTime: systemClock.now() });
      members.push({ nodeId: answer.nodeId, certificatePem: answer.certificate, grant });
    }
    return members;
  },
  peers: async () => {
    const { tracker, swarmId } = demandRunning();
    const { complete, incomplete } = tracker.announceSeeder({ swarmId, denyVersion: 0 });
    return complete + incomplete;
  },
  memory: async () => {
    // More than once, with turns of the event loop in between: what one finalizes the next one frees.
    for (let turn = 0; turn < COLLECTIONS; turn += 1) {
      globalThis.gc?.();
      await setImmediate();
    }
    const { heapUsed, external } = process.memoryUsage();
    return heapUsed + external;
  },
  stop: async () => {
    const { tracker, audit, registry, state } = demandRunning();
    await tracker.stop();
    await audit.stop();
    await registry.close();
    state.close();
  },
});

async function start(order: TrackerOrder) {
  const [clock, log] = [systemClock, silentLogger];
  const clusterId = parseClusterId('bench');
  const state = await openTrackerState({ dataDirectory: order.dataDirectory, clusterId, clock });
  const audit = new AuditFile({ directory: order.dataDirectory, clock, log });
  await audit.start();
  const authority = new Authority({ state, clock, audit });
  const host = parseRegistryHost(order.registry.host);
  const registry = new RegistryClient({ registries: [{ registry: host, caPem: order.registry.caPem }] });
  const digest = parseDigest(order.digest);
  const blob: BlobRef = { registry: host, repository: parseRepository(order.repository), digest };
  const swarmId = swarmIdOf(clusterId, host, digest);
  const tracker = new Tracker({
    config: {
      clusterId,
      listen: { host: '127.0.0.1', port: 0 },
      names: ['127.0.0.1'],
      limits: {
        enrol: UNLIMITED,
        join: UNLIMITED,
        announce: UNLIMITED,
        other: UNLIMITED,
        strangers: 20_000,
        strangersPerAddress: 20_000,
        strangerRate: UNLIMITED,
        connectionsPerAddress: 20_000,
        connections: 20_000,
      },
    },
    state,
    authority,
    registry,
    seeder: seederOf(signedHashes()),
    clock,
    log,
    audit,
  });
  await tracker.start();
  const { token: joinToken } = state.joinTokens.create({ isReusable: true, ttlMs: JOIN_TOKEN_TTL_MS });
  const address = { port: tracker.port, trustAnchors: state.clusterInfo.trustAnchors, joinToken, swarmId };
  return { state, audit, authority, registry, tracker, blob, swarmId, address };

  function signedHashes(): Buffer {
    const { size, pieceLength, pieceCount } = GEOMETRY;
    const batch = {
      swarmId,
      digest,
      size,
      pieceLength,
      startedAt: Date.now(),
      firstIndex: 0,
      isComplete: true,
      isWithdrawn: false,
    };
    const signer = createContentSigner(state.contentKey.privateKey);
    return signHashBatch({ ...batch, hashes: Buffer.alloc(32 * pieceCount, 1) }, signer);
  }
}

/** A seeder that has the blob already: what is measured is the tracker. */
function seederOf(batch: Buffer): Seeder {
  const { size, pieceLength } = GEOMETRY;
  return {
    nodeId: parseNodeId('seeder-bench'),
    endpoint: { host: '192.0.2.1', port: 7444 },
    isSeeding: () => true,
    offer: async () => ({ kind: 'swarm', size, pieceLength, batches: [batch] }),
  };
}

function demandRunning() {
  if (running === undefined) throw new Error('not started');
  return running;
}
