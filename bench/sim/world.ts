import type { PieceGeometry } from '@sealift/core';
import type { EventQueue } from './event-queue.ts';
import type { SimNode } from './sim-node.ts';

/**
 * Bytes that one simulated byte stands for. A block of 16 KiB then is a batch of 256 KiB, which is what production reads
 * and sends at a time (`uploadBatchBytes`): the schedulers run as they are, with a sixteenth of the events.
 */
export const SCALE = 16;

/** What one node sent, by kind, and what was done for it. */
export interface Messages {
  haves: number;
  /** Interested and not interested. */
  interest: number;
  /** Choke and unchoke. */
  chokes: number;
  /** Requests and cancels, of batches. */
  requests: number;
  /** Batches that came. */
  blocks: number;
  /** Batches that came though they were here already. */
  wasted: number;
  dials: number;
}

/** What all nodes of one simulation share. */
export interface World {
  readonly queue: EventQueue;
  readonly random: () => number;
  /** Scaled: what schedulers count. */
  readonly geometry: PieceGeometry;
  /** As it is. */
  readonly realGeometry: PieceGeometry;
  /** One piece that all nodes share: nothing is ever written. */
  readonly buffer: ArrayBuffer;
  /** One way, between nodes of one site and of two, in ms. */
  readonly latencyMs: { readonly near: number; readonly far: number };
  /** The tracker's answer: who else is there. */
  announce(node: SimNode): readonly SimNode[];
  finished(node: SimNode): void;
  /** Nobody lacks anything any more. */
  readonly isOver: boolean;
}
