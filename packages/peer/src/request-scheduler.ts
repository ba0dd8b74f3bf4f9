import type { BlockRange } from '@sealift/bittorrent';
import { BLOCK_LENGTH, type Clock, type PieceGeometry } from '@sealift/core';
import type { OutstandingRequests } from './outstanding-requests.ts';
import type { Picker, PickerPeer } from './picker.ts';
import { PieceAssembly } from './piece-assembly.ts';

/** What the scheduler needs to know of a peer. */
export interface RequestTarget {
  readonly outstanding: OutstandingRequests;
}

/** Ages in ms at which a block may be asked of a second peer; see `PeerLimits`. */
export interface SchedulerLimits {
  readonly endgameAfterMs: number;
  readonly duplicateAfterMs: number;
  readonly pieceIdleMs: number;
}

/** Peers that one block is asked of at most: the answers beyond the first are wasted. */
const MAX_ASKERS = 3;

/**
 * Which blocks to ask of whom: finish started pieces first, then start the one that the picker says, and where a peer
 * would idle at the end, ask it for what others owe us too long (endgame). Pure but for the piece buffers that it is lent.
 */
export class RequestScheduler<Peer extends RequestTarget> {
  readonly #geometry: PieceGeometry;
  readonly #picker: Picker;
  readonly #clock: Clock;
  readonly #limits: SchedulerLimits;
  readonly #takeBuffer: () => ArrayBuffer | undefined;
  readonly #mustBeExclusive: (index: number) => boolean;
  readonly #started = new Map<number, PieceAssembly<Peer>>();

  constructor({
    geometry,
    picker,
    clock,
    limits,
    takeBuffer,
    mustBeExclusive,
  }: {
    geometry: PieceGeometry;
    picker: Picker;
    clock: Clock;
    limits: SchedulerLimits;
    /** A buffer of one piece length; `undefined` while memory is short. */
    takeBuffer: () => ArrayBuffer | undefined;
    /** Whether the piece failed before and must come from one peer. */
    mustBeExclusive: (index: number) => boolean;
  }) {
    this.#geometry = geometry;
    this.#picker = picker;
    this.#clock = clock;
    this.#limits = limits;
    this.#takeBuffer = takeBuffer;
    this.#mustBeExclusive = mustBeExclusive;
  }

  /** Pieces in the making. */
  get startedCount(): number {
    return this.#started.size;
  }

  assembly(index: number): PieceAssembly<Peer> | undefined {
    return this.#started.get(index);
  }

  /**
   * Chooses blocks until they have `bytes` in all, and notes them as asked of `peer`; the last may go beyond. None is longer
   * than `blockLength`, a multiple of 16 KiB. What somebody else owes us is asked for in blocks of 16 KiB. `mayAsk` tells which pieces to ask of a peer
   * in another zone; of such a peer nothing is asked that somebody else is asked for already.
   */
  choose(
    peer: Peer,
    handle: PickerPeer,
    bytes: number,
    {
      isLastStretch,
      blockLength = BLOCK_LENGTH,
      mayAsk,
    }: { isLastStretch: boolean; blockLength?: number; mayAsk?: ((index: number) => boolean) | undefined },
  ): BlockRange[] {
    const now = this.#clock.now();
    const chosen: BlockRange[] = [];
    let left = bytes;
    const ask = (assembly: PieceAssembly<Peer>, block: BlockRange): void => {
      assembly.ask(block, now);
      peer.outstanding.add(block, now);
      chosen.push(block);
      left -= block.length;
    };
    const askMissing = (assembly: PieceAssembly<Peer>): void => {
      while (left > 0) {
        const block = assembly.nextMissing(blockLength);
        if (block === undefined) return;
        ask(assembly, block);
      }
    };
    for (const assembly of this.#started.values()) {
      if (left <= 0) return chosen;
      if (!handle.pieces.has(assembly.index) || mayAsk?.(assembly.index) === false) continue;
      if (assembly.isOpenTo(peer)) askMissing(assembly);
    }
    while (left > 0) {
      const assembly = this.#start(peer, handle, now, mayAsk);
      if (assembly === undefined) break;
      askMissing(assembly);
    }
    if (peer.outstanding.count > 0 || mayAsk !== undefined) return chosen;
    const isEndgame = isLastStretch && this.#picker.candidateCount === 0;
    const before = now - (isEndgame ? this.#limits.endgameAfterMs : this.#limits.duplicateAfterMs);
    for (const assembly of this.#started.values()) {
      if (assembly.isExclusive || !handle.pieces.has(assembly.index)) continue;
      for (const block of assembly.overdue(before, MAX_ASKERS - 1)) {
        if (left <= 0) return chosen;
        ask(assembly, block);
      }
    }
    return chosen;
  }

  /** The peer will not send these blocks any more; what it owned alone starts over. */
  release(peer: Peer, blocks: Iterable<BlockRange>, { isGone }: { isGone: boolean }): void {
    for (const block of blocks) this.#started.get(block.index)?.unask(block);
    if (!isGone) return;
    for (const assembly of this.#started.values()) if (assembly.owner === peer) assembly.disown();
  }

  /** Takes a piece out: it is whole, or no longer needed. Its buffer is the caller's. */
  finish(index: number): PieceAssembly<Peer> | undefined {
    const assembly = this.#started.get(index);
    this.#started.delete(index);
    return assembly;
  }

  /** Pieces without progress for so long that their memory is better used elsewhere. They are candidates again. */
  dropIdle(): PieceAssembly<Peer>[] {
    const before = this.#clock.now() - this.#limits.pieceIdleMs;
    const idle = [...this.#started.values()].filter((piece) => piece.lastProgressAt <= before && !piece.isArriving);
    for (const { index } of idle) {
      this.#started.delete(index);
      this.#picker.want(index);
    }
    return idle;
  }

  /** Drops all started pieces; for the end. */
  dropAll(): PieceAssembly<Peer>[] {
    const all = [...this.#started.values()];
    this.#started.clear();
    return all;
  }

  #start(
    peer: Peer,
    handle: PickerPeer,
    now: number,
    mayAsk: ((index: number) => boolean) | undefined,
  ): PieceAssembly<Peer> | undefined {
    const buffer = this.#picker.hasCandidateFor(handle, mayAsk) ? this.#takeBuffer() : undefined;
    if (buffer === undefined) return undefined;
    const index = this.#picker.pick(handle, mayAsk) as number;
    const isExclusive = this.#mustBeExclusive(index);
    const assembly = new PieceAssembly<Peer>({ index, geometry: this.#geometry, buffer, isExclusive, now });
    assembly.isOpenTo(peer);
    this.#started.set(index, assembly);
    return assembly;
  }
}
