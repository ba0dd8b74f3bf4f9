import type { ServerResponse } from 'node:http';
import type { Server } from 'node:https';

/** The calls that a server is answering right now, so that its end can wait for them. */
export class RunningCalls {
  readonly #running = new Set<ServerResponse>();
  #ended: (() => void) | undefined;

  constructor(server: Server) {
    server.on('request', (_request, response: ServerResponse) => {
      this.#running.add(response);
      response.once('close', () => {
        this.#running.delete(response);
        if (this.#running.size === 0) this.#ended?.();
      });
    });
  }

  /** Resolves once none runs, or after `timeoutMs`. */
  async finished({ timeoutMs }: { timeoutMs: number }): Promise<void> {
    if (this.#running.size === 0) return;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#ended = resolve;
    const late = setTimeout(resolve, timeoutMs);
    await promise;
    clearTimeout(late);
  }
}
