import { AppError, type Bitfield } from '@sealift/core';
import type { ArrivingBlob, SharedBlob } from '@sealift/store';
import type { FrontMessage } from './engine-messages.ts';

/** The end of a blob among the things that a reader waits for; pieces have their index. */
const END = -1;

/**
 * A blob that the engine fetches and this process reads. What is verified here is so by the word of the engine alone; once
 * that is gone, what it has said still holds, and all else is given up at once.
 */
export class RemoteBlob implements ArrivingBlob {
  readonly blob: SharedBlob;
  readonly held: Bitfield;
  readonly #id: number;
  readonly #send: (message: FrontMessage) => boolean;
  /** What has been asked for and not been answered. One reader waits for two things at most. */
  readonly #awaited = new Map<number, PromiseWithResolvers<void>>();
  #revision: number;
  #isSigned: boolean;
  #isCutOff = false;

  constructor(o: {
    id: number;
    blob: SharedBlob;
    held: Bitfield;
    isSigned: boolean;
    revision: number;
    send: (message: FrontMessage) => boolean;
  }) {
    this.#id = o.id;
    this.blob = o.blob;
    this.held = o.held;
    this.#isSigned = o.isSigned;
    this.#revision = o.revision;
    this.#send = o.send;
  }

  get revision(): number {
    return this.#revision;
  }

  async waitForPiece(index: number, { signal }: { signal: AbortSignal }): Promise<void> {
    if (this.blob.bitfield.has(index)) return;
    await this.#wait(index, { type: 'want', id: this.#id, index }, signal);
  }

  async waitForSignedComplete({ signal }: { signal: AbortSignal }): Promise<void> {
    if (this.#isSigned) return;
    await this.#wait(END, { type: 'want-end', id: this.#id }, signal);
  }

  setReadPosition(index: number): void {
    if (!this.blob.bitfield.isFull) this.#send({ type: 'position', id: this.#id, index });
  }

  /** `count` pieces from `index` on are verified. */
  have(index: number, count: number): void {
    const { bitfield } = this.blob;
    for (let at = index; at < Math.min(index + count, bitfield.length); at += 1) bitfield.add(at);
    this.#settle(index);
  }

  /** The whole blob is signed as complete. */
  signed(): void {
    this.#isSigned = true;
    this.#settle(END);
  }

  /** A piece has proved false. Which one does not matter: no rest makes this a blob again. */
  revised(revision: number): void {
    this.#revision = revision;
    this.#isSigned = false;
  }

  /** Ends all that is being waited for. */
  stalled(error: AppError): void {
    for (const { reject } of this.#awaited.values()) reject(error);
    this.#awaited.clear();
  }

  /** The engine is gone. */
  cutOff(): void {
    this.#isCutOff = true;
    this.stalled(engineGone());
  }

  async #wait(what: number, question: FrontMessage, signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    let awaited = this.#awaited.get(what);
    if (awaited === undefined) {
      if (this.#isCutOff || !this.#send(question)) throw engineGone();
      awaited = Promise.withResolvers<void>();
      // Whoever waited may have left when the answer comes.
      awaited.promise.catch(() => {});
      this.#awaited.set(what, awaited);
    }
    const { promise: aborted, reject } = Promise.withResolvers<never>();
    const onAbort = (): void => reject(signal.reason);
    signal.addEventListener('abort', onAbort, { once: true });
    try {
      await Promise.race([awaited.promise, aborted]);
    } finally {
      signal.removeEventListener('abort', onAbort);
    }
  }

  #settle(what: number): void {
    this.#awaited.get(what)?.resolve();
    this.#awaited.delete(what);
  }
}

function engineGone(): AppError {
  return new AppError('SWARM_STALLED', { reason: 'the peer engine has ended' });
}
