import { connect, type SecureContext, type TLSSocket } from 'node:tls';

const HEAD_END = Buffer.from('\r\n\r\n');
const CONTENT_LENGTH = /\r\ncontent-length: (\d+)/i;

/** An answer, as far as a load generator looks at it. */
export interface RawAnswer {
  readonly status: number;
  readonly body: Buffer;
}

/**
 * An HTTP/1.1 connection for one request at a time, ready-made bytes out, the least of parsing in: a generator that works
 * harder than what it measures would measure itself.
 */
export class RawClient {
  readonly #socket: TLSSocket;
  #parts: Buffer[] = [];
  #waiting: PromiseWithResolvers<RawAnswer> | undefined;
  #failure: Error | undefined;

  private constructor(socket: TLSSocket) {
    this.#socket = socket;
    socket.on('data', (chunk: Buffer) => this.#onData(chunk));
    socket.on('error', (error) => this.#fail(error));
    socket.on('close', () => this.#fail(new Error('the connection was closed')));
  }

  /** Dials the tracker. The context trusts the cluster's CA only; who answers there is not in question here. */
  static async dial(
    port: number,
    secureContext: SecureContext,
    { host = '127.0.0.1', ...from }: { host?: string; localAddress?: string } = {},
  ): Promise<RawClient> {
    return await new Promise((resolve, reject) => {
      const options = { ...from, host, port, secureContext, checkServerIdentity: () => undefined };
      const socket = connect(options, () => {
        socket.off('error', reject);
        resolve(new RawClient(socket.setNoDelay(true)));
      });
      socket.once('error', reject);
    });
  }

  /** Sends one request and resolves with its answer. */
  send(request: Buffer | string): Promise<RawAnswer> {
    if (this.#failure !== undefined) return Promise.reject(this.#failure);
    this.#waiting = Promise.withResolvers<RawAnswer>();
    this.#socket.write(request);
    return this.#waiting.promise;
  }

  close(): void {
    this.#socket.destroy();
  }

  #onData(chunk: Buffer): void {
    this.#parts.push(chunk);
    const bytes = this.#parts.length === 1 ? chunk : Buffer.concat(this.#parts);
    const headEnd = bytes.indexOf(HEAD_END);
    if (headEnd === -1) return;
    const head = bytes.toString('latin1', 0, headEnd);
    const bodyStart = headEnd + HEAD_END.length;
    const length = Number(CONTENT_LENGTH.exec(head)?.[1] ?? 0);
    if (bytes.length < bodyStart + length) {
      this.#parts = [bytes];
      return;
    }
    this.#parts = [];
    this.#waiting?.resolve({ status: Number(head.slice(9, 12)), body: bytes.subarray(bodyStart, bodyStart + length) });
    this.#waiting = undefined;
  }

  #fail(error: Error): void {
    this.#failure ??= error;
    this.#waiting?.reject(error);
    this.#waiting = undefined;
  }
}
