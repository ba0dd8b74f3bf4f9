import { AppError, type Logger } from '@sealift/core';
import type { PeerEngine } from '@sealift/peer';
import type { Service } from './service-stack.ts';

/** Pause before the engine is tried again when it could not start, in ms: most likely its port is taken. */
const RETRY_MS = 5_000;

/**
 * The peer engine of a node. It can be built only once the node has a certificate, and it may fail to start while the proxy
 * goes on: dockerd has no second proxy.
 */
export class NodeEngine implements Service {
  readonly #build: () => PeerEngine;
  readonly #log: Logger;
  readonly #ready = Promise.withResolvers<PeerEngine>();
  #engine: PeerEngine | undefined;
  #starting: Promise<void> | undefined;
  #timer: NodeJS.Timeout | undefined;
  #isStopped = false;

  constructor({ build, log }: { build: () => PeerEngine; log: Logger }) {
    this.#build = build;
    this.#log = log;
    // Nobody may be waiting when the node stops before its engine ever started.
    this.#ready.promise.catch(() => {});
  }

  /** The engine, started. Rejects with the signal, or when the node stops first. */
  async ready({ signal }: { signal: AbortSignal }): Promise<PeerEngine> {
    signal.throwIfAborted();
    const { promise, reject } = Promise.withResolvers<never>();
    const onAbort = (): void => reject(signal.reason);
    signal.addEventListener('abort', onAbort, { once: true });
    try {
      return await Promise.race([this.#ready.promise, promise]);
    } finally {
      signal.removeEventListener('abort', onAbort);
    }
  }

  /** The engine if it runs. */
  get running(): PeerEngine | undefined {
    return this.#engine;
  }

  async start(): Promise<void> {
    if (this.#engine !== undefined || this.#isStopped) return;
    this.#starting ??= this.#start().finally(() => {
      this.#starting = undefined;
    });
    await this.#starting;
  }

  async stop(): Promise<void> {
    this.#isStopped = true;
    clearTimeout(this.#timer);
    await this.#starting;
    await this.#engine?.stop();
    this.#ready.reject(new AppError('CERT_REQUIRED', { reason: 'the node is stopping' }));
  }

  async #start(): Promise<void> {
    const engine = this.#build();
    try {
      await engine.start();
    } catch (error) {
      this.#log.error('engine_failed', { error });
      await engine.stop();
      if (this.#isStopped) return;
      this.#timer = setTimeout(() => void this.start(), RETRY_MS);
      this.#timer.unref();
      return;
    }
    this.#engine = engine;
    this.#ready.resolve(engine);
  }
}
