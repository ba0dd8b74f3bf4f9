import { resolve, sep } from 'node:path';
import { AppError, Bitfield, isAppError, type Logger, pieceGeometry } from '@sealift/core';
import type { BlobRequest, BlobSource, OpenBlob } from '@sealift/proxy';
import { BlobReader, bytesAnswer, SharedBlob, sizeAnswer } from '@sealift/store';
import type { EngineMessage, FrontMessage } from './engine-messages.ts';
import { RemoteBlob } from './remote-blob.ts';

/** Blobs open at once. A proxy has 1024 clients at most, each with four requests. */
const MAX_OPEN = 4096;

type Send = (message: FrontMessage) => boolean;
type FileAnswer = Extract<EngineMessage, { type: 'file' }>;
type OpenAnswer = Extract<EngineMessage, { type: 'nothing' | 'size' | 'bytes' | 'file' }>;

interface Opening {
  readonly settle: (answer: OpenAnswer | undefined) => void;
  /** A piece has proved false while the file was being opened. */
  isRevised: boolean;
}

/**
 * The blobs of an engine in another process, for the proxy. Only words cross over: the bytes are read from the files of the
 * store, which both processes share through the memory of the kernel. While no engine runs, every request passes through.
 */
export class RemoteBlobSource implements BlobSource {
  readonly #store: string;
  readonly #log: Logger;
  readonly #opening = new Map<number, Opening>();
  readonly #open = new Map<number, RemoteBlob>();
  #send: Send | undefined;
  #nextId = 0;

  /** `store` is the directory of the engine's store: files elsewhere are not read. */
  constructor({ store, log }: { store: string; log: Logger }) {
    this.#store = resolve(store);
    this.#log = log;
  }

  /** Blobs that are open or being opened. */
  get size(): number {
    return this.#opening.size + this.#open.size;
  }

  /** An engine runs and hears what is sent. */
  attach(send: Send): void {
    this.#send = send;
  }

  /**
   * The engine is gone, or silent: nobody waits for it any longer. What it has said to be verified can still be read, unless
   * it comes back and takes its word back.
   */
  detach(): void {
    this.#send = undefined;
    for (const { settle } of [...this.#opening.values()]) settle(undefined);
    for (const blob of this.#open.values()) blob.cutOff();
  }

  async open({ blob, authorization, intent }: BlobRequest, { signal }: { signal: AbortSignal }) {
    signal.throwIfAborted();
    const send = this.#send;
    if (send === undefined || this.size >= MAX_OPEN) return undefined;
    const id = this.#nextId;
    this.#nextId += 1;
    const { registry, repository, digest } = blob;
    const isCheck = intent === 'check';
    const { promise, resolve: settle } = Promise.withResolvers<OpenAnswer | undefined>();
    const opening: Opening = { settle, isRevised: false };
    this.#opening.set(id, opening);
    const onAbort = (): void => settle(undefined);
    signal.addEventListener('abort', onAbort, { once: true });
    try {
      if (!send({ type: 'open', id, registry, repository, digest, authorization, isCheck })) return undefined;
      const answer = await promise;
      // It may still be working on it.
      if (answer === undefined) send({ type: 'close', id });
      signal.throwIfAborted();
      return answer === undefined ? undefined : await this.#openAnswer(answer, opening, send);
    } finally {
      this.#opening.delete(id);
      signal.removeEventListener('abort', onAbort);
    }
  }

  /** Takes what the engine says of blobs; the rest is for others. */
  take(message: EngineMessage): void {
    switch (message.type) {
      case 'nothing':
      case 'size':
      case 'bytes':
      case 'file':
        this.#opening.get(message.id)?.settle(message);
        return;
      case 'have':
        this.#open.get(message.id)?.have(message.index, message.count);
        return;
      case 'signed':
        this.#open.get(message.id)?.signed();
        return;
      case 'revised':
        this.#revised(message.id, message.revision);
        return;
      case 'stalled': {
        const code = message.code === 'SWARM_WITHDRAWN' ? 'SWARM_WITHDRAWN' : 'SWARM_STALLED';
        this.#open.get(message.id)?.stalled(new AppError(code, { reason: message.reason }));
        return;
      }
    }
  }

  #revised(id: number, revision: number): void {
    this.#open.get(id)?.revised(revision);
    const opening = this.#opening.get(id);
    if (opening !== undefined) opening.isRevised = true;
  }

  async #openAnswer(answer: OpenAnswer, opening: Opening, send: Send): Promise<OpenBlob | undefined> {
    switch (answer.type) {
      case 'nothing':
        return undefined;
      case 'size':
        return sizeAnswer(answer.size);
      case 'bytes':
        return bytesAnswer(Buffer.from(answer.bytes, 'base64'));
      case 'file':
        return await this.#openFile(answer, opening, send);
    }
  }

  async #openFile(answer: FileAnswer, opening: Opening, send: Send): Promise<OpenBlob | undefined> {
    const { id, isSigned, revision } = answer;
    const close = (): void => {
      this.#open.delete(id);
      send({ type: 'close', id });
    };
    try {
      const blob = await this.#shared(answer);
      if (opening.isRevised) {
        blob.close();
        throw new AppError('SWARM_WITHDRAWN', { reason: 'a piece proved false while it was opened' });
      }
      const held = Bitfield.fromBytes(Buffer.from(answer.held, 'base64'), blob.geometry.pieceCount);
      const remote = new RemoteBlob({ id, blob, held, isSigned, revision, send });
      this.#open.set(id, remote);
      if (this.#send !== send) remote.cutOff();
      const reader = new BlobReader(remote);
      return {
        size: blob.geometry.size,
        read: (range, options) => reader.read(range, options),
        served: reader.served,
        close: () => {
          blob.close();
          close();
        },
      };
    } catch (error) {
      close();
      // Between the answer and now the engine may have ended and its blob been evicted; or there are no descriptors left.
      if (!isAppError(error)) throw error;
      this.#log.warn('blob_fallback', { error });
      return undefined;
    }
  }

  async #shared({ size, pieceLength, file, pieces }: FileAnswer): Promise<SharedBlob> {
    const geometry = pieceGeometry(size, pieceLength);
    const bitfield = Bitfield.fromBytes(Buffer.from(pieces, 'base64'), geometry.pieceCount);
    if (resolve(file) !== file || !file.startsWith(this.#store + sep)) {
      throw new AppError('ENGINE_FAILED', { reason: 'it named a file outside of its store' });
    }
    return await SharedBlob.open(file, { geometry, bitfield });
  }
}
