import type { DiskFault } from './disk-error.ts';

/** The open files of one blob. Numbers, because a worker thread shares the process's table of open files. */
export interface BlobFds {
  readonly data: number;
  readonly pieces: number;
  readonly bitmap: number;
  /** The disk has become read-only: what is there can be read, and nothing written. */
  readonly isReadOnly: boolean;
}

interface PieceLocation {
  readonly files: BlobFds;
  readonly index: number;
  /** Offset of the piece in the data file, in bytes. */
  readonly position: number;
  /** Bytes of the piece. */
  readonly size: number;
}

/** Hash `buffer` and store it, unless it does not match the `sha256` given. `buffer` is transferred there and back. */
export interface WriteTask extends PieceLocation {
  readonly kind: 'write';
  readonly buffer: ArrayBuffer;
  readonly sha256: Uint8Array | undefined;
}

/** Hash what the disk holds and set or clear the piece's bit accordingly. */
export interface CheckTask extends PieceLocation {
  readonly kind: 'check';
}

/** Clear the piece's bit unless the piece is held under `sha256`. Reads no data: the hash was checked when it came. */
export interface ConfirmTask extends PieceLocation {
  readonly kind: 'confirm';
  readonly sha256: Uint8Array;
}

/** Work for the hash worker. */
export type PieceTask = WriteTask | CheckTask | ConfirmTask;

/** How a task ended. `conflict`: the store holds this piece already, under another hash. */
export type PieceOutcome = 'verified' | 'rejected' | 'conflict';

/** What became of a task; with the hash of the piece if the task did not give it. */
export interface PieceResult {
  readonly outcome: PieceOutcome;
  readonly sha256?: Uint8Array;
}

/** What the worker answers; `buffer` comes back whatever happened. */
export interface PieceReply {
  readonly id: number;
  readonly result: PieceResult | { readonly fault: DiskFault };
  readonly buffer: ArrayBuffer | undefined;
}

/** Anything that the worker says: `ready` once, when it has loaded its code. */
export type ThreadMessage = PieceReply | 'ready';
