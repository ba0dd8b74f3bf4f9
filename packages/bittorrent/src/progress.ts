import { AppError, ES256_LENGTH, MAX_BLOB_SIZE, type SwarmId } from '@sealift/core';
import { type ContentSigner, type ContentVerifier, KEY_ID_LENGTH } from './content-key.ts';

/** Keeps a signature over progress from meaning anything in another use of the key (docs/protocol.md, `sl_progress`). */
const SIGNATURE_CONTEXT = Buffer.from('sealift/progress/1\0', 'latin1');

const OFFSET = { keyId: ES256_LENGTH, swarmId: 72, bytesRead: 92 } as const;
const PROGRESS_LENGTH = 100;

/** How far a seeder has read a blob. */
export interface Progress {
  readonly swarmId: SwarmId;
  /** Bytes of the blob that it has received from the registry. */
  readonly bytesRead: number;
}

/** Encodes and signs the payload of `sl_progress`. */
export function signProgress({ swarmId, bytesRead }: Progress, signer: ContentSigner): Buffer {
  const payload = Buffer.alloc(PROGRESS_LENGTH);
  payload.set(signer.keyId, OFFSET.keyId);
  payload.write(swarmId, OFFSET.swarmId, 'hex');
  payload.writeBigUInt64BE(BigInt(bytesRead), OFFSET.bytesRead);
  payload.set(signer.sign(Buffer.concat([SIGNATURE_CONTEXT, payload.subarray(ES256_LENGTH)])));
  return payload;
}

/**
 * What the payload claims, before its signature is looked at: what is no news needs no verification. Throws
 * `FRAME_INVALID` for a wrong length or more than the largest blob.
 */
export function claimedProgress(payload: Uint8Array): number {
  if (payload.length !== PROGRESS_LENGTH) {
    throw new AppError('FRAME_INVALID', { reason: 'progress of a wrong length', length: payload.length });
  }
  const bytesRead = viewOf(payload).readBigUInt64BE(OFFSET.bytesRead);
  if (bytesRead > BigInt(MAX_BLOB_SIZE)) throw new AppError('FRAME_INVALID', { reason: 'progress beyond any blob' });
  return Number(bytesRead);
}

/** Verifies the payload for one swarm; throws `FRAME_INVALID`, also for one that this cluster's seeder did not sign. */
export function openProgress(payload: Uint8Array, swarmId: SwarmId, verifier: ContentVerifier): Progress {
  const bytesRead = claimedProgress(payload);
  const isOurs = viewOf(payload).toString('hex', OFFSET.swarmId, OFFSET.bytesRead) === swarmId;
  const signed = Buffer.concat([SIGNATURE_CONTEXT, payload.subarray(ES256_LENGTH)]);
  const keyId = payload.subarray(OFFSET.keyId, OFFSET.keyId + KEY_ID_LENGTH);
  if (!isOurs || !verifier.verify(keyId, signed, payload.subarray(0, ES256_LENGTH))) {
    throw new AppError('FRAME_INVALID', { reason: 'progress that is not signed for this swarm' });
  }
  return { swarmId, bytesRead };
}

function viewOf(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
}
