import { EventEmitter, once } from 'node:events';
import type { Dockerd } from '../test/testbed/docker.ts';
import { pullByApi } from '../test/testbed/engine-api.ts';
import type { Outcome } from './client-party.ts';

/** A real dockerd as the client of a node: it tries again as it always does, and judges the digests itself. */
export class DockerClient {
  readonly #docker: Dockerd;
  readonly #news = new EventEmitter();
  /** Bytes of each layer, as dockerd reports them. */
  readonly #received = new Map<string, number>();
  #isPulling = false;

  constructor(docker: Dockerd) {
    this.#docker = docker;
  }

  /** Pulls an image that dockerd has forgotten before. Never rejects for what becomes of it. */
  async pull(o: { image: string; tag: string; registryToken: string; timeoutMs: number }): Promise<Outcome> {
    const startedAt = performance.now();
    this.#received.clear();
    this.#isPulling = true;
    try {
      await this.#docker.run(['image', 'rm', '-f', `${o.image}:${o.tag}`]);
      const { error } = await pullByApi(this.#docker.socket, {
        ...o,
        signal: AbortSignal.timeout(o.timeoutMs),
        onProgress: ({ id = '', status, progressDetail }) => {
          if (status === 'Downloading') this.#received.set(id, progressDetail?.current ?? 0);
          this.#news.emit('news');
        },
      });
      return this.#outcome(startedAt, error);
    } catch (error) {
      return this.#outcome(startedAt, error instanceof Error ? error.message : String(error));
    } finally {
      this.#isPulling = false;
      this.#news.emit('news');
    }
  }

  /** Resolves once so many bytes have come, with `false` if the pull has ended before. */
  async reached(bytes: number): Promise<boolean> {
    while (this.#isPulling && this.#bytes < bytes) await once(this.#news, 'news');
    return this.#isPulling;
  }

  get #bytes(): number {
    return [...this.#received.values()].reduce((sum, bytes) => sum + bytes, 0);
  }

  #outcome(startedAt: number, error: string | undefined): Outcome {
    const seconds = (performance.now() - startedAt) / 1000;
    const isWrong = error !== undefined && /verification failed|unexpected digest/i.test(error);
    return { seconds, bytes: this.#bytes, isWrong, hasFalseBytes: false, ...(error === undefined ? {} : { error }) };
  }
}
