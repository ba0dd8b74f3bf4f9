import { type BlobRef, type SwarmId, within } from '@sealift/core';
import type { RegistryClient } from '@sealift/registry';
import type { BlobBody } from './registry-read.ts';

/** Blobs that are open before anybody's right to them is proven. Each holds a connection, and what the kernel buffers of it. */
const MAX_OPEN = 16;
/** Longest wait for what was opened with somebody else's header, in ms: it may be good for nothing, and slow to show it. */
const OTHERS_WAIT_MS = 500;

/** What is opened, and with which header. */
interface Opening {
  readonly blob: BlobRef;
  readonly swarmId: SwarmId;
  readonly authorization: string | undefined;
}

/**
 * Blobs that are opened at the registry while it is still being asked whether the requester may have them: with two
 * questions one after the other, each over a connection of its own, every new layer would wait for the registry twice.
 *
 * Nothing of them is read here, and nothing is handed out for it: a body waits until somebody with a proven right takes it,
 * and is cut if nobody does.
 */
export class OpenedAhead {
  readonly #registry: Pick<RegistryClient, 'openBlob'>;
  readonly #stopped: AbortSignal;
  readonly #open = new Map<SwarmId, { readonly authorization: string | undefined; readonly body: Promise<BlobBody> }>();

  constructor({ registry, stopped }: { registry: Pick<RegistryClient, 'openBlob'>; stopped: AbortSignal }) {
    this.#registry = registry;
    this.#stopped = stopped;
  }

  /** Opens a blob; to dispose of what is returned cuts it, unless it was taken. `undefined` if it is open, or too many are. */
  open({ blob, swarmId, authorization }: Opening): Disposable | undefined {
    if (this.#open.has(swarmId) || this.#open.size >= MAX_OPEN || this.#stopped.aborted) return undefined;
    const cut = new AbortController();
    const signal = AbortSignal.any([this.#stopped, cut.signal]);
    const body = this.#registry.openBlob(blob, { authorization, signal });
    // Whoever takes it sees why it failed.
    body.catch(() => {});
    const opened = { authorization, body };
    this.#open.set(swarmId, opened);
    return {
      [Symbol.dispose]: () => {
        if (this.#open.get(swarmId) !== opened) return;
        this.#open.delete(swarmId);
        cut.abort(new DOMException('nobody reads it', 'AbortError'));
      },
    };
  }

  /**
   * Hands over the body of a blob to somebody who may have it; `undefined` if it is not open. What was opened with that very
   * header is waited for, and fails as it fails; of another's only the bytes count.
   */
  async take({ swarmId, authorization }: Omit<Opening, 'blob'>): Promise<BlobBody | undefined> {
    const opened = this.#open.get(swarmId);
    if (opened === undefined) return undefined;
    if (opened.authorization === authorization) {
      this.#open.delete(swarmId);
      return await opened.body;
    }
    const body = await within(
      opened.body.catch(() => undefined),
      OTHERS_WAIT_MS,
    );
    // It may have been cut meanwhile.
    if (body === undefined || this.#open.get(swarmId) !== opened) return undefined;
    this.#open.delete(swarmId);
    return body;
  }
}
