import type { OnReadOpts } from 'node:net';
import { type ConnectionOptions, connect, type SecureContext, type TLSSocket } from 'node:tls';
import { AppError, type Clock } from '@sealift/core';
import { peerConnectOptions } from '@sealift/pki';

/** Where plaintext lands: a TLS record of 16 KiB at most, and room so that copies from it are never of the whole buffer. */
const READ_BUFFER_LENGTH = 20 * 1024;

/**
 * Longest wait for TCP, in ms: a host that is there has heard one of three tries by then (RFC 6298 §5, after 1 s and 2 s more).
 * Behind a firewall that drops, readers wait for it in vain.
 */
const CONNECT_TIMEOUT_MS = 3_500;
/** The same for an address that has just not answered, in ms: each blob of an image would wait for it anew. */
const REPEATED_TIMEOUT_MS = 1_000;
/** How long that is remembered, in ms. */
const SILENCE_MS = 60_000;
/** Addresses remembered, some 100 bytes each: more than a node dials in that time. */
const MAX_SILENT = 1_000;

/** Nobody answers at an address. `code` is that of a connection that timed out. */
class ConnectTimeout extends Error {
  readonly code = 'ETIMEDOUT';
  override readonly name = 'ConnectTimeout';
}

/** Takes `buffer[0, length)`, which is overwritten afterwards. */
export type Receiver = (buffer: Uint8Array, length: number) => void;

/** A dialled socket and the way to its bytes. */
export interface DialledSocket {
  readonly socket: TLSSocket;
  /** Bytes go to `receiver` from now on. */
  readonly setReceiver: (receiver: Receiver) => void;
}

/** Opens TLS connections to peers. */
export class Dialer {
  readonly #clock: Clock;
  readonly #connect: typeof connect;
  /** Until when an address that did not answer counts as silent, in ms. */
  readonly #silentUntil = new Map<string, number>();

  constructor(options: { clock: Clock; connect?: typeof connect }) {
    this.#clock = options.clock;
    this.#connect = options.connect ?? connect;
  }

  /**
   * Opens a connection. Its plaintext comes through one reused buffer, without an allocation per record, which halves the
   * cost of receiving. Rejects with the socket's error, `ETIMEDOUT` where nobody answers, or the reason of `signal`.
   */
  async dial(
    { host, port, context }: { host: string; port: number; context: SecureContext },
    { signal }: { signal: AbortSignal },
  ): Promise<DialledSocket> {
    const key = `${host} ${port}`;
    const isSilent = (this.#silentUntil.get(key) ?? 0) > this.#clock.now();
    const timeoutMs = isSilent ? REPEATED_TIMEOUT_MS : CONNECT_TIMEOUT_MS;
    try {
      const dialled = await this.#open({ host, port, context, timeoutMs }, signal);
      this.#silentUntil.delete(key);
      return dialled;
    } catch (error) {
      this.#silentUntil.delete(key);
      if (error instanceof ConnectTimeout) this.#remember(key);
      throw error;
    }
  }

  #remember(key: string): void {
    this.#silentUntil.set(key, this.#clock.now() + SILENCE_MS);
    for (const oldest of this.#silentUntil.keys()) {
      if (this.#silentUntil.size <= MAX_SILENT) return;
      this.#silentUntil.delete(oldest);
    }
  }

  #open(
    { timeoutMs, context, ...address }: { host: string; port: number; context: SecureContext; timeoutMs: number },
    signal: AbortSignal,
  ): Promise<DialledSocket> {
    return new Promise((resolve, reject) => {
      let receiver: Receiver | undefined;
      // Documented for tls.connect, and missing from its types.
      const options: ConnectionOptions & { onread: OnReadOpts } = {
        ...peerConnectOptions(context),
        ...address,
        onread: {
          buffer: Buffer.alloc(READ_BUFFER_LENGTH),
          callback: (length, buffer) => {
            // A peer that speaks before it is spoken to breaks the protocol.
            if (receiver === undefined) socket.destroy();
            else receiver(buffer, length);
            return true;
          },
        },
      };
      const socket = this.#connect(options);
      const fail = (error: unknown): void => {
        clearTimeout(late);
        signal.removeEventListener('abort', abort);
        socket.destroy();
        reject(error);
      };
      const late = setTimeout(() => fail(new ConnectTimeout(`no answer within ${timeoutMs} ms`)), timeoutMs);
      const abort = (): void => fail(signal.reason);
      signal.addEventListener('abort', abort, { once: true });
      socket.on('error', fail);
      socket.on('close', () => fail(new AppError('PEER_PROTOCOL', { reason: 'closed during the TLS handshake' })));
      socket.once('connect', () => clearTimeout(late));
      socket.once('secureConnect', () => {
        signal.removeEventListener('abort', abort);
        resolve({
          socket,
          setReceiver: (next) => {
            receiver = next;
          },
        });
      });
      if (signal.aborted) abort();
    });
  }
}
