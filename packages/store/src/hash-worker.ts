import { createHash } from 'node:crypto';
import { readSync, writeSync } from 'node:fs';
import { parentPort } from 'node:worker_threads';
import { diskFaultOf } from './disk-error.ts';
import type {
  CheckTask,
  ConfirmTask,
  PieceOutcome,
  PieceReply,
  PieceResult,
  PieceTask,
  ThreadMessage,
  WriteTask,
} from './piece-task.ts';
import { HASH_LENGTH } from './quota.ts';

// The thread that hashes pieces and writes them. It is the only writer of data, piece hashes and bitmaps, and does one
// task at a time: that is what makes changing one bit of a shared byte safe.

/** Holds a piece that is read back; grows to the largest piece seen. */
let scratch = Buffer.alloc(0);

parentPort?.on('message', ({ id, task }: { id: number; task: PieceTask }) => {
  const buffer = task.kind === 'write' ? task.buffer : undefined;
  const reply: PieceReply = { id, result: perform(task), buffer };
  parentPort?.postMessage(reply, buffer === undefined ? [] : [buffer]);
});
const ready: ThreadMessage = 'ready';
parentPort?.postMessage(ready);

function perform(task: PieceTask): PieceReply['result'] {
  try {
    return resultOf(task);
  } catch (error) {
    const fault = diskFaultOf(error);
    // A bug must not pass for a bad disk: it ends this thread, and the pending calls fail with its message.
    if (fault === undefined) throw error;
    return { fault };
  }
}

function resultOf(task: PieceTask): PieceResult {
  switch (task.kind) {
    case 'write': {
      const bytes = new Uint8Array(task.buffer, 0, task.size);
      const sha256 = createHash('sha256').update(bytes).digest();
      // A copy, because a short buffer is a part of a long one, which would be cloned as a whole.
      if (task.sha256 === undefined) return { outcome: write(task, bytes, sha256), sha256: Uint8Array.from(sha256) };
      return { outcome: sha256.equals(task.sha256) ? write(task, bytes, sha256) : 'rejected' };
    }
    case 'check':
      return { outcome: check(task) };
    case 'confirm':
      return { outcome: confirm(task) };
  }
}

function write({ files, index, position }: WriteTask, bytes: Uint8Array, hash: Buffer): PieceOutcome {
  if ((readBitmapByte(files.bitmap, index) & maskOf(index)) !== 0) {
    return readHash(files.pieces, index).equals(hash) ? 'verified' : 'conflict';
  }
  // This order is the crash safety: a bit is set only over bytes that the kernel has already taken.
  writeFully(files.data, bytes, position);
  writeFully(files.pieces, hash, index * HASH_LENGTH);
  setBit(files.bitmap, index, true);
  return 'verified';
}

function check({ files, index, position, size }: CheckTask): PieceOutcome {
  const isGood = isPieceGood(files.data, position, size, () => readHash(files.pieces, index));
  setBit(files.bitmap, index, isGood);
  return isGood ? 'verified' : 'rejected';
}

function confirm({ files, index, sha256 }: ConfirmTask): PieceOutcome {
  const isHeld = (readBitmapByte(files.bitmap, index) & maskOf(index)) !== 0;
  if (isHeld && readHash(files.pieces, index).equals(sha256)) return 'verified';
  setBit(files.bitmap, index, false);
  return 'rejected';
}

function isPieceGood(data: number, position: number, size: number, expected: () => Buffer): boolean {
  if (scratch.length < size) scratch = Buffer.alloc(size);
  const bytes = scratch.subarray(0, size);
  try {
    return readFully(data, bytes, position) && createHash('sha256').update(bytes).digest().equals(expected());
  } catch (error) {
    // A sector that cannot be read is a piece that is not there.
    if (diskFaultOf(error)?.code === 'EIO') return false;
    throw error;
  }
}

function readHash(pieces: number, index: number): Buffer {
  const hash = Buffer.alloc(HASH_LENGTH);
  readFully(pieces, hash, index * HASH_LENGTH);
  return hash;
}

function readBitmapByte(bitmap: number, index: number): number {
  const byte = Buffer.alloc(1);
  readFully(bitmap, byte, index >> 3);
  return byte[0] ?? 0;
}

function setBit(bitmap: number, index: number, isSet: boolean): void {
  const before = readBitmapByte(bitmap, index);
  const after = isSet ? before | maskOf(index) : before & ~maskOf(index);
  if (after !== before) writeFully(bitmap, Buffer.of(after), index >> 3);
}

function maskOf(index: number): number {
  return 0x80 >> (index & 7);
}

/** `false` if the file ends too early. */
function readFully(fd: number, into: Uint8Array, position: number): boolean {
  let done = 0;
  while (done < into.length) {
    const count = readSync(fd, into, done, into.length - done, position + done);
    if (count === 0) return false;
    done += count;
  }
  return true;
}

function writeFully(fd: number, bytes: Uint8Array, position: number): void {
  // A nearly full disk takes a part and says ENOSPC only at the next call.
  for (let done = 0; done < bytes.length; ) {
    done += writeSync(fd, bytes, done, bytes.length - done, position + done);
  }
}
