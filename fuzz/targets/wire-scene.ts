import type { TLSSocket } from 'node:tls';
import { type BlockRange, HANDSHAKE_LENGTH, MESSAGE_ID } from '@sealift/bittorrent';
import {
  AppError,
  BLOCK_LENGTH,
  isAppError,
  parseClusterId,
  parseDigest,
  parseRegistryHost,
  parseRepository,
  parseSwarmId,
  pieceGeometry,
} from '@sealift/core';
import type { Identity } from '@sealift/pki';
import { FakeClock, nodeIdOf } from '@sealift/testkit';
import type { GrantClaims } from '@sealift/tracker-api';
import { UploadBuffers } from '../../packages/peer/src/buffer-pools.ts';
import {
  Connection,
  type ConnectionGate,
  type ConnectionHost,
  uploadBufferOptions,
} from '../../packages/peer/src/connection.ts';
import { DEFAULT_LIMITS } from '../../packages/peer/src/limits.ts';
import { Pacer } from '../../packages/peer/src/pacer.ts';
import type { SessionEvent } from '../../packages/peer/src/session.ts';
import { demand, Violation } from '../target.ts';

export const swarmId = parseSwarmId('77ddf026c6c8cde208dd6cb2718f815c63ee2a21');
/** The name of the same swarm for stock clients. */
export const publicInfoHash = parseSwarmId('ab'.repeat(20));
export const geometry = pieceGeometry(3 * 4 * BLOCK_LENGTH + 1_000, 4 * BLOCK_LENGTH);
/** The only grant that verifies. */
export const GOOD_GRANT = 'head.claims.signature';

const clock = new FakeClock();
const clusterId = parseClusterId('test');
const certificate = { issuer: 'CN=swarm CA', notBefore: clock.now() - 1_000, notAfter: clock.now() + 3_600_000 };
/** The stranger, and we. */
export const REMOTE: Identity = {
  clusterId,
  role: 'node',
  id: nodeIdOf('alice'),
  x5tS256: 'x'.repeat(43),
  ...certificate,
};
const LOCAL: Identity = { clusterId, role: 'node', id: nodeIdOf('bob'), x5tS256: 'y'.repeat(43), ...certificate };
const claims: GrantClaims = {
  ...{ clusterId, nodeId: REMOTE.id, swarmId, x5tS256: REMOTE.x5tS256, use: 'trade', id: 'one' },
  ...{ registry: parseRegistryHost('registry.example'), repository: parseRepository('lib/app') },
  ...{ digest: parseDigest(`sha256:${'0'.repeat(64)}`), authTime: clock.now(), expiresAt: clock.now() + 600_000 },
};
// Small batches, so that an input fills several; memory is taken from the same buffers by all scenes, as in an engine.
const limits = { ...DEFAULT_LIMITS, uploadBatchBytes: 4 * BLOCK_LENGTH, maxQueuedRequests: 64 };
/** Most bytes that one connection may have us answer to one byte of its own, blocks that it asked for aside. */
const MAX_IDLE_ANSWER = 64;

/** One connection with a socket that keeps what we write, an engine that knows one swarm, and promises to hold. */
export class WireScene {
  readonly #connection: Connection;
  readonly #written: Buffer[] = [];
  readonly #asked: BlockRange[] = [];
  readonly #isDialer: boolean;
  readonly #isUnchoking: boolean;
  readonly #isAsking: boolean;
  #isVerified = false;
  #isOpen = false;
  #released: unknown[] = [];
  #closedHosts = 0;
  #receivedBytes = 0;
  #violation: Violation | undefined;

  constructor({ isDialer, isUnchoking, isAsking }: { isDialer: boolean; isUnchoking: boolean; isAsking: boolean }) {
    this.#isDialer = isDialer;
    this.#isUnchoking = isUnchoking;
    this.#isAsking = isAsking;
    this.#connection = new Connection({
      socket: this.#socket(),
      remote: REMOTE,
      local: LOCAL,
      address: '192.0.2.1',
      ...(isDialer ? { dial: { swarmId, grant: 'our.own.grant', geometry } } : {}),
      gate: this.#gate(),
      buffers: new UploadBuffers(uploadBufferOptions(limits)),
      uploadPacer: new Pacer({ clock, bytesPerSecond: undefined }),
      limits,
      clock,
    });
  }

  receive(chunk: Buffer): void {
    this.#receivedBytes += chunk.length;
    this.#connection.receive(chunk, 0, chunk.length);
  }

  end(): void {
    this.#connection.tick();
    this.#connection.close(new AppError('PEER_CLOSED'));
  }

  /** Holds what has happened against what a connection promises. */
  check(): void {
    if (this.#violation !== undefined) throw this.#violation;
    demand(this.#released.length === 1, 'a connection is released once');
    const [reason] = this.#released;
    if (!isAppError(reason)) throw reason;
    demand(this.#closedHosts === (this.#isOpen ? 1 : 0), 'a swarm hears the end of what it has seen the beginning of');
    this.#checkAnswers();
  }

  /** Reads what we wrote, frame by frame. */
  #checkAnswers(): void {
    const stream = Buffer.concat(this.#written);
    if (stream.length === 0) return;
    let blocks = 0;
    let others = 0;
    for (let at = HANDSHAKE_LENGTH; at < stream.length; ) {
      demand(at + 4 <= stream.length, 'we write whole frames');
      const length = stream.readUInt32BE(at);
      demand(at + 4 + length <= stream.length, 'we write whole frames');
      if (length > 0 && stream[at + 4] === MESSAGE_ID.piece) {
        blocks += 1;
        this.#checkBlock(stream.subarray(at + 5, at + 4 + length));
      } else {
        others += 4 + length;
      }
      at += 4 + length;
    }
    demand(blocks <= this.#asked.length, 'no more blocks than were asked for');
    demand(others <= 4_096 + MAX_IDLE_ANSWER * this.#receivedBytes, 'small inputs have small answers');
  }

  #checkBlock(body: Buffer): void {
    const [index, begin] = [body.readUInt32BE(0), body.readUInt32BE(4)];
    const block = body.subarray(8);
    const isAsked = this.#asked.some(
      (ask) => ask.index === index && ask.begin === begin && ask.length === block.length,
    );
    demand(isAsked, 'a block is sent to whoever asked for it');
    const offset = index * geometry.pieceLength + begin;
    demand(block.equals(contentAt(offset, block.length)), 'a block has the bytes of the blob');
  }

  #onWrite(bytes: Uint8Array): void {
    this.#written.push(Buffer.from(bytes));
    const isOwnGreeting = this.#isDialer && this.#written.length === 1;
    if (this.#isVerified || isOwnGreeting) return;
    this.#violation ??= new Violation('nothing is sent before the grant');
  }

  #socket(): TLSSocket {
    const handlers = new Map<string, () => void>();
    const socket = {
      writableLength: 0,
      setNoDelay: () => {},
      on: (event: string, handler: () => void) => void handlers.set(event, handler),
      once: () => {},
      cork: () => {},
      uncork: () => {},
      pause: () => {},
      resume: () => {},
      end: () => {},
      destroy: () => {},
      write: (bytes: Uint8Array, done: () => void) => {
        this.#onWrite(bytes);
        queueMicrotask(done);
        return true;
      },
    };
    // What a connection uses of a socket, and no more: another method shows as a TypeError at once.
    return socket as unknown as TLSSocket;
  }

  #gate(): ConnectionGate {
    return {
      verify: async (grant) => {
        if (grant !== GOOD_GRANT) throw new AppError('GRANT_REJECTED', { reason: 'not the good one' });
        this.#isVerified = true;
        return claims;
      },
      publicSwarm: (infoHash) => {
        if (infoHash !== publicInfoHash) return undefined;
        this.#isVerified = true;
        return swarmId;
      },
      tokenRefused: () => {},
      admit: (_connection, wanted) => (wanted === swarmId ? this.#host() : undefined),
      released: (_connection, reason) => this.#released.push(reason),
    };
  }

  #host(): ConnectionHost {
    return {
      geometry,
      grant: 'our.own.grant',
      opened: (connection) => {
        this.#isOpen = true;
        connection.send({ type: 'have-all' });
        if (this.#isUnchoking) connection.setChoking(false);
        if (this.#isAsking) this.#ask(connection);
      },
      event: (connection, event) => this.#onEvent(connection, event),
      blockStarts: (_connection, { length }) => (this.#isAsking ? Buffer.alloc(length) : undefined),
      blockEnded: (connection, block) => void connection.outstanding.settle(block),
      read: async (offset, into) => into.set(contentAt(offset, into.length)),
      closed: () => {
        this.#closedHosts += 1;
      },
    };
  }

  #ask(connection: Connection): void {
    const blocks = [0, 1, 2].map((at) => ({ index: 0, begin: at * BLOCK_LENGTH, length: BLOCK_LENGTH }));
    for (const block of blocks) connection.outstanding.add(block, clock.now());
    connection.request(blocks);
    connection.outstanding.giveUp({ index: 0, begin: 2 * BLOCK_LENGTH, length: BLOCK_LENGTH });
  }

  #onEvent(connection: Connection, event: SessionEvent): void {
    if (!this.#isOpen) this.#violation ??= new Violation('nothing happens before the grant');
    if (event.type === 'have') connection.session.pieces?.add(event.index);
    if (event.type === 'cancel') connection.cancelUpload(event);
    if (event.type !== 'request') return;
    this.#asked.push({ index: event.index, begin: event.begin, length: event.length });
    connection.serve(event);
  }
}

/** A blob in which each byte tells where it stands. */
function contentAt(offset: number, length: number): Buffer {
  const bytes = Buffer.allocUnsafe(length);
  for (let at = 0; at < length; at += 1) bytes[at] = ((offset + at) * 2_654_435_761) >>> 24;
  return bytes;
}
