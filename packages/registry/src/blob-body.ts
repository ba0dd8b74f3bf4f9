import { Readable } from 'node:stream';
import { AppError } from '@sealift/core';
import { unavailable } from './unavailable.ts';

/**
 * The bytes of a blob as the registry sends them: not verified, not decompressed. It passes chunks on as they are, with
 * backpressure, and turns every failure into `REGISTRY_UNAVAILABLE` (or the reason of the aborted signal), so that a body
 * that was cut never looks whole. Destroying it frees the connection.
 */
export class BlobBody extends Readable {
  readonly #source: Readable;

  constructor(source: Readable, { signal }: { signal: AbortSignal }) {
    super();
    this.#source = source;
    // Whoever reads sees the error; one that comes before the first read must not end the process.
    this.on('error', () => {});
    // Before the listener, which would start the flow.
    source.pause();
    source.on('data', (chunk: Buffer) => {
      if (!this.push(chunk)) source.pause();
    });
    source.on('end', () => this.push(null));
    source.on('error', (error) => this.destroy(signal.aborted ? (signal.reason as Error) : unavailable(error)));
    source.on('close', () => {
      if (source.readableEnded || this.destroyed) return;
      this.destroy(new AppError('REGISTRY_UNAVAILABLE', { reason: 'connection closed before the end' }));
    });
  }

  override _read(): void {
    this.#source.resume();
  }

  override _destroy(error: Error | null, callback: (error?: Error | null) => void): void {
    this.#source.destroy();
    callback(error);
  }
}
