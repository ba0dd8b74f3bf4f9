import { once } from 'node:events';
import type { Socket } from 'node:net';
import { connect, type TLSSocket } from 'node:tls';
import {
  encodeExtendedHandshake,
  encodeHandshake,
  encodeMessage,
  HANDSHAKE_LENGTH,
  type Message,
  MessageParser,
  OWN_EXTENSION_MESSAGES,
  peerIdOf,
} from '@sealift/bittorrent';
import type { NodeId, SwarmId } from '@sealift/core';
import { peerClientContext, peerConnectOptions, type TlsMaterial } from '@sealift/pki';

/** A peer that does what the test says and nothing else: real TLS, no rules. */
export class RawPeer {
  readonly socket: TLSSocket;
  readonly messages: Exclude<Message, { type: 'piece' }>[] = [];
  /** All plaintext bytes that came. */
  receivedBytes = 0;
  payloadBytes = 0;
  /** Resolves when the other side, or the test, has ended the connection. */
  readonly closed: Promise<void>;
  #onMessage: (message: Exclude<Message, { type: 'piece' }>) => void = () => {};
  #head = Buffer.alloc(0);

  private constructor(socket: TLSSocket) {
    this.socket = socket;
    this.closed = new Promise((resolve) => socket.once('close', () => resolve()));
    const parser = new MessageParser({
      onMessage: (message) => {
        this.messages.push(message);
        this.#onMessage(message);
      },
      onPieceStart: () => undefined,
      onPieceEnd: (_index, _begin, length) => {
        this.payloadBytes += length;
      },
    });
    socket.on('error', () => {});
    socket.on('data', (chunk: Buffer) => {
      this.receivedBytes += chunk.length;
      const missing = HANDSHAKE_LENGTH - this.#head.length;
      this.#head = Buffer.concat([this.#head, chunk.subarray(0, missing)]);
      if (chunk.length > missing) parser.push(chunk, Math.max(0, missing));
    });
  }

  /** Connects to a peer engine, on this machine if nothing else is said, or goes on with a `socket` that is connected. */
  static async dial(
    port: number,
    tls: TlsMaterial,
    { host = '127.0.0.1', ...from }: { host?: string; localAddress?: string; socket?: Socket } = {},
  ): Promise<RawPeer> {
    const socket = connect({ ...peerConnectOptions(peerClientContext(tls)), ...from, host, port });
    const peer = new RawPeer(socket);
    // One of the two comes: a refused certificate shows as a close.
    await Promise.race([once(socket, 'secureConnect'), peer.closed]);
    return peer;
  }

  write(...parts: readonly Uint8Array[]): void {
    this.socket.write(Buffer.concat(parts));
  }

  send(...messages: readonly Message[]): void {
    this.write(...messages.map(encodeMessage));
  }

  greet(swarmId: SwarmId, nodeId: NodeId, grant: string | undefined): void {
    this.write(handshakeOf(swarmId, nodeId), extendedOf(grant));
  }

  /** Resolves with the next message of that type, one that has come already included. */
  async next(type: Message['type']): Promise<Exclude<Message, { type: 'piece' }>> {
    const present = this.messages.find((message) => message.type === type);
    if (present !== undefined) return present;
    return await new Promise((resolve) => {
      const before = this.#onMessage;
      this.#onMessage = (message) => {
        before(message);
        if (message.type === type) resolve(message);
      };
    });
  }

  /** Resolves with the first word of the other side after its greeting: what it holds. */
  async opened(): Promise<void> {
    await Promise.race((['have-none', 'have-all', 'bitfield'] as const).map((type) => this.next(type)));
  }

  /** Calls `handler` for each message from now on. */
  handle(handler: (message: Exclude<Message, { type: 'piece' }>) => void): void {
    this.#onMessage = handler;
  }
}

/** The first 68 bytes. */
export function handshakeOf(swarmId: SwarmId, nodeId: NodeId): Buffer {
  return encodeHandshake({ swarmId, peerId: peerIdOf(nodeId), supportsExtended: true, supportsFast: true });
}

/** The extended handshake as a message, with or without a grant. */
export function extendedOf(grant: string | undefined): Buffer {
  const handshake = { messages: OWN_EXTENSION_MESSAGES, requestQueue: 512, ...(grant === undefined ? {} : { grant }) };
  return encodeMessage({ type: 'extended', id: 0, payload: encodeExtendedHandshake(handshake) });
}
