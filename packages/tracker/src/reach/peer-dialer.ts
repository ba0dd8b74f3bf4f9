import { once } from 'node:events';
import { setTimeout as delay } from 'node:timers/promises';
import { connect, type TLSSocket } from 'node:tls';
import { AppError, type Clock, type ClusterId, type NodeId } from '@sealift/core';
import { identityOfSocket, onlookerContext, peerConnectOptions } from '@sealift/pki';

/** Time for a node's peer port to answer, in ms: TCP may lose its first packet and send it again after a second. */
const DIAL_TIMEOUT_MS = 3_000;
/** Dials at once. Only people ask for one, with `sealift doctor`. */
const MAX_DIALS = 32;

/**
 * Looks whether a node can be reached where it listens for peers. Only a TLS server that shows the certificate of this very
 * node counts; everything else is the same no, and takes the same time, so that nobody learns from it what else listens there.
 */
export class PeerDialer {
  readonly #clusterId: ClusterId;
  readonly #trustAnchors: () => string;
  readonly #clock: Clock;
  readonly #timeoutMs: number;
  readonly #stopped = new AbortController();
  #dials = 0;

  constructor(options: { clusterId: ClusterId; trustAnchors: () => string; clock: Clock; timeoutMs?: number }) {
    this.#clusterId = options.clusterId;
    this.#trustAnchors = options.trustAnchors;
    this.#clock = options.clock;
    this.#timeoutMs = options.timeoutMs ?? DIAL_TIMEOUT_MS;
  }

  /** Whether `nodeId` answers at this address. Throws `TOO_MANY_REQUESTS` when too many are asked for at once. */
  async reaches(nodeId: NodeId, { host, port }: { host: string; port: number }): Promise<boolean> {
    if (this.#dials >= MAX_DIALS) throw new AppError('TOO_MANY_REQUESTS');
    this.#dials += 1;
    const end = AbortSignal.any([this.#stopped.signal, AbortSignal.timeout(this.#timeoutMs)]);
    const late = delay(this.#timeoutMs, undefined, { signal: end, ref: false }).catch(() => {});
    try {
      if (await this.#dial(nodeId, { host, port, end })) return true;
      await late;
      return false;
    } finally {
      this.#dials -= 1;
    }
  }

  /** Ends the dials that are under way; each is a no. */
  stop(): void {
    this.#stopped.abort();
  }

  async #dial(nodeId: NodeId, { host, port, end }: { host: string; port: number; end: AbortSignal }): Promise<boolean> {
    // Without a certificate of ours: the node shows its own first (RFC 8446 §4.4), which is all that we want to see.
    const socket: TLSSocket = connect({ host, port, ...peerConnectOptions(onlookerContext(this.#trustAnchors())) });
    socket.on('error', () => {});
    try {
      await once(socket, 'secureConnect', { signal: end });
      const expected = { clusterId: this.#clusterId, roles: ['node'], clock: this.#clock } as const;
      return identityOfSocket(socket, expected).id === nodeId;
    } catch {
      // Refused, silent, no TLS, another certificate: all the same to the caller.
      return false;
    } finally {
      socket.destroy();
    }
  }
}
