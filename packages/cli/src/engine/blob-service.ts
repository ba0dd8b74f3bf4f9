import {
  Bitfield,
  type BlobRef,
  isAppError,
  type Logger,
  parseDigest,
  parseRegistryHost,
  parseRepository,
} from '@sealift/core';
import type { FoundBlob } from '@sealift/peer';
import type { EngineMessage, FrontMessage } from './engine-messages.ts';

/** Blobs open at once; the front opens no more either. */
const MAX_OPEN = 4096;
/** Pieces told of in one answer: a reader takes its time for as many, and hears soon if one has proved false meanwhile. */
const MAX_PIECES_TOLD = 32;

type Swarm = Extract<FoundBlob, { kind: 'swarm' }>['swarm'];
type OpenMessage = Extract<FrontMessage, { type: 'open' }>;

/** What the service finds blobs with; the peer engine's `SwarmBlobSource` fits. */
export interface BlobFinder {
  find(
    request: { blob: BlobRef; authorization: string | undefined; intent: 'pull' | 'check' },
    options: { signal: AbortSignal },
  ): Promise<FoundBlob | undefined>;
}

interface Entry {
  readonly ended: AbortController;
  swarm: Swarm | undefined;
  release: () => void;
}

/** The engine's half of a `RemoteBlobSource`: finds blobs, keeps them while they are read, and tells of their pieces. */
export class BlobService {
  readonly #finder: BlobFinder;
  readonly #send: (message: EngineMessage) => void;
  readonly #log: Logger;
  readonly #entries = new Map<number, Entry>();

  constructor(options: { finder: BlobFinder; send: (message: EngineMessage) => void; log: Logger }) {
    this.#finder = options.finder;
    this.#send = options.send;
    this.#log = options.log;
  }

  /** Takes what the front says of blobs; the rest is for others. */
  take(message: FrontMessage): void {
    switch (message.type) {
      case 'open':
        void this.#open(message);
        return;
      case 'want':
        void this.#answer(message.id, async (swarm, signal) => {
          await swarm.waitForPiece(message.index, { signal });
          let count = 0;
          while (count < MAX_PIECES_TOLD && isReadable(swarm, message.index + count)) count += 1;
          this.#send({ type: 'have', id: message.id, index: message.index, count });
        });
        return;
      case 'want-end':
        void this.#answer(message.id, async (swarm, signal) => {
          await swarm.waitForSignedComplete({ signal });
          this.#send({ type: 'signed', id: message.id });
        });
        return;
      case 'position':
        this.#entries.get(message.id)?.swarm?.setReadPosition(message.index);
        return;
      case 'close':
        this.#close(message.id);
        return;
    }
  }

  /** Lets go of all blobs. */
  stop(): void {
    for (const id of [...this.#entries.keys()]) this.#close(id);
  }

  async #open({ id, registry, repository, digest, authorization, isCheck }: OpenMessage): Promise<void> {
    if (this.#entries.size >= MAX_OPEN || this.#entries.has(id)) {
      this.#send({ type: 'nothing', id });
      return;
    }
    const entry: Entry = { ended: new AbortController(), swarm: undefined, release: () => {} };
    this.#entries.set(id, entry);
    let found: FoundBlob | undefined;
    try {
      const blob = {
        registry: parseRegistryHost(registry),
        repository: parseRepository(repository),
        digest: parseDigest(digest),
      };
      const intent = isCheck ? 'check' : 'pull';
      found = await this.#finder.find({ blob, authorization, intent }, { signal: entry.ended.signal });
    } catch (error) {
      if (!entry.ended.signal.aborted) this.#log.warn('blob_fallback', { digest, registry, error });
    }
    if (found?.kind === 'swarm') this.#keep(id, entry, found);
    else this.#entries.delete(id);
    if (!entry.ended.signal.aborted) this.#send(answerOf(id, found));
  }

  #keep(id: number, entry: Entry, { swarm, release }: Extract<FoundBlob, { kind: 'swarm' }>): void {
    if (entry.ended.signal.aborted) {
      release();
      return;
    }
    const unlisten = swarm.onRevised((revision) => this.#send({ type: 'revised', id, revision }));
    entry.swarm = swarm;
    entry.release = () => {
      unlisten();
      release();
    };
  }

  async #answer(id: number, work: (swarm: Swarm, signal: AbortSignal) => Promise<void>): Promise<void> {
    const entry = this.#entries.get(id);
    if (entry?.swarm === undefined) return;
    try {
      await work(entry.swarm, entry.ended.signal);
    } catch (error) {
      if (entry.ended.signal.aborted) return;
      const [code, reason] = isAppError(error)
        ? [error.code, String(error.details['reason'] ?? error.message)]
        : ['SWARM_STALLED', 'an unexpected fault'];
      if (!isAppError(error)) this.#log.error('fatal', { error, kind: 'waiting for a piece' });
      this.#send({ type: 'stalled', id, code, reason });
    }
  }

  #close(id: number): void {
    const entry = this.#entries.get(id);
    if (entry === undefined) return;
    this.#entries.delete(id);
    entry.ended.abort();
    entry.release();
  }
}

/** What an earlier engine has left may be read once it is proven. */
function isReadable({ blob }: Swarm, index: number): boolean {
  return blob.bitfield.has(index) && blob.proven.has(index);
}

function answerOf(id: number, found: FoundBlob | undefined): EngineMessage {
  switch (found?.kind) {
    case undefined:
      return { type: 'nothing', id };
    case 'size':
      return { type: 'size', id, size: found.size };
    case 'bytes':
      return { type: 'bytes', id, bytes: found.bytes.toString('base64') };
    case 'swarm': {
      const { blob, geometry, isSignedComplete, revision } = found.swarm;
      const pieces = new Bitfield(geometry.pieceCount);
      for (let index = 0; index < pieces.length; index += 1) if (isReadable(found.swarm, index)) pieces.add(index);
      return {
        type: 'file',
        id,
        size: geometry.size,
        pieceLength: geometry.pieceLength,
        file: blob.dataFile,
        pieces: pieces.toBytes().toString('base64'),
        held: blob.bitfield.toBytes().toString('base64'),
        isSigned: isSignedComplete,
        revision,
      };
    }
  }
}
