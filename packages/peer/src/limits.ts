import { BLOCK_LENGTH, type RateLimit } from '@sealift/core';

const KIB = 1024;
const MIB = 1024 * KIB;

/**
 * Every bound of the peer engine in one place: what a stranger can make us hold or wait for, and how much of the machine
 * we use. All are per engine unless the name says otherwise.
 */
export interface PeerLimits {
  /** Open connections and dials together. Each holds some 100 KiB of TLS and stream state. @default 300 */
  readonly maxConnections: number;
  /** Connections of one swarm: enough for rarest first to see the swarm, few enough that haves stay cheap. @default 40 */
  readonly maxConnectionsPerSwarm: number;
  /** A leecher dials until it has this many; the rest of the places is for those who dial us. @default 6 */
  readonly dialTargetPerSwarm: number;
  /** The same at first: most layers are small, and a connection costs as much CPU time as a megabyte. @default 3 */
  readonly firstDialTargetPerSwarm: number;
  /** How long that is enough, in ms. Who still fetches then has a large blob, or peers with slow links. @default 500 */
  readonly firstDialTargetMs: number;
  /** The same in a cluster with zones, from the start: only those who are connected agree on who fetches what from afar. @default 8 */
  readonly zonedDialTargetPerSwarm: number;
  /** Dials under way at once. A TLS handshake costs about 1 ms of CPU at each end. @default 16 */
  readonly maxDials: number;
  /** Accepted connections that have not shown a valid grant yet. @default 64 */
  readonly maxPendingHandshakes: number;
  /** The same from one address: one host must not use up all places. @default 16 */
  readonly maxPendingHandshakesPerAddress: number;
  /** Accepted connections of one address. A node has one for each swarm it shares with us. @default 64 */
  readonly maxConnectionsPerAddress: number;
  /** Connections of one address that end without a valid grant: 20 handshakes cost 20 to 40 ms. @default 500, 20 per second */
  readonly strangerRate: RateLimit;
  /** From connect or accept to verified grants on both sides, in ms. @default 10_000 */
  readonly handshakeTimeoutMs: number;
  /** Silence after which we send a keep-alive, in ms. @default 60_000 */
  readonly keepAliveMs: number;
  /** Silence of the other side after which we close, in ms (BEP 3: two minutes). @default 120_000 */
  readonly idleTimeoutMs: number;
  /** Requests that one peer may have queued with us (`reqq`): a 4 MiB window of blocks, twice. @default 512 */
  readonly maxQueuedRequests: number;
  /** Messages that change nothing, per connection and minute, before we call it abuse. @default 2_000 */
  readonly maxUselessMessagesPerMinute: number;
  /** Bytes waiting in one socket. A peer that lets more pile up does not read. @default 8 MiB */
  readonly maxOutboundBytes: number;
  /** Time in which a socket must take some of what we wrote, in ms. @default 30_000 */
  readonly writeTimeoutMs: number;
  /** Payload of one read and one write when serving, in bytes; smaller ones cost more CPU, larger ones cache. @default 512 KiB */
  readonly uploadBatchBytes: number;
  /** Batches of one connection: one being written, one that waits for it, one being read. @default 3 */
  readonly uploadBatchesPerConnection: number;
  /** Batch buffers of the engine, made when needed; two for each of 64 upload slots. @default 128 */
  readonly maxUploadBuffers: number;
  /** Peers of one swarm that we serve at once. A few get whole pieces soon and pass them on; many would all wait. @default 4 */
  readonly uploadSlotsPerSwarm: number;
  /** The same while we hold the only copy: whoever is shown a piece must be able to ask for it. @default 16 */
  readonly superSeedSlots: number;
  /** Peers that we serve at once. Above it each swarm still keeps one slot, so that none starves. @default 64 */
  readonly uploadSlots: number;
  /** Under an upload limit, no more peers are served at once than get so much each, in bytes per second. @default 64 KiB */
  readonly minSlotBytesPerSecond: number;
  /** How long an upload slot is kept before it may pass to a waiting peer, in ms. A pull is a matter of seconds. @default 1_000 */
  readonly chokeRoundMs: number;
  /** Smallest request window of one peer, in bytes. @default 512 KiB */
  readonly minWindowBytes: number;
  /** Largest request window of one peer, in bytes; more gains nothing at 1 GB/s. @default 4 MiB */
  readonly maxWindowBytes: number;
  /** A peer that owes blocks and completes none for so long, in ms, is snubbed. @default 5_000 */
  readonly requestTimeoutMs: number;
  /** Request timeouts in a row after which the connection is closed. @default 3 */
  readonly maxSnubs: number;
  /** Age of a request, in ms, from which a block may be asked of a second peer at the end of a blob. @default 250 */
  readonly endgameAfterMs: number;
  /** The same while there is still something else to fetch, in ms. @default 1_000 */
  readonly duplicateAfterMs: number;
  /** Unverified pieces in memory, in bytes. @default 96 MiB */
  readonly maxPieceBytes: number;
  /** The same for one swarm, in bytes. Two pieces are always allowed. @default 32 MiB */
  readonly maxPieceBytesPerSwarm: number;
  /** A started piece without progress gives its memory back after this time, in ms. @default 10_000 */
  readonly pieceIdleMs: number;
  /** Length of a ban, in ms: longer than a pull, short enough for a host whose memory was replaced. @default 3_600_000 */
  readonly banMs: number;
  /** A waiting reader is given up when nothing arrives for so long, in ms. @default 15_000 */
  readonly stallTimeoutMs: number;
  /** The same when no connected peer has what we lack and the tracker does not answer either, in ms. @default 3_000 */
  readonly lonelyStallTimeoutMs: number;
  /** Readers wait so long, in ms, with nobody connected who could help them, before the tracker is asked who is left. @default 1_000 */
  readonly whoIsLeftMs: number;
  /**
   * How long blocks count as progress without a piece becoming whole, in ms: a piece of 1 MiB takes so long at 140 kbit/s.
   * Whoever sends false ones holds readers up no longer. @default 60_000
   */
  readonly maxPieceMs: number;
  /** How long a download goes on without a reader, in ms: a runtime that retries comes back within it. @default 60_000 */
  readonly readerGraceMs: number;
  /** A swarm that nobody needs for so long sleeps, in ms: less than 1 KiB of it stays in memory, and waking it costs some ms. @default 300_000 */
  readonly sleepAfterMs: number;
  /** Addresses remembered for one swarm. An announce answer has about 50. @default 200 */
  readonly maxAddressesPerSwarm: number;
  /** First and longest wait before an address that failed is dialled again, in ms. @default 1_000, 60_000 */
  readonly dialBackoffMs: number;
  readonly maxDialBackoffMs: number;
  /** Deadline of one announce, in ms. @default 10_000 */
  readonly announceTimeoutMs: number;
  /** Deadline of the last announce when a swarm is left, in ms. @default 2_000 */
  readonly stoppedTimeoutMs: number;
  /** Shortest time between two announces of one swarm, in ms. @default 2_000 */
  readonly minAnnounceMs: number;
  /** Announces under way at once: a node that comes up with a full store must not flood its tracker. @default 16 */
  readonly maxAnnounces: number;
  /** A leecher with fewer connections asks the tracker again before its interval is over. @default 4 */
  readonly wantedConnections: number;
  /** A super-seeder repeats a piece for a peer that has got nothing anywhere for so long, in ms: in a swarm that trades, each gets several pieces a second from others. @default 1_000 */
  readonly superSeedIdleMs: number;
  /** How often time-driven decisions are looked at, in ms. @default 250 */
  readonly tickMs: number;
}

/** Connections until which a leecher dials that has been fetching for `fetchingMs`, in a zone or not. */
export function dialTarget(
  limits: PeerLimits,
  { fetchingMs, isZoned }: { fetchingMs: number; isZoned: boolean },
): number {
  if (isZoned) return limits.zonedDialTargetPerSwarm;
  return fetchingMs < limits.firstDialTargetMs ? limits.firstDialTargetPerSwarm : limits.dialTargetPerSwarm;
}

/** The defaults of {@link PeerLimits}. */
export const DEFAULT_LIMITS: PeerLimits = Object.freeze({
  maxConnections: 300,
  maxConnectionsPerSwarm: 40,
  dialTargetPerSwarm: 6,
  firstDialTargetPerSwarm: 3,
  firstDialTargetMs: 500,
  zonedDialTargetPerSwarm: 8,
  maxDials: 16,
  maxPendingHandshakes: 64,
  maxPendingHandshakesPerAddress: 16,
  maxConnectionsPerAddress: 64,
  strangerRate: Object.freeze({ burst: 500, perSecond: 20 }),
  handshakeTimeoutMs: 10_000,
  keepAliveMs: 60_000,
  idleTimeoutMs: 120_000,
  maxQueuedRequests: 512,
  maxUselessMessagesPerMinute: 2_000,
  maxOutboundBytes: 8 * MIB,
  writeTimeoutMs: 30_000,
  uploadBatchBytes: 512 * KIB,
  uploadBatchesPerConnection: 3,
  maxUploadBuffers: 128,
  uploadSlotsPerSwarm: 4,
  superSeedSlots: 16,
  uploadSlots: 64,
  minSlotBytesPerSecond: 64 * KIB,
  chokeRoundMs: 1_000,
  minWindowBytes: 32 * BLOCK_LENGTH,
  maxWindowBytes: 4 * MIB,
  requestTimeoutMs: 5_000,
  maxSnubs: 3,
  endgameAfterMs: 250,
  duplicateAfterMs: 1_000,
  maxPieceBytes: 96 * MIB,
  maxPieceBytesPerSwarm: 32 * MIB,
  pieceIdleMs: 10_000,
  banMs: 3_600_000,
  stallTimeoutMs: 15_000,
  lonelyStallTimeoutMs: 3_000,
  whoIsLeftMs: 1_000,
  maxPieceMs: 60_000,
  readerGraceMs: 60_000,
  sleepAfterMs: 300_000,
  maxAddressesPerSwarm: 200,
  dialBackoffMs: 1_000,
  maxDialBackoffMs: 60_000,
  announceTimeoutMs: 10_000,
  stoppedTimeoutMs: 2_000,
  minAnnounceMs: 2_000,
  maxAnnounces: 16,
  wantedConnections: 4,
  superSeedIdleMs: 1_000,
  tickMs: 250,
});
